//go:build unix

package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// ListenUnix listens on a Unix socket, in the place of one that is stale.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	f, err := BindUnix(path, mode)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		f, err = BindUnix(path, mode)
	}
	if err != nil {
		return nil, fmt.Errorf("listen unix %s: %w", path, err)
	}
	defer f.Close() // the listener has a copy
	var l net.Listener
	if err = syscall.Listen(int(f.Fd()), syscall.SOMAXCONN); err == nil {
		l, err = net.FileListener(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen unix %s: %w", path, err), os.Remove(path))
	}
	l.(*net.UnixListener).SetUnlinkOnClose(true)
	return l, nil
}

// BindUnix makes a socket with a file that has the permissions of mode, if that is
// not 0. Nobody can connect to it yet, so it does not matter that the umask has
// decided about them for a moment.
func BindUnix(path string, mode fs.FileMode) (*os.File, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		f.Close()
		return nil, fmt.Errorf("bind: %w", err)
	}
	if mode == 0 || strings.HasPrefix(path, "@") { // Linux's abstract sockets have no file
		return f, nil
	}
	if err := os.Chmod(path, mode); err != nil {
		f.Close()
		return nil, errors.Join(err, os.Remove(path))
	}
	return f, nil
}

// removeStale removes a socket that nobody serves. It returns an error if there is
// something else.
func removeStale(path string) error {
	before, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if before.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen unix %s: there is a file that is no socket: %w", path, syscall.EADDRINUSE)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen unix %s: somebody serves it: %w", path, syscall.EADDRINUSE)
	}
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(before, now) {
		return fmt.Errorf("listen unix %s: another is about to serve it: %w", path, syscall.EADDRINUSE)
	}
	return os.Remove(path)
}
