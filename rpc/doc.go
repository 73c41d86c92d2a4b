// Package rpc calls functions through Redis lists: a [Client] pushes a call to
// the list of its function, any [Server] that offers the function pops it,
// runs it, and pushes the result to a list of its own, where the client waits.
//
// It speaks the protocol of Codility/redis-rpc and works together with the
// Python and Go ports of it, in both directions.
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
// # Waiting
//
// A client needs three connections, however many calls are in flight. The first
// two calls wait by BLPOP on a connection each, the others share one, on which
// Redis tells when their results have come (client tracking). A client tries
// whether that works when it connects, and uses BLPOP alone where it does not, with
// a connection for each call. [ClientOptions.Wait] decides otherwise,
// [Client.Waiting] says what is in use and why.
//
// A call that is given up returns at once and leaves nothing behind: its result is
// deleted when it comes, or expires.
//
// # Deadlines
//
// A call tells its server how long the caller waits ([Timeout], or its context).
// The context of the handler ends then, and a call that comes too late is dropped
// and counted ([Stats]). For this both sides learn what Redis's clock shows, so it
// does not matter what their own clocks show. The ports in Python and Go do not say
// how long they wait: their calls are never dropped.
//
// # Around calls
//
// An [Interceptor] runs around each call of a client or a server, and may put
// fields into the messages: packages rpcprom and rpcotel have metrics and traces as
// such. [Server.Stats] counts. An [Inspector] lists the servers that are online, what
// they report with their heartbeats, and the queues with calls that wait, and tells
// rates between two looks. [Client.Send] makes a call whose outcome nobody
// waits for.
//
// A function of a server may have a [Weight] in the rotation and a limit of calls at
// a time ([Concurrency]), and a server limits for their sizes and number
// ([ServerOptions]).
//
// # When Redis fails
//
// Client and server go on by themselves, with pauses that grow and differ, when
// connections are lost, Redis is restarted or stalls, or it refuses for a while
// (LOADING, READONLY, OOM). A call that can still be answered waits on. With a client
// of Sentinel they follow the master, in a Cluster the slots of their functions.
//
// What Redis forgets may come again: it replicates with a delay, and saves now and then.
// So what it has given to a server just before it was replaced by a replica, or crashed,
// may still be in the queue afterwards. That is the one way for a call to run twice, and
// no server can know of it. A call that says how long its caller waits is dropped when
// that is over.
//
// # In a Cluster
//
// A client of a Cluster (redis.NewClusterClient) is all that is needed. The functions
// are spread over the masters by their names. A call and its result lie in the slot of
// the function's queue: IDs of calls begin with a hash tag for this, which the ports in
// Python and Go take for text as any other. They can take part; their results come
// wherever their IDs put them.
//
// A client has three connections for each of the slots that it used last, up to 64. A
// server has two for each slot of its functions. It still takes no more calls than it
// has free workers: with fewer workers than slots a call may wait up to 0.1 s longer for
// its turn. Functions with a hash tag in common, such as {billing}add and
// {billing}refund, share a slot, and so do all if the prefix has one.
//
// Slots may be moved at any time. While one is on its way its calls go on, a few
// milliseconds slower.
//
// # Versions
//
// Redis 7.0 and newer has all that is used. With an older one, or where commands
// are forbidden:
//
//   - before 7.0 (BLMPOP) a server takes several calls in two steps: BLPOP, then LPOP
//     with a count;
//   - before 6.2 (LPOP with a count) it takes one call at a time;
//   - before 6.0 (client tracking, RESP3) each call that waits has a connection, and
//     holds it for up to a second after it was given up, as times to block are whole
//     seconds.
package rpc
