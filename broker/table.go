package broker

import (
	"slices"
	"sync"

	"redrpc/broker/internal/acl"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/types/hash"
	"redrpc/broker/internal/types/keys"
	"redrpc/broker/internal/types/list"
	"redrpc/broker/internal/types/set"
	"redrpc/broker/internal/types/str"
	"redrpc/broker/internal/types/stream"
	"redrpc/broker/internal/types/zset"
)

// types are those that values have.
var types = keyspace.Types{str.Type, list.Type, hash.Type, set.Type, zset.Type, stream.Type}

// table has Redis's commands, and testTable those of Options.TestCommands, too.
var table, testTable *command.Table

func init() {
	table = (&command.Table{}).With(rows)
	testTable = table.With(testRows)
}

// catalogueOf numbers all commands for access control. That is done when somebody asks
// what a user may do who may not do everything.
var catalogueOf = sync.OnceValue(func() *acl.Catalogue { return acl.NewCatalogue(table, testTable) })

// rows are the commands of Redis that the broker has. What is known of one stands in its
// row, beside its function. Names, arities, flags, key places and complexities are those of
// Redis 7.0.15.
var rows = slices.Concat(
	connectionCommands,
	clientCommands,
	aclCommands,
	commandCommands,
	configCommands,
	debugCommands,
	slowlogCommands,
	latencyCommands,
	monitorCommands,
	infoCommands,
	memoryCommands,
	persistenceCommands,
	replicationCommands,
	clusterCommands,
	serverCommands,
	keys.Commands,
	str.Commands,
	list.Commands,
	hash.Commands,
	set.Commands,
	zset.Commands,
	stream.Commands,
	transactionCommands,
	scriptCommands,
	functionCommands,
	pubsubCommands,
)
