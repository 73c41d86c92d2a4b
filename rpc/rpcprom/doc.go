// Package rpcprom has metrics of package rpc for Prometheus. Nothing is registered
// by itself: all are collectors that the caller registers.
//
// [Client] and [Server] make the metrics of calls. Their Intercept goes into the
// options of clients and servers; several of a kind may share one.
//
//	redrpc_client_calls_total{function,outcome}
//	redrpc_client_call_duration_seconds{function}  from Call to its end
//	redrpc_client_calls_in_flight{function}
//	redrpc_server_calls_total{function,outcome}
//	redrpc_server_call_duration_seconds{function}  of the handler
//	redrpc_server_calls_in_flight{function}
//
// Outcomes of a client are ok, failed (the function failed, or the server refused
// the arguments), not_sent, no_result, bad_result and error (what an interceptor
// returned instead). Outcomes of a server are ok, error, bad_arguments, bad_result,
// too_large and panic.
//
// [Dropped] counts what a server did not answer, and so no interceptor saw, and
// [Queues] looks at what waits in Redis:
//
//	redrpc_server_malformed_total{function}
//	redrpc_server_expired_total{function}
//	redrpc_queue_depth{function}
//	redrpc_queue_oldest_seconds{function}          if the call that comes next says when it was sent
//	redrpc_servers_online{kind}
//	redrpc_inspection_up                           1 if Redis could be looked at, else 0
//
// No label has more than [MostValues] values: further functions are "_other".
package rpcprom
