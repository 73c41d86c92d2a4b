"""What a program does with kombu. It prints "fine"."""

import os
import socket
import time

from kombu import Connection, Consumer, Exchange, Producer, Queue

WAIT = 60


def drain(connection, messages):
    """Handles so many messages."""
    for _ in range(messages):
        connection.drain_events(timeout=WAIT)


with Connection(os.environ["REDIS_URL"]) as connection:
    # A simple queue.
    simple = connection.SimpleQueue("simple")
    for n in range(5):
        simple.put({"n": n}, compression="zlib" if n % 2 else None)
    assert simple.qsize() == 5
    message = simple.get(timeout=WAIT)
    assert message.payload == {"n": 0}
    message.ack()
    message = simple.get(timeout=WAIT)
    message.requeue()
    rest = [simple.get(timeout=WAIT) for _ in range(4)]
    assert sorted(m.payload["n"] for m in rest) == [1, 2, 3, 4]
    for m in rest:
        m.ack()
    try:
        simple.get(block=False)
        raise SystemExit("an empty queue has a message")
    except simple.Empty:
        pass
    simple.put("left")
    assert simple.clear() == 1
    simple.close()

    # Exchanges, bindings, acknowledgements.
    tasks = Exchange("tasks", type="topic")
    queues = [Queue("errors", tasks, routing_key="*.error"), Queue("all", tasks, routing_key="#")]
    received = []

    def handle(body, message):
        received.append((message.delivery_info["routing_key"], body))
        if body == "again" and received.count(("db.error", "again")) in (1, 2):
            message.reject(requeue=True)
        else:
            message.ack()

    channel = connection.channel()
    with Consumer(channel, queues, callbacks=[handle]) as consumer:
        consumer.qos(prefetch_count=2)
        producer = Producer(connection.channel(), serializer="json", exchange=tasks)
        producer.publish("ok", routing_key="web.info")
        producer.publish("again", routing_key="db.error")
        drain(connection, 5)  # one of "all", one of either, and two that were rejected
        assert sorted(received) == [("db.error", "again")] * 4 + [("web.info", "ok")], received
    assert channel.client.hlen("unacked") == 0 and channel.client.zcard("unacked_index") == 0

    # Priorities: of those that wait the highest comes first.
    ordered = Queue("ordered", Exchange("ordered", type="direct"), routing_key="ordered")
    producer = Producer(connection.channel(), serializer="json", exchange=ordered.exchange, routing_key="ordered")
    for priority in (9, 0, 3):
        producer.publish(priority, priority=priority, declare=[ordered])
    order = []
    with Consumer(channel, [ordered], callbacks=[lambda body, m: (order.append(body), m.ack())], prefetch_count=1):
        drain(connection, 3)
    assert order == [0, 3, 9], order

    # What is not acknowledged comes again: after a time, and when the channel is closed.
    lost = Queue("lost", Exchange("lost", type="direct"), routing_key="lost")
    Producer(connection.channel(), serializer="json", exchange=lost.exchange, routing_key="lost").publish("slow", declare=[lost])
    careless = connection.channel()
    held = []
    with Consumer(careless, [lost], callbacks=[lambda body, m: held.append(body)]):
        drain(connection, 1)
    assert careless.client.hlen("unacked") == 1
    careless.qos.visibility_timeout = -1
    careless.qos.restore_visible(start=0, num=10, interval=1)
    assert careless.client.hlen("unacked") == 0
    assert careless.client.llen("lost") == 1
    with Consumer(careless, [lost], callbacks=[lambda body, m: held.append(body)]):
        drain(connection, 1)
    careless.close()
    assert held == ["slow", "slow"], held
    assert lost(channel).purge() == 1
    lost(channel).delete()
    try:
        lost(channel).queue_declare(passive=True)
        raise SystemExit("a queue that was deleted is there")
    except connection.channel_errors:
        pass

    # A fanout exchange reaches all who listen now.
    news = Exchange("news", type="fanout")
    heard = []
    with Connection(os.environ["REDIS_URL"]) as other:
        listeners = [
            Consumer(c.channel(), [Queue(name, news)], callbacks=[lambda body, m: heard.append(body)], no_ack=True)
            for name, c in (("one", connection), ("two", other))
        ]
        with listeners[0], listeners[1]:
            deadline = time.monotonic() + WAIT
            while sum(int(c["psub"]) for c in channel.client.client_list()) < 2:
                assert time.monotonic() < deadline, "waited too long for the subscriptions"
                for c in (connection, other):
                    try:
                        c.drain_events(timeout=0.01)
                    except socket.timeout:
                        pass
            Producer(connection.channel(), exchange=news, serializer="json").publish("hello")
            drain(connection, 1)
            drain(other, 1)
    assert heard == ["hello", "hello"], heard
print("fine")
