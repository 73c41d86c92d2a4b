package main

import "testing"

// The throughput is read from a report as the command writes it today.
func TestBenchCalls(t *testing.T) {
	command, err := buildCommand(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	perSecond, err := benchCalls(1, command, "bench")
	if err != nil {
		t.Fatal(err)
	}
	if perSecond <= 0 {
		t.Errorf("expected calls, got %g/s", perSecond)
	}
}
