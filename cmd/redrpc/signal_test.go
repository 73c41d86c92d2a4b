//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// A process is the command in a process of its own.
type process struct {
	*exec.Cmd
	stdout strings.Builder
	stderr *bufio.Reader
	pipe   io.Closer // under stderr
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...)}
	p.Env = append(os.Environ(), asCommand+"=1", "REDIS_URL=")
	p.Stdout = &p.stdout
	pipe, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stderr, p.pipe = bufio.NewReader(pipe), pipe
	// Signals that are ignored stay so in a new process, as by nohup or in a job of a shell
	// script; those that are caught do not.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(caught)
	if err := redistest.StartProgram(t, p.Cmd); err != nil {
		t.Fatal(err)
	}
	hangs := time.AfterFunc(2*time.Minute, func() { _ = p.Process.Kill() })
	t.Cleanup(func() {
		hangs.Stop()
		_ = p.Process.Kill() // fails if it has ended, as it should have
	})
	return p
}

// await reads stderr up to a line with text.
func (p *process) await(t *testing.T, text string) {
	t.Helper()
	var all strings.Builder
	for {
		line, err := p.stderr.ReadString('\n')
		all.WriteString(line)
		if strings.Contains(line, text) {
			return
		}
		if err != nil {
			t.Fatalf("%v before %q on stderr: %s", err, text, all.String())
		}
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait returns how the process ended, and the rest of stderr.
func (p *process) wait(t *testing.T) (syscall.WaitStatus, string) {
	t.Helper()
	rest, err := io.ReadAll(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return p.ProcessState.Sys().(syscall.WaitStatus), string(rest)
}

func TestFirstSignalReports(t *testing.T) {
	rdb, url := startRedis(t)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := startProcess(t, "bench", "--redis", url, "--duration", "1h", "-c", "10", "--warmup", "0s")
		p.await(t, "in flight")
		p.signal(t, s)
		status, stderr := p.wait(t)
		if !status.Exited() || status.ExitStatus() != exitOK {
			t.Errorf("%v: ended with %v: %s", s, status, stderr)
		}
		if out := p.stdout.String(); !strings.Contains(out, ", interrupted\n") || !strings.Contains(out, "p99") {
			t.Errorf("%v: no report of an interrupted run: %s", s, out)
		}
		if keys := keysOf(t, rdb); len(keys) != 0 {
			t.Errorf("%v: left %q", s, keys)
		}
	}
}

// A rolling restart of redrpc serve by SIGTERM, under load, loses no call.
func TestRollingRestartOfServe(t *testing.T) {
	rdb, url := startRedis(t)
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	begin := func() *process {
		p := startProcess(t, "serve", "--redis", url, "--workers", "4")
		p.await(t, "serving")
		return p
	}
	old := begin()
	var calls atomic.Int64
	var all sync.WaitGroup
	end := make(chan struct{})
	for range 16 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				got, err := rpc.Call[int](t.Context(), client, "echo", rpc.Args{"x": n})
				if err != nil || got != n {
					t.Errorf("got %v, %v, expected %v", got, err, n)
					return
				}
				calls.Add(1)
			}
		})
	}
	for range 3 {
		before := calls.Load()
		next := begin()
		old.signal(t, syscall.SIGTERM)
		if status, stderr := old.wait(t); !status.Exited() || status.ExitStatus() != exitOK {
			t.Errorf("ended with %v: %s", status, stderr)
		}
		if calls.Load() == before {
			t.Error("no call has been answered meanwhile")
		}
		old = next
	}
	close(end)
	all.Wait()
	old.signal(t, syscall.SIGTERM)
	old.wait(t)
	if keys := keysOf(t, rdb); len(keys) != 0 {
		t.Errorf("left %q", keys)
	}
}

func TestSecondSignalKills(t *testing.T) {
	p := startProcess(t, "bench", "--func", "sleep", "--args", `{"seconds":3600}`, "--timeout", "1h", "-c", "2", "--warmup", "0s")
	p.await(t, "in flight")
	p.signal(t, syscall.SIGINT)
	p.await(t, "interrupted: waiting up to 1h0m0s for the last calls, a second signal kills")
	p.signal(t, syscall.SIGINT)
	if status, stderr := p.wait(t); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v: %s", status, stderr)
	}
}

// Neither a second signal nor Ctrl-\ nor the end of the terminal leaves a program of serve
// behind, also one that does not end by SIGTERM: then the fifo has no writer any more.
func TestSignalsKillPrograms(t *testing.T) {
	_, url := startRedis(t)
	for _, c := range []struct {
		name     string
		shutdown string
		signals  []syscall.Signal
	}{
		{"a second signal", "1h", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}},
		{"a second signal after the programs got SIGTERM", "1ms", []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}},
		{"the end of the terminal", "1h", []syscall.Signal{syscall.SIGHUP}},
		{"Ctrl-\\", "1h", []syscall.Signal{syscall.SIGQUIT}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fifo := newFifo(t)
			p := startProcess(t, "serve", "--redis", url, "--shutdown-timeout", c.shutdown, "--exec", `wait=sh -c '(trap "" TERM; echo up; exec sleep 1000) > "$ARG_fifo" & trap "" TERM; wait'`)
			p.await(t, "serving wait")
			redrpc(t, "call", "--async", "wait", "fifo="+fifo, "--redis", url).want(t, exitOK)
			r := openFifo(t, fifo)
			last := c.signals[len(c.signals)-1]
			for _, s := range c.signals {
				p.signal(t, s)
				if s != last {
					p.await(t, "stopping")
				}
			}
			status, stderr := p.wait(t)
			if last == syscall.SIGQUIT { // Go shows its goroutines, and exits with 2
				if !status.Exited() || status.ExitStatus() != 2 || !strings.Contains(stderr, "SIGQUIT") {
					t.Errorf("ended with %v: %s", status, stderr)
				}
			} else if !status.Signaled() || status.Signal() != last {
				t.Errorf("ended with %v: %s", status, stderr)
			}
			if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
				t.Errorf("the program goes on: got %q, %v", rest, err)
			}
		})
	}
}

// A reader of the progress that goes away neither kills the run nor its cleaning up.
func TestBrokenPipe(t *testing.T) {
	rdb, url := startRedis(t)
	p := startProcess(t, "bench", "--redis", url, "--duration", "2500ms", "-c", "10", "--warmup", "0s")
	p.await(t, "in flight")
	if err := p.pipe.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if !strings.Contains(p.stdout.String(), "p99") {
		t.Errorf("no report: %s", p.stdout.String())
	}
	if keys := keysOf(t, rdb); len(keys) != 0 {
		t.Errorf("left %q", keys)
	}
}
