// Package rpc calls functions through Redis lists: a [Client] pushes a call to the list of
// its function, any [Server] that offers the function pops it, runs it, and pushes the
// result to a list of the client.
//
// It speaks the protocol of Codility/redis-rpc and works with its
// Python and Go ports in both directions. docs/services-with-rpc.md is the guide.
//
// # What is guaranteed
//
// A call runs at most once. It is never retried behind the caller's back, and
// a server that dies loses the calls that it had popped. Every call ends
// exactly once, in one of:
//
//   - its result;
//   - [*RemoteError]: the function ran and failed, or the server refused the arguments;
//   - [ErrNotSent]: no server has seen the call, nor ever will: trying again is safe;
//   - [ErrBadResult]: the function ran, but its result could not be read;
//   - [ErrNoResult]: the outcome is unknown: it may have run, or still run.
//
// A call tells its server how long the caller waits ([Timeout], or its context): the
// context of the handler ends then, and a call that comes too late is dropped and counted
// ([Stats]). Both go by Redis's clock. The ports do not say how long they wait: their
// calls are never dropped.
//
// # Connections
//
// All results of a client come on one list, its reply list, so that it needs two
// connections, however many calls are in flight, and one or two more while messages are
// long. Servers of the ports know no reply lists: the calls that they answer wait on a
// connection each, up to [ClientOptions.MaxConns]. The client finds out which
// servers answer; the first results of old ones may come up to 100 ms late.
// [ClientOptions.NoExtensions] is the protocol as the ports speak it.
//
// # When Redis fails
//
// Client and server reconnect by themselves, with backoff and jitter, and go on when Redis
// is restarted or stalls, or refuses for a while (LOADING, READONLY, OOM). A
// call that can still be answered waits on, and no result is lost with a connection. With
// a client of Sentinel they follow the master, in a Cluster the slots of their functions.
//
// What Redis forgets may come again: it replicates with a delay, and saves now and then.
// So a call that it gave to a server just before it was replaced by a replica, or crashed,
// may be in the queue again afterwards. That is the one way for a call to run twice.
//
// # In a Cluster
//
// A client of a Cluster (redis.NewClusterClient) is all that is needed. The functions
// are spread over the masters by their names; all lists of a call lie in the slot of its
// queue, as IDs begin with a hash tag. Client and server have connections for each slot
// that they use. Functions with a hash tag in common, such as {billing}add and
// {billing}refund, share a slot, and so do all if the prefix has one. With fewer workers
// than slots a call may wait up to 0.1 s longer for its turn.
//
// # Versions
//
// Redis 7.0 and newer has all that is used. With an older one a server takes calls in two
// steps (before 7.0) or one at a time (before 6.2), and times to block are whole seconds
// (before 6.0). Where reply lists are forbidden the client uses none, and says so to its
// Logger.
package rpc
