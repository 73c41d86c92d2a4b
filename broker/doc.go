// Package broker is a Redis server inside the process, for tests and benchmarks.
//
// It speaks the Redis protocol (RESP2 and RESP3) and behaves like Redis 7.0.15
// for what message queues are made of: keys that expire, strings, lists with
// their blocking commands, transactions, Pub/Sub with keyspace notifications, and
// client tracking. A client reaches it in memory, without a port:
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
// Package brokertest starts a broker for a test in one line. What tests do with it:
//
//   - Time. In a testing/synctest bubble it passes at once; elsewhere
//     [Options].ManualTime stops it, and [Broker.Advance] moves it. Keys expire and
//     clients time out exactly when their time has come.
//   - Waiting. [Broker.WaitBlocked] returns when clients wait in BLPOP and the like, so
//     no test has to sleep.
//   - Looking in. [Broker.Do] runs a command without a connection, [Broker.Seed] and
//     [Broker.Snapshot] read and write all data as text, [Broker.Log] has the commands
//     that were sent, and [Broker.Stats] and [Broker.Clients] what INFO and CLIENT LIST
//     have.
//   - Faults. [Broker.Inject] makes a rule of a [Fault]: errors, delays, connections that
//     are dropped before or after a command has run or within its reply, or refused, a
//     slow network. [Broker.Intercept] has a function decide about every command, and
//     [Broker.Stall] stops everything for a time.
//   - Strictness. With [Options].Strict, [Broker.Violations] has unknown commands, wrong
//     numbers of arguments, and transactions that were left open.
//
// # In a testing/synctest bubble
//
// The broker has to be made in the bubble in which it is used, as its timers belong to
// that: New or brokertest.Start is called in the function that synctest.Test calls.
// A broker with a real clock that is made outside and used inside panics, and Dial returns
// an error; so it is with one that is made inside and used outside. Two bubbles it does not
// tell apart.
//
// Clients connect with Dial. Listen returns an error in a bubble, where time stands still
// while anybody waits for a socket, which would be for ever. A broker that listens outside
// can be reached by its sockets from within a bubble, whose time then stands still, too.
//
// # Other languages
//
// Suites in other languages do the same by commands: see [Options].TestCommands and
// docs/testing-from-python.md.
//
// To any client INFO tells what Stats does and more, SLOWLOG which commands took long,
// LATENCY when, and how long all took, and MONITOR what runs. Times of day are those of
// the broker's clock; how long a command took is measured with the machine's, also where
// the broker's stands still. In a testing/synctest bubble, where there is no other clock,
// commands take no time. No log shows a password.
//
// # What it holds to
//
// Without a password the broker serves clients on this machine only, see
// [Options].Unprotected. Users with rules of their own are made by ACL SETUSER, also
// through Do, which may do everything itself. What a client can make the broker hold is
// bounded by the options: MaxClients, MaxQuery, MaxBulk, MaxArguments, MaxInline,
// Pending, MaxMemory and others. A mistake that makes a command panic costs its client an
// error, and is logged.
//
// # How a command runs
//
// Bytes are split into commands by a reader that trusts nothing (request.go),
// and each command is looked up in one table (table.go), checked, and then
// queued by MULTI or run under the broker's one lock (dispatch.go), unless it is held:
// by CLIENT PAUSE, by a stall, or by a rule that it meets (hold.go, rule.go). Its handler
// returns a reply value, which is encoded for the client's protocol (reply.go).
// "Wait" is a reply too: it parks the client until a key is ready, its time is
// up, or it goes away (blocking.go).
//
// A connection is a state machine without input or output of its own
// (session.go). What moves the bytes is a link: links in memory are in memory.go,
// those on sockets in socket.go and, for Linux, in poller_linux.go.
package broker
