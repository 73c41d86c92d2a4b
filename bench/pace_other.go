//go:build !linux

package bench

import "time"

// An alarm is there on Linux alone.
type alarm struct{}

func newAlarm() *alarm                  { return nil }
func (*alarm) close()                   {}
func (*alarm) sleep(time.Duration) bool { return false }
