// Package torture tries what package rpc promises: processes of their own call each other
// through real Redis servers, faults happen to all of them, drawn from a seed, and afterwards each
// call is looked up on both sides.
//
// An [Arena] is a Redis, servers, clients, and a proxy before each of them. Every process
// appends what it does to a journal (journal.go), which survives kill -9: clients write how
// each call began and ended, servers which calls ran. The arena draws faults (faults.go),
// and notes when each began and ended, and what it may do to calls. [History.Check] (check.go)
// compares: each call ends once, in the right kind, and in time; none runs twice; none that ended as
// not sent ran; none is lost that no fault could lose; and after a fault the next call
// succeeds within 2 s.
//
// "make torture" runs all arenas for minutes, "go test" some of them for seconds. See
// docs/reliability.md.
package torture
