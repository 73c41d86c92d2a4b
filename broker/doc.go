// Package broker is a Redis server inside the process, for tests and benchmarks.
//
// It speaks the Redis protocol (RESP2 and RESP3) and behaves like Redis 7.0.15
// for what message queues are made of: keys that expire, strings, lists with
// their blocking commands, transactions, Pub/Sub and client tracking. A client
// reaches it in memory, without a port:
//
//	b, err := broker.New(broker.Options{})
//	if err != nil { ... }
//	defer b.Close()
//	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
//
// or over sockets, see [Broker.Listen], [Broker.ListenTLS] and [Broker.ListenUnix].
// The broker keeps its data in memory only and forgets it on Close.
//
// # How a command runs
//
// Bytes are split into commands by a reader that trusts nothing (request.go),
// and each command is looked up in one table (table.go), checked, and then
// queued by MULTI or run under the broker's one lock (dispatch.go). Its handler
// returns a reply value, which is encoded for the client's protocol (reply.go).
// "Wait" is a reply too: it parks the client until a key is ready, its time is
// up, or it goes away (blocking.go).
//
// A connection is a state machine without input or output of its own
// (session.go). What moves the bytes is a link: links in memory are in memory.go,
// those on sockets in socket.go and, for Linux, in poller_linux.go.
package broker
