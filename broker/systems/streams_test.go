package systems

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/centrifugal/centrifuge"
	"github.com/redis/go-redis/v9"
)

// lent returns a client that its user closes.
func (s server) lent() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr, Dialer: s.dial})
}

// subscribe starts a consumer that takes over what another has not acknowledged for idle.
func subscribe(t *testing.T, s server, group, consumer string, idle time.Duration) (*redisstream.Subscriber, <-chan *message.Message) {
	t.Helper()
	subscriber, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client: s.lent(), ConsumerGroup: group, Consumer: consumer,
		BlockTime: 10 * time.Millisecond, ClaimInterval: 10 * time.Millisecond, MaxIdleTime: idle,
		FanOutOldestId: "0", DisableIndefiniteInitialBlock: true,
	}, nil)
	ok(t, err)
	messages, err := subscriber.Subscribe(t.Context(), "orders")
	ok(t, err)
	return subscriber, messages
}

func TestWatermill(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		rdb := s.client(t)
		publisher, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: s.lent(), DefaultMaxlen: 100}, nil)
		ok(t, err)
		publish := func(payload string) {
			t.Helper()
			m := message.NewMessage(watermill.NewUUID(), message.Payload(payload))
			m.Metadata.Set("by", "ann")
			ok(t, publisher.Publish("orders", m))
		}
		for n := range 3 {
			publish(fmt.Sprint(n))
		}

		// A group: each message goes to one consumer, again until it is acknowledged.
		first, messages := subscribe(t, s, "workers", "first", time.Hour)
		m := receive(t, "a message", messages)
		equal(t, "payload", string(m.Payload), "0")
		equal(t, "metadata", m.Metadata.Get("by"), "ann")
		m.Nack()
		m = receive(t, "it again", messages)
		equal(t, "payload", string(m.Payload), "0")
		m.Ack()
		equal(t, "payload", string(receive(t, "the second", messages).Payload), "1") // not acknowledged
		ok(t, first.Close())
		pending, err := rdb.XPending(t.Context(), "orders", "workers").Result()
		ok(t, err)
		equal(t, "pending", pending.Consumers["first"] >= 1, true)

		// Another takes over what is left behind.
		second, messages := subscribe(t, s, "workers", "second", time.Millisecond)
		seen := map[string]bool{}
		for !seen["1"] || !seen["2"] {
			m := receive(t, "what is left behind", messages)
			seen[string(m.Payload)] = true
			m.Ack()
		}
		eventually(t, "all to be acknowledged", func() bool {
			p, err := rdb.XPending(t.Context(), "orders", "workers").Result()
			ok(t, err)
			return p.Count == 0
		})
		publish("late")
		m = receive(t, "a late one", messages)
		equal(t, "payload", string(m.Payload), "late")
		m.Ack()
		ok(t, second.Close())

		// Without a group everybody reads all.
		for range 2 {
			each, messages := subscribe(t, s, "", "", time.Hour)
			for _, want := range []string{"0", "1", "2", "late"} {
				m := receive(t, "each message", messages)
				equal(t, "payload", string(m.Payload), want)
				m.Ack()
			}
			ok(t, each.Close())
		}
		ok(t, publisher.Close())
	})
}

// centrifugeNode makes a node with its history and presence in Redis.
func centrifugeNode(t *testing.T, s server) (*centrifuge.Node, *centrifuge.RedisPresenceManager) {
	t.Helper()
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelNone})
	ok(t, err)
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: s.addr})
	ok(t, err)
	t.Cleanup(shard.Close)
	shards := []*centrifuge.RedisShard{shard}
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: shards})
	ok(t, err)
	node.SetBroker(broker)
	presence, err := centrifuge.NewRedisPresenceManager(node, centrifuge.RedisPresenceManagerConfig{Shards: shards})
	ok(t, err)
	node.SetPresenceManager(presence)
	return node, presence
}

func TestCentrifuge(t *testing.T) {
	t.Parallel()
	onEachByTCP(t, func(t *testing.T, s server) {
		one, presence := centrifugeNode(t, s)
		two, _ := centrifugeNode(t, s)
		notes := make(chan string, 10)
		for _, node := range []*centrifuge.Node{one, two} {
			node.OnNotification(func(e centrifuge.NotificationEvent) { notes <- e.Op + " " + string(e.Data) })
			node.OnSurvey(func(e centrifuge.SurveyEvent, reply centrifuge.SurveyCallback) {
				reply(centrifuge.SurveyReply{Data: append([]byte("heard "), e.Data...)})
			})
			ok(t, node.Run())
			t.Cleanup(func() { ok(t, node.Shutdown(context.Background())) })
		}
		eventually(t, "the nodes to know each other", func() bool {
			info, err := one.Info()
			ok(t, err)
			return len(info.Nodes) == 2
		})
		ok(t, one.Notify("wake", []byte("up"), two.ID()))
		equal(t, "notification", receive(t, "a notification", notes), "wake up")
		answers, err := one.Survey(bounded(t), "ask", []byte("this"), two.ID())
		ok(t, err)
		equal(t, "answer", string(answers[two.ID()].Data), "heard this")

		// A channel with a history of three publications.
		var last centrifuge.StreamPosition
		for n := range 5 {
			r, err := one.Publish("news", []byte(fmt.Sprint(n)), centrifuge.WithHistory(3, time.Hour), centrifuge.WithIdempotencyKey(fmt.Sprint(n)))
			ok(t, err)
			last = r.StreamPosition
		}
		again, err := one.Publish("news", []byte("4"), centrifuge.WithHistory(3, time.Hour), centrifuge.WithIdempotencyKey("4"))
		ok(t, err)
		equal(t, "position of what was published before", again.StreamPosition, last)
		history, err := two.History("news", centrifuge.WithHistoryFilter(centrifuge.HistoryFilter{Limit: -1}))
		ok(t, err)
		equal(t, "offset", history.Offset, 5)
		texts := func(h centrifuge.HistoryResult) (all []string) {
			for _, p := range h.Publications {
				all = append(all, string(p.Data))
			}
			return all
		}
		equal(t, "history", texts(history), []string{"2", "3", "4"})
		since := centrifuge.StreamPosition{Offset: 3, Epoch: history.Epoch}
		history, err = two.History("news", centrifuge.WithHistoryFilter(centrifuge.HistoryFilter{Limit: 1, Since: &since}))
		ok(t, err)
		equal(t, "the one after the third", texts(history), []string{"3"})
		ok(t, one.RemoveHistory("news"))
		history, err = two.History("news", centrifuge.WithHistoryFilter(centrifuge.HistoryFilter{Limit: -1}))
		ok(t, err)
		equal(t, "history", len(history.Publications), 0)

		for _, client := range []string{"phone", "laptop"} {
			ok(t, presence.AddPresence("news", client, &centrifuge.ClientInfo{ClientID: client, UserID: "ann"}))
		}
		stats, err := two.PresenceStats("news")
		ok(t, err)
		equal(t, "presence", [2]int{stats.NumClients, stats.NumUsers}, [2]int{2, 1})
		ok(t, presence.RemovePresence("news", "phone", "ann"))
		present, err := two.Presence("news")
		ok(t, err)
		equal(t, "who is present", present.Presence["laptop"].UserID, "ann")
		equal(t, "clients", len(present.Presence), 1)
	})
}
