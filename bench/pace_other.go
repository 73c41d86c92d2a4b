//go:build !linux

package bench

import "time"

// A thread that sleeps precisely is there on Linux alone.
type thread struct{}

func (*thread) open(Spin) bool                                          { return false }
func (*thread) close()                                                  {}
func (*thread) wait(time.Duration, time.Duration, func() time.Duration) {}
