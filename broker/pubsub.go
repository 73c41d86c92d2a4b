package broker

import (
	"maps"
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

var pubsubCommands = []command.Command{
	{Name: "subscribe", Arity: -2, Flags: command.PubSub | command.PerSession | command.WhileSubscribed, Channels: command.AllChannels, Run: withBroker(subscribe),
		Group: "pubsub", Since: "2.0.0", Complexity: "O(N) where N is the number of channels", Summary: "Subscribes to channels."},
	{Name: "unsubscribe", Arity: -1, Flags: command.PubSub | command.PerSession | command.WhileSubscribed, Run: withBroker(unsubscribe),
		Group: "pubsub", Since: "2.0.0", Complexity: "O(N) where N is the number of subscribers of a channel", Summary: "Ends subscriptions to channels, or to all."},
	{Name: "psubscribe", Arity: -2, Flags: command.PubSub | command.PerSession | command.WhileSubscribed, Channels: command.ChannelPatterns, Run: withBroker(psubscribe),
		Group: "pubsub", Since: "2.0.0", Complexity: "O(N) where N is the number of patterns", Summary: "Subscribes to all channels that match patterns."},
	{Name: "punsubscribe", Arity: -1, Flags: command.PubSub | command.PerSession | command.WhileSubscribed, Run: withBroker(punsubscribe),
		Group: "pubsub", Since: "2.0.0", Complexity: "O(N) where N is the number of subscribers of a pattern", Summary: "Ends subscriptions to patterns, or to all."},
	{Name: "ssubscribe", Arity: -2, Flags: command.PubSub | command.PerSession | command.WhileSubscribed, Keys: command.KeysUpTo(-1, 1, "not_key"), Channels: command.AllChannels, Run: withBroker(ssubscribe),
		Group: "pubsub", Since: "7.0.0", Complexity: "O(N) where N is the number of channels", Summary: "Subscribes to channels of a shard."},
	{Name: "sunsubscribe", Arity: -1, Flags: command.PubSub | command.PerSession | command.WhileSubscribed, Keys: command.KeysUpTo(-1, 1, "not_key"), Run: withBroker(sunsubscribe),
		Group: "pubsub", Since: "7.0.0", Complexity: "O(N) where N is the number of subscribers of a channel", Summary: "Ends subscriptions to channels of a shard, or to all."},
	{Name: "spublish", Arity: 3, Flags: command.PubSub | command.Always | command.Fast | command.MayReplicate, Keys: command.OneKey("not_key"), Channels: command.OneChannel, Run: withBroker(spublish),
		Group: "pubsub", Since: "7.0.0", Complexity: "O(N) where N is the number of subscribers", Summary: "Sends a message to the subscribers of a shard's channel."},
	{Name: "publish", Arity: 3, Flags: command.PubSub | command.Always | command.Fast | command.MayReplicate, Channels: command.OneChannel, Run: withBroker(publish),
		Group: "pubsub", Since: "2.0.0", Complexity: "O(N+M) where N is the number of subscribers and M the number of patterns", Summary: "Sends a message to the subscribers of a channel."},
	{Name: "pubsub", Arity: -2, Group: "pubsub", Since: "2.8.0", Complexity: "Depends on the sub-command.", Summary: "Commands about subscriptions.", Subs: []*command.Command{
		{Name: "channels", Arity: -2, Flags: command.PubSub | command.Always, Run: withBroker(pubsubChannels), Since: "2.8.0", Complexity: "O(N) where N is the number of channels", Summary: "Returns the channels that have subscribers."},
		{Name: "help", Arity: 2, Flags: command.Always, Since: "6.2.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "numpat", Arity: 2, Flags: command.PubSub | command.Always, Run: withBroker(pubsubNumPat), Since: "2.8.0", Complexity: "O(1)", Summary: "Returns the number of patterns that have subscribers."},
		{Name: "shardchannels", Arity: -2, Flags: command.PubSub | command.Always, Run: withBroker(pubsubShardChannels), Since: "7.0.0", Complexity: "O(N) where N is the number of channels", Summary: "Returns the channels of a shard that have subscribers."},
		{Name: "shardnumsub", Arity: -2, Flags: command.PubSub | command.Always, Run: withBroker(pubsubShardNumSub), Since: "7.0.0", Complexity: "O(N) where N is the number of channels asked for", Summary: "Returns how many subscribers channels of a shard have."},
		{Name: "numsub", Arity: -2, Flags: command.PubSub | command.Always, Run: withBroker(pubsubNumSub), Since: "2.8.0", Complexity: "O(N) where N is the number of channels asked for", Summary: "Returns how many subscribers channels have."},
	}},
}

// A subscriptionKind is what clients subscribe to.
type subscriptionKind int

const (
	channels subscriptionKind = iota
	patterns                  // of channels
	shards                    // channels of their own, which in a cluster belong to a shard
	subscriptionKinds
)

// subscriptionWords are what the replies and messages of a kind are called.
var subscriptionWords = [subscriptionKinds]struct{ subscribe, unsubscribe, message string }{
	channels: {"subscribe", "unsubscribe", "message"},
	patterns: {"psubscribe", "punsubscribe", "pmessage"},
	shards:   {"ssubscribe", "sunsubscribe", "smessage"},
}

// pubsub knows who is subscribed to what, in the order of subscription.
type pubsub [subscriptionKinds]map[string][]*session

// subscriptions are what one client is subscribed to.
type subscriptions [subscriptionKinds]map[string]struct{}

func (p *pubsub) init() {
	for kind := range p {
		p[kind] = map[string][]*session{}
	}
}

// any reports whether the client is subscribed to anything.
func (o *subscriptions) any() bool {
	return len(o[channels])+len(o[patterns])+len(o[shards]) > 0
}

// count is the number that the replies of a kind tell: channels and patterns are
// counted together.
func (o *subscriptions) count(kind subscriptionKind) resp.Reply {
	if kind == shards {
		return resp.Int(len(o[shards]))
	}
	return resp.Int(len(o[channels]) + len(o[patterns]))
}

// publish delivers a message to the subscribers of a channel, or a shard's, and
// returns how many times.
func (p *pubsub) publish(kind subscriptionKind, channel, message []byte) int {
	receivers := p[kind][string(channel)]
	n := len(receivers)
	if n > 0 {
		m := resp.Push(resp.BulkString(subscriptionWords[kind].message), resp.Bulk(channel), resp.Bulk(message))
		for _, s := range receivers {
			s.reply(&m)
		}
	}
	if kind == shards || len(p[patterns]) == 0 {
		return n
	}
	name := string(channel)
	for _, pattern := range slices.Sorted(maps.Keys(p[patterns])) {
		receivers := p[patterns][pattern]
		if !glob.Match(pattern, name, false) {
			continue
		}
		m := resp.Push(resp.BulkString(subscriptionWords[patterns].message), resp.BulkString(pattern), resp.Bulk(channel), resp.Bulk(message))
		for _, s := range receivers {
			s.reply(&m)
		}
		n += len(receivers)
	}
	return n
}

// subscribe begins subscriptions.
func (s *session) subscribe(kind subscriptionKind, names [][]byte) resp.Reply {
	all, own := s.broker.pubsub[kind], s.subscriptions[kind]
	if own == nil {
		own = map[string]struct{}{}
		s.subscriptions[kind] = own
	}
	var replies []resp.Reply
	for _, name := range names {
		if _, known := own[string(name)]; !known {
			own[string(name)] = struct{}{}
			all[string(name)] = append(all[string(name)], s)
		}
		replies = append(replies, resp.Push(resp.BulkString(subscriptionWords[kind].subscribe), resp.Bulk(name), s.subscriptions.count(kind)))
	}
	return resp.Sequence(replies...)
}

// unsubscribe ends the named subscriptions, or all if there are no names.
func (s *session) unsubscribe(kind subscriptionKind, names [][]byte) resp.Reply {
	all, own := s.broker.pubsub[kind], s.subscriptions[kind]
	word := resp.BulkString(subscriptionWords[kind].unsubscribe)
	if len(names) == 0 {
		for _, name := range slices.Sorted(maps.Keys(own)) {
			names = append(names, []byte(name))
		}
		if len(names) == 0 {
			return resp.Push(word, resp.Null, s.subscriptions.count(kind))
		}
	}
	var replies []resp.Reply
	for _, name := range names {
		if _, known := own[string(name)]; known {
			delete(own, string(name))
			rest := slices.DeleteFunc(all[string(name)], func(x *session) bool { return x == s })
			if len(rest) == 0 {
				delete(all, string(name))
			} else {
				all[string(name)] = rest
			}
		}
		replies = append(replies, resp.Push(word, resp.Bulk(name), s.subscriptions.count(kind)))
	}
	return resp.Sequence(replies...)
}

func (s *session) unsubscribeAll() {
	for kind := range subscriptionKinds {
		s.unsubscribe(kind, nil)
	}
}

func subscribe(c *call, args [][]byte) resp.Reply   { return c.session.subscribe(channels, args[1:]) }
func psubscribe(c *call, args [][]byte) resp.Reply  { return c.session.subscribe(patterns, args[1:]) }
func unsubscribe(c *call, args [][]byte) resp.Reply { return c.session.unsubscribe(channels, args[1:]) }
func punsubscribe(c *call, args [][]byte) resp.Reply {
	return c.session.unsubscribe(patterns, args[1:])
}
func sunsubscribe(c *call, args [][]byte) resp.Reply { return c.session.unsubscribe(shards, args[1:]) }

func ssubscribe(c *call, args [][]byte) resp.Reply {
	if c.session.transaction.running {
		return resp.ErrorReply("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
	}
	return c.session.subscribe(shards, args[1:])
}

func publish(c *call, args [][]byte) resp.Reply {
	return resp.Int(c.pubsub.publish(channels, args[1], args[2]))
}

func spublish(c *call, args [][]byte) resp.Reply {
	return resp.Int(c.pubsub.publish(shards, args[1], args[2]))
}

func pubsubChannels(c *call, args [][]byte) resp.Reply      { return c.listChannels(channels, args) }
func pubsubShardChannels(c *call, args [][]byte) resp.Reply { return c.listChannels(shards, args) }
func pubsubNumSub(c *call, args [][]byte) resp.Reply        { return c.countSubscribers(channels, args) }
func pubsubShardNumSub(c *call, args [][]byte) resp.Reply   { return c.countSubscribers(shards, args) }
func pubsubNumPat(c *call, _ [][]byte) resp.Reply           { return resp.Int(len(c.pubsub[patterns])) }

func (c *call) listChannels(kind subscriptionKind, args [][]byte) resp.Reply {
	if len(args) > 3 {
		return tooManyArguments(args)
	}
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(c.pubsub[kind])) {
		if len(args) == 2 || glob.Match(string(args[2]), name, false) {
			names = append(names, name)
		}
	}
	return resp.BulkStrings(names)
}

func (c *call) countSubscribers(kind subscriptionKind, args [][]byte) resp.Reply {
	var pairs []resp.Reply
	for _, name := range args[2:] {
		pairs = append(pairs, resp.Bulk(name), resp.Int(len(c.pubsub[kind][string(name)])))
	}
	return resp.Array(pairs...)
}
