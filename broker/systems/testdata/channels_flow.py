"""What a program does with channels-redis. It prints "fine"."""

import asyncio
import os

from channels.exceptions import ChannelFull
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

WAIT = 60
URL = os.environ["REDIS_URL"]


def receive(layer, channel):
    return asyncio.wait_for(layer.receive(channel), WAIT)


async def channels():
    """Messages that are kept in sorted sets until they are received, or expire."""
    layer = RedisChannelLayer(hosts=[URL], capacity=3, expiry=3600, symmetric_encryption_keys=["secret"])
    for n in range(3):
        await layer.send("work", {"type": "task", "n": n, "bytes": b"\x00\xff"})
    try:
        await layer.send("work", {"type": "task"})
        raise AssertionError("a full channel has taken a message")
    except ChannelFull:
        pass
    for n in range(3):
        assert await receive(layer, "work") == {"type": "task", "n": n, "bytes": b"\x00\xff"}
    waiting = asyncio.ensure_future(receive(layer, "work"))
    async with layer.connection(layer.consistent_hash("work")) as connection:
        while not any(c["cmd"] == "bzpopmin" for c in await connection.client_list()):
            await asyncio.sleep(0.01)
    await layer.send("work", {"type": "late"})
    assert await waiting == {"type": "late"}

    # Groups: who joined gets what is sent, unless it has left, or is full.
    names = [await layer.new_channel() for _ in range(3)]
    for name in names:
        await layer.group_add("chat", name)
    await layer.group_discard("chat", names[2])
    for _ in range(5):  # of which three fit
        await layer.group_send("chat", {"type": "hello"})
    for name in names[:2]:
        for _ in range(3):
            assert await receive(layer, name) == {"type": "hello"}
    await layer.group_send("nobody", {"type": "hello"})

    short = RedisChannelLayer(hosts=[URL], prefix="short", expiry=1)
    await short.send("work", {"type": "forgotten"})
    async with short.connection(short.consistent_hash("work")) as connection:
        while await connection.exists("shortwork"):
            await asyncio.sleep(0.01)
    await layer.flush()
    async with layer.connection(0) as connection:
        assert await connection.keys("asgi*") == []
    await layer.close_pools()
    await short.close_pools()


async def pubsub():
    """Messages that reach who listens."""
    one, two = (RedisPubSubChannelLayer(hosts=[URL]) for _ in range(2))
    first, second = await one.new_channel(), await two.new_channel()
    await one.group_add("chat", first)
    await two.group_add("chat", second)
    await one.group_send("chat", {"type": "hello"})
    assert await receive(one, first) == {"type": "hello"}
    assert await receive(two, second) == {"type": "hello"}
    await two.send(first, {"type": "direct"})
    assert await receive(one, first) == {"type": "direct"}
    await one.flush()
    await two.flush()


async def main():
    await channels()
    await pubsub()


asyncio.run(main())
print("fine")
