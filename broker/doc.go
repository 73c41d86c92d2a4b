// Package broker is a Redis server inside the process, for tests and benchmarks.
//
// It speaks the Redis protocol (RESP2 and RESP3) and behaves like Redis 7.0.15
// for keys that expire, strings, lists, hashes, sets, sorted sets, streams, geospatial
// indexes, HyperLogLogs, blocking commands, Lua scripts and functions, transactions, Pub/Sub
// with keyspace notifications, and client tracking.
// A client reaches it in memory, without a port:
//
//	b, err := broker.New(broker.Options{})
//	if err != nil { ... }
//	defer b.Close()
//	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
//
// or over sockets, see [Broker.Listen], [Broker.ListenTLS] and [Broker.ListenUnix].
// The broker keeps its data in memory only and forgets it on Close.
//
// # Testing with it
//
// Package brokertest starts a broker for a test in one line, and
// docs/testing-with-the-broker.md is the guide. What tests do with it:
//
//   - Virtual time. In a testing/synctest bubble the broker's time is virtual; elsewhere
//     [Options].ManualTime stops the clock, and [Broker.Advance] moves it. Keys expire and
//     blocked clients time out exactly at their deadlines.
//   - Waiting. [Broker.WaitBlocked] returns when clients are blocked in BLPOP and the like,
//     so no test has to sleep.
//   - Inspection. [Broker.Do] runs a command without a connection, [Broker.Seed] and
//     [Broker.Snapshot] load and dump all data as text, [Broker.Log] returns the commands
//     that were sent, and [Broker.Stats] and [Broker.Clients] what INFO and CLIENT LIST
//     report.
//   - Fault injection. [Broker.Inject] adds a rule for a [Fault]: errors, delays,
//     connections that are refused, or dropped before or after a command runs or within its
//     reply, and slow networks. [Broker.Intercept] calls a function for every command, and
//     [Broker.Stall] stops the broker for a time.
//   - Strict mode. With [Options].Strict, [Broker.Violations] lists unknown commands, wrong
//     numbers of arguments, and transactions that were left open.
//
// # In a testing/synctest bubble
//
// The broker has to be created in the bubble in which it is used, as its timers belong to
// it: call New or brokertest.Start in the function that synctest.Test calls. A broker with a
// real clock that is created outside and used inside panics, and Dial returns an error; so
// does one that is created inside and used outside. Two bubbles are not distinguished.
//
// Clients connect with Dial. In a bubble Listen returns an error, as time does not advance
// while a goroutine waits for a socket. Sockets of a broker outside can be used in a bubble,
// but its time does not advance meanwhile either.
//
// # Other languages
//
// Test suites in other languages do the same by commands: see [Options].TestCommands and
// docs/testing-from-python.md. docs/testing-your-queue.md has examples for asynq,
// BullMQ, Celery, RQ and Sidekiq, and a table for those who come from miniredis.
//
// # Monitoring
//
// INFO, SLOWLOG, LATENCY and MONITOR work as in Redis. Timestamps are by the broker's
// clock; the duration of a command is measured with the machine's, even with manual time.
// In a testing/synctest bubble, which has no other clock, commands take no time. Logs do not show
// passwords.
//
// # Limits and security
//
// Without a password the broker serves clients on this machine only, see
// [Options].Unprotected. Further users are created by ACL SETUSER, also through Do, which
// has all permissions. The memory that clients can use is limited by options: MaxClients,
// MaxQuery, MaxBulk, MaxArguments, MaxInline, Pending, MaxMemory and others. If a command
// panics its client gets an error, and the panic is logged.
//
// # How a command runs
//
// A reader splits requests into commands (internal/resp). Each command is looked up in the
// table (table.go), checked, and queued by MULTI or called under the broker's one lock
// (process.go), unless it is postponed: by CLIENT PAUSE, a stall or a fault (postpone.go,
// faultrule.go). Its handler returns a reply value, which is encoded for the client's
// protocol. A handler can also return a wait: it blocks the client until a key is ready, it
// times out, or the client disconnects (blocked.go).
//
// A connection is a state machine without I/O of its own (session.go). A transport moves
// the bytes: in memory, over a socket, or with epoll on Linux.
package broker
