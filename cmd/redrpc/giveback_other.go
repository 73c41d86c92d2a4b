//go:build !unix

package main

import "time"

var started = time.Now()

// processorTime is how long the process has had processors, at most.
func processorTime() time.Duration { return time.Since(started) }
