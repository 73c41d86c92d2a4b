package broker

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// Commands about a cluster, which the broker is not part of.

var clusterCommands = []command.Command{
	{Name: "cluster", Arity: -2, Group: "cluster", Since: "3.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about a cluster, which refuse.", Subs: []*command.Command{
		{Name: "addslots", Arity: -3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(N) where N is the number of slots", Summary: "Refuses, as there is no cluster."},
		{Name: "addslotsrange", Arity: -4, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "7.0.0", Complexity: "O(N) where N is the number of slots", Summary: "Refuses, as there is no cluster."},
		{Name: "bumpepoch", Arity: 2, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "count-failure-reports", Arity: 3, Flags: command.Admin | command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(N) where N is the number of failure reports", Summary: "Refuses, as there is no cluster."},
		{Name: "countkeysinslot", Arity: 3, Flags: command.Stale, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "delslots", Arity: -3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(N) where N is the number of slots", Summary: "Refuses, as there is no cluster."},
		{Name: "delslotsrange", Arity: -4, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "7.0.0", Complexity: "O(N) where N is the number of slots", Summary: "Refuses, as there is no cluster."},
		{Name: "failover", Arity: -2, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "flushslots", Arity: 2, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "forget", Arity: 3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "getkeysinslot", Arity: 4, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(log(N)) where N is the number of keys asked for", Summary: "Refuses, as there is no cluster."},
		{Name: "help", Arity: 2, Flags: command.Always, Run: withBroker(clusterDisabled), Since: "5.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "info", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "keyslot", Arity: 3, Flags: command.Stale, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(N) where N is the number of bytes in the key", Summary: "Refuses, as there is no cluster."},
		{Name: "links", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "7.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
		{Name: "meet", Arity: -4, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "myid", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "nodes", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
		{Name: "replicas", Arity: 3, Flags: command.Admin | command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "5.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "replicate", Arity: 3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "reset", Arity: -2, Flags: command.Admin | command.NoScript | command.Stale, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
		{Name: "saveconfig", Arity: 2, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "set-config-epoch", Arity: 3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "setslot", Arity: -4, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "shards", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "7.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
		{Name: "slaves", Arity: 3, Flags: command.Admin | command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "slots", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
	}},
	{Name: "asking", Arity: 1, Flags: command.Fast, Run: withBroker(clusterDisabled), ACL: "connection",
		Group: "cluster", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
	{Name: "readonly", Arity: 1, Flags: command.Always | command.Fast, Run: withBroker(clusterDisabled), ACL: "connection",
		Group: "cluster", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
	{Name: "readwrite", Arity: 1, Flags: command.Always | command.Fast, Run: withBroker(clusterDisabled), ACL: "connection",
		Group: "cluster", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
}

var noCluster = resp.ErrorReply("ERR This instance has cluster support disabled")

// clusterDisabled is Redis's reply without cluster support, by which client libraries
// recognise a standalone server.
func clusterDisabled(*call, [][]byte) resp.Reply { return noCluster }
