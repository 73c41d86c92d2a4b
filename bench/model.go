package bench

import "time"

// A Model is a load model: it says when calls are sent. It is pure, so it is
// tested without running anything.
type Model interface {
	// Next returns when the next call is to be sent, as time since the run
	// began; a time that has passed means at once. elapsed is the time now and
	// sent the number of calls that the asker has sent so far.
	Next(elapsed time.Duration, sent int64) time.Duration

	// String is the model's name in reports.
	String() string
}

// ClosedLoop is the model of callers that each wait for their call to end, think,
// and only then send the next one. Each caller asks for itself, when its call
// has ended.
//
// A closed loop slows down with what it measures: while the system stalls nothing
// is sent, so the latencies say little about users who arrive regardless.
type ClosedLoop struct {
	Think time.Duration // between the end of a call and the next one
}

// Next returns now for a caller's first call, then now plus the think time.
func (m ClosedLoop) Next(elapsed time.Duration, sent int64) time.Duration {
	if sent == 0 {
		return elapsed
	}
	return elapsed + m.Think
}

func (m ClosedLoop) String() string {
	if m.Think == 0 {
		return "closed loop"
	}
	return "closed loop, think time " + m.Think.String()
}
