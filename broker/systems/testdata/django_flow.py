"""What a program does with django-redis: a cache and sessions. It prints "fine"."""

import os
import time

from django.conf import settings

WAIT = 60
CACHE = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]}
settings.configure(
    CACHES={
        "default": dict(CACHE, KEY_PREFIX="site"),
        "packed": dict(CACHE, OPTIONS={"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"}),
    },
    SECRET_KEY="secret",
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
)

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import cache, caches  # noqa: E402
from django_redis import get_redis_connection  # noqa: E402


def await_that(what, holds):
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


def values():
    cache.set("article", {"title": "Title", "tags": ["a", "b"]}, timeout=3600)
    assert cache.get("article") == {"title": "Title", "tags": ["a", "b"]}
    assert 3590 < cache.ttl("article") <= 3600
    assert cache.touch("article", 7200) and cache.ttl("article") > 3600
    assert cache.persist("article") and cache.ttl("article") is None
    assert cache.add("article", "other") is False
    assert cache.add("new", 1) is True
    assert cache.get("none", "default") == "default"
    assert cache.get_or_set("made", lambda: "made") == "made"
    cache.set_many({f"key:{n}": n for n in range(50)})
    assert cache.get_many([f"key:{n}" for n in range(60)]) == {f"key:{n}": n for n in range(50)}
    assert cache.delete("new") and "new" not in cache
    assert cache.delete_pattern("key:1*") == 11
    assert len(set(cache.iter_keys("key:*", itersize=10))) == 39
    cache.set("short", 1, timeout=0.05)
    await_that("a key to expire", lambda: cache.get("short") is None)
    packed = caches["packed"]
    packed.set("big", "x" * 100_000)
    assert packed.get("big") == "x" * 100_000
    assert get_redis_connection("packed").strlen(":1:big") < 1000


def numbers():
    cache.set("n", 10, timeout=3600)
    assert cache.incr("n") == 11
    assert cache.incr("n", 2**40) == 11 + 2**40
    assert cache.decr("n", 2**40) == 11
    assert cache.ttl("n") > 3000
    try:
        cache.incr("none")
        raise AssertionError("a key that is none was incremented")
    except ValueError:
        pass
    cache.set("versioned", "old", version=1)
    assert cache.incr_version("versioned") == 2
    assert cache.get("versioned", version=2) == "old" and cache.get("versioned", version=1) is None


def locks():
    with cache.lock("job", timeout=60) as held:
        assert cache.lock("job").acquire(blocking=False) is False
        assert held.owned()
        held.extend(60)
        assert get_redis_connection("default").pttl("site:1:job") > 60_000
        held.reacquire()
        assert get_redis_connection("default").pttl("site:1:job") <= 60_000
    again = cache.lock("job", timeout=60)
    assert again.acquire(blocking=False)
    again.release()


def sessions():
    session = SessionStore()
    session["name"] = "ann"
    session.set_expiry(3600)
    session.save()
    assert SessionStore(session.session_key)["name"] == "ann"
    old = session.session_key
    session.cycle_key()
    assert SessionStore(session.session_key)["name"] == "ann"
    assert not session.exists(old)
    session.flush()
    assert session.session_key is None


values()
numbers()
locks()
sessions()
cache.clear()
assert get_redis_connection("default").dbsize() == 0
print("fine")
