package broker

import (
	"maps"
	"slices"
)

// pubsub knows who is subscribed to what, in the order of subscription.
type pubsub struct {
	channels map[string][]*session
	patterns map[string][]*session
}

func (p *pubsub) init() {
	p.channels = map[string][]*session{}
	p.patterns = map[string][]*session{}
}

// publish delivers a message and returns how many times.
func (p *pubsub) publish(channel, message []byte) int {
	receivers := p.channels[string(channel)]
	m := push(bulkString("message"), bulk(channel), bulk(message))
	for _, s := range receivers {
		s.reply(&m)
	}
	n := len(receivers)
	if len(p.patterns) == 0 {
		return n
	}
	name := string(channel)
	for pattern, receivers := range p.patterns {
		if !match(pattern, name, false) {
			continue
		}
		m := push(bulkString("pmessage"), bulkString(pattern), bulk(channel), bulk(message))
		for _, s := range receivers {
			s.reply(&m)
		}
		n += len(receivers)
	}
	return n
}

// A subscriptionKind is channels or patterns: where they are kept, and the words
// for them.
type subscriptionKind struct {
	subscribe, unsubscribe string
	all                    func(*pubsub) map[string][]*session
	own                    func(*session) *map[string]struct{}
}

var byChannel = subscriptionKind{"subscribe", "unsubscribe",
	func(p *pubsub) map[string][]*session { return p.channels },
	func(s *session) *map[string]struct{} { return &s.channels }}

var byPattern = subscriptionKind{"psubscribe", "punsubscribe",
	func(p *pubsub) map[string][]*session { return p.patterns },
	func(s *session) *map[string]struct{} { return &s.patterns }}

func (k *subscriptionKind) add(c *call, names [][]byte) reply {
	s := c.session
	all, own := k.all(&c.pubsub), k.own(s)
	if *own == nil {
		*own = map[string]struct{}{}
	}
	var replies []reply
	for _, name := range names {
		if _, known := (*own)[string(name)]; !known {
			(*own)[string(name)] = struct{}{}
			all[string(name)] = append(all[string(name)], s)
		}
		replies = append(replies, push(bulkString(k.subscribe), bulk(name), count(s.subscriptions())))
	}
	return sequence(replies...)
}

// drop ends the named subscriptions, or all if there are no names.
func (k *subscriptionKind) drop(b *Broker, s *session, names [][]byte) reply {
	own := *k.own(s)
	if len(names) == 0 {
		for _, name := range slices.Sorted(maps.Keys(own)) {
			names = append(names, []byte(name))
		}
		if len(names) == 0 {
			return push(bulkString(k.unsubscribe), null, count(s.subscriptions()))
		}
	}
	all := k.all(&b.pubsub)
	var replies []reply
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
		replies = append(replies, push(bulkString(k.unsubscribe), bulk(name), count(s.subscriptions())))
	}
	return sequence(replies...)
}

func (s *session) unsubscribeAll() {
	byChannel.drop(s.broker, s, nil)
	byPattern.drop(s.broker, s, nil)
}

func subscribe(c *call, args [][]byte) reply    { return byChannel.add(c, args[1:]) }
func psubscribe(c *call, args [][]byte) reply   { return byPattern.add(c, args[1:]) }
func unsubscribe(c *call, args [][]byte) reply  { return byChannel.drop(c.Broker, c.session, args[1:]) }
func punsubscribe(c *call, args [][]byte) reply { return byPattern.drop(c.Broker, c.session, args[1:]) }

func publish(c *call, args [][]byte) reply { return count(c.pubsub.publish(args[1], args[2])) }

func pubsubChannels(c *call, args [][]byte) reply {
	if len(args) > 3 {
		return tooManyArguments(args)
	}
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(c.pubsub.channels)) {
		if len(args) == 2 || match(string(args[2]), name, false) {
			names = append(names, name)
		}
	}
	return bulkStrings(names)
}

func pubsubNumSub(c *call, args [][]byte) reply {
	var pairs []reply
	for _, name := range args[2:] {
		pairs = append(pairs, bulk(name), count(len(c.pubsub.channels[string(name)])))
	}
	return array(pairs...)
}

func pubsubNumPat(c *call, _ [][]byte) reply { return count(len(c.pubsub.patterns)) }
