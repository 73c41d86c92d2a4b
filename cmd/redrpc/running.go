package main

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"time"
)

// running is the programs that run now, so that those who end the command can end
// these, too. The zero value is none.
type running struct {
	starting sync.RWMutex // held by who starts a program; and by kill, so that none is missed
	killed   bool         // guarded by starting

	ending sync.WaitGroup // of goroutines that end programs

	mu  sync.Mutex // guards all
	all map[*exec.Cmd]struct{}
}

var (
	errKilled      = errors.New("the server is killed")
	errInterrupted = errors.New("interrupted")
)

// run runs a program to its end. If ctx ends first it ends the program, and returns
// errInterrupted. What is left of the group of a program that failed, or was interrupted,
// is ended, too; wait waits for that.
func (r *running) run(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err := r.start(cmd); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			r.forget(cmd)
		} else {
			r.end(cmd, grace)
		}
		return err
	case <-ctx.Done():
		r.end(cmd, grace)
		<-ended
		return errInterrupted
	}
}

func (r *running) start(cmd *exec.Cmd) error {
	r.starting.RLock()
	defer r.starting.RUnlock()
	if r.killed {
		return errKilled
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[*exec.Cmd]struct{}{}
	}
	r.all[cmd] = struct{}{}
	return nil
}

func (r *running) end(cmd *exec.Cmd, grace time.Duration) {
	r.ending.Go(func() {
		defer r.forget(cmd)
		endGroup(cmd, grace)
	})
}

func (r *running) forget(cmd *exec.Cmd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, cmd)
}

// wait waits until what run had to end has ended.
func (r *running) wait() { r.ending.Wait() }

// kill kills all programs with their process groups. None can be started any more.
func (r *running) kill() {
	r.starting.Lock()
	defer r.starting.Unlock()
	r.killed = true
	r.mu.Lock()
	defer r.mu.Unlock()
	for cmd := range r.all {
		killGroup(cmd)
	}
}
