// Package systems tests the broker with programs that use Redis: queues, locks, rate
// limiters, caches, sessions and clients. A flow uses one of them as its users do, and runs
// on redis-server and on a broker in strict mode, with the same assertions.
//
// There are tests only, and a module of their own for the libraries that they need.
package systems
