package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// An output is where a report goes: to a file, which is then there in full or as
// it was before, or to stdout.
type output struct {
	path   string // "" is stdout
	stdout io.Writer
}

// check finds out before the work whether write can succeed after it.
func (o output) check() error {
	if o.path == "" {
		return nil
	}
	special, err := o.special()
	if err != nil || special {
		return err
	}
	f, err := o.temporary()
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// write writes what render writes.
func (o output) write(render func(io.Writer) error) error {
	if o.path == "" {
		return render(o.stdout)
	}
	var content bytes.Buffer
	if err := render(&content); err != nil {
		return err
	}
	special, err := o.special()
	if err != nil {
		return err
	}
	if special {
		return o.wrap(os.WriteFile(o.path, content.Bytes(), 0o666)) // #nosec G306 -- it is there
	}
	f, err := o.temporary()
	if err != nil {
		return err
	}
	_, err = f.Write(content.Bytes())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), o.target())
	}
	if err != nil {
		return errors.Join(o.wrap(err), os.Remove(f.Name()))
	}
	return nil
}

// special reports whether path is there and no file that could be replaced, such
// as /dev/stdout or a pipe.
func (o output) special() (bool, error) {
	info, err := os.Stat(o.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, o.wrap(err)
	case info.IsDir():
		return false, o.wrap(errors.New("expected a file, it is a directory"))
	}
	return !info.Mode().IsRegular(), nil
}

// target is path with links followed, so that a link's file is replaced and not
// the link. It is the same for all paths of a file.
func (o output) target() string {
	if o.path == "" {
		return ""
	}
	path := o.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return path
}

func (o output) String() string {
	if o.path == "" {
		return "stdout"
	}
	return o.path
}

// temporary creates a file next to the target, with the permissions of a new file.
func (o output) temporary() (*os.File, error) {
	dir, base := filepath.Split(o.target())
	f, err := os.OpenFile(filepath.Join(dir, "."+base+"."+rand.Text()[:8]), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) // #nosec G302 G304 -- the user names the file, and has a umask
	if err != nil {
		return nil, o.wrap(err)
	}
	return f, nil
}

func (o output) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("--out %s cannot be written: %w", o.path, err)
}
