//go:build unix

package broker

import (
	"syscall"
	"testing"
	"time"
)

// 1,000 brokers start and stop within a second, each with a client that has been
// answered. What counts is the time that the process has the processor, which does not
// depend on what else the machine does.
func TestThousandBrokers(t *testing.T) {
	before := processorTime(t)
	brokers := make([]*Broker, 1000)
	for i := range brokers {
		var err error
		if brokers[i], err = New(Options{}); err != nil {
			t.Fatal(err)
		}
		inMemory(t, brokers[i]).expect(t, "+PONG", "PING")
	}
	for _, b := range brokers {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	took := processorTime(t) - before
	t.Logf("took %v", took)
	if took > time.Second {
		t.Errorf("took %v, expected less than a second", took)
	}
}

// processorTime is how long the process has had the processor.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
