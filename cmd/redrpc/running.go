package main

import (
	"errors"
	"os/exec"
	"sync"
)

// running is the programs that run now, so that those who end the command can end
// these, too. The zero value is none.
type running struct {
	starting sync.RWMutex // held by who starts a program; and by kill, so that none is missed
	killed   bool         // guarded by starting

	mu  sync.Mutex // guards all
	all map[*exec.Cmd]struct{}
}

var errKilled = errors.New("the server is killed")

// run runs a program to its end.
func (r *running) run(cmd *exec.Cmd) error {
	if err := r.start(cmd); err != nil {
		return err
	}
	err := cmd.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, cmd)
	return err
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

// kill kills all programs with their process groups. None can be started any more.
func (r *running) kill() {
	r.starting.Lock()
	defer r.starting.Unlock()
	r.killed = true
	r.mu.Lock()
	defer r.mu.Unlock()
	for cmd := range r.all {
		_ = killGroup(cmd) // fails if it has just ended
	}
}
