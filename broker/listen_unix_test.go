//go:build unix

package broker

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"redrpc/broker/internal/transport"
)

// A Unix socket has the mode that was asked for, whatever the umask, and before it
// has that, nobody can connect.
func TestListenUnixMode(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		for _, mode := range []fs.FileMode{0o600, 0o700, 0o660, 0o777} {
			path := filepath.Join(t.TempDir(), "s")
			bound := func() *os.File {
				defer syscall.Umask(syscall.Umask(umask))
				f, err := transport.BindUnix(path, mode)
				if err != nil {
					t.Fatal(err)
				}
				return f
			}()
			if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|mode {
				t.Errorf("umask %#o: got %v, %v, expected %v", umask, info.Mode(), err, fs.ModeSocket|mode)
			}
			if conn, err := net.Dial("unix", path); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("somebody could connect before the mode was sure: %v, %v", conn, err)
			}
			if err := bound.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	b := newBroker(t, Options{})
	path := filepath.Join(t.TempDir(), "s")
	addr, err := b.ListenUnix(path, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	newWire(dial(t, addr)).expect(t, "+PONG", "PING")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if _, err := b.ListenUnix(path, fs.ModeSetuid|0o700); err == nil || !strings.Contains(err.Error(), "expected permissions only") {
		t.Errorf("a mode that is none: %v", err)
	}
}
