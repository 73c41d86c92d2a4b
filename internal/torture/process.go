package torture

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"redrpc/internal/redistest"
)

// A process is one of an arena, as the arena sees it.
type process struct {
	name    string
	role    string
	proxy   *proxy // between it and Redis; nil if there is none
	cmd     *exec.Cmd
	in      io.WriteCloser
	ready   chan struct{} // closed when it says so
	exited  chan struct{} // closed when it is gone
	err     error         // how it ended, once it has
	begun   time.Time
	killed  time.Time    // zero if nobody has killed it
	stopped bool         // it has been told to end
	success atomic.Int64 // when the last call was made whose success it told, in Unix microseconds
}

// spawn starts a process by a command. It ends with the test.
func spawn(tb testing.TB, t task, cmd *exec.Cmd) (*process, error) {
	tb.Helper()
	name, dir := t.Name, t.Dir
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{name: name, role: t.Role, cmd: cmd, ready: make(chan struct{}), exited: make(chan struct{}), begun: time.Now()}
	cmd.Stderr = log
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := redistest.StartProgram(tb, cmd); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.exited)
		isReady := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if us, ok := strings.CutPrefix(lines.Text(), "ok "); ok {
				if n, err := strconv.ParseInt(us, 10, 64); err == nil {
					p.success.Store(n)
				}
			} else if !isReady { // "ready", or the URL of a broker
				isReady = true
				close(p.ready)
			}
		}
		p.err = cmd.Wait()
	}()
	select {
	case <-p.ready:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("%s ended at once: %v", name, p.err)
	case <-time.After(patience):
		p.kill()
		return nil, fmt.Errorf("%s is not ready after %v", name, patience)
	}
}

// isServer is whether it is one of any kind.
func (p *process) isServer() bool { return strings.HasSuffix(p.role, roleServer) }

// command is that of the process of a task: this program, or one in Python.
func (t task) command() (*exec.Cmd, error) {
	description, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if t.Python != "" {
		return exec.Command(t.Python, filepath.Join("testdata", "peer.py"), string(description)), nil
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), ChildEnv+"="+string(description))
	return cmd, nil
}

// tell sends the process a command. One that is gone is seen otherwise.
func (p *process) tell(command string) { fmt.Fprintln(p.in, command) }

// kill ends the process at once, and waits until it is gone.
func (p *process) kill() {
	p.killed = time.Now()
	_ = p.cmd.Process.Kill() // fails only if it is gone
	<-p.exited
	p.closeProxy()
}

// end tells the process to end in peace, and waits for it. It returns what went wrong.
func (p *process) end() error {
	p.stopped = true
	p.tell("stop")
	defer p.closeProxy()
	select {
	case <-p.exited:
		if p.err != nil {
			return fmt.Errorf("%s ended with %v", p.name, p.err)
		}
		return nil
	case <-time.After(2 * patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("%s has not ended %v after it was told to", p.name, 2*patience)
	}
}

func (p *process) closeProxy() {
	if p.proxy != nil {
		p.proxy.close()
	}
}

// gone is whether it ended without being told.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return p.killed.IsZero() && !p.stopped
	default:
		return false
	}
}
