"""What a program does with limits, a rate limiter. It prints "fine"."""

import os
import time

from limits import RateLimitItemPerHour, RateLimitItemPerSecond
from limits.storage import storage_from_string
from limits.strategies import FixedWindowElasticExpiryRateLimiter, FixedWindowRateLimiter, MovingWindowRateLimiter

WAIT = 60
storage = storage_from_string(os.environ["REDIS_URL"])
assert storage.check()


def await_that(what, holds):
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


hourly = RateLimitItemPerHour(3)
for strategy in (FixedWindowRateLimiter, FixedWindowElasticExpiryRateLimiter, MovingWindowRateLimiter):
    limiter, name = strategy(storage), strategy.__name__
    assert [limiter.hit(hourly, name, "ann") for _ in range(4)] == [True, True, True, False]
    assert not limiter.test(hourly, name, "ann")
    assert limiter.test(hourly, name, "bob")
    reset, remaining = limiter.get_window_stats(hourly, name, "ann")
    assert remaining == 0 and 0 < reset - time.time() <= 3601, (reset, remaining)
    assert limiter.get_window_stats(hourly, name, "bob")[1] == 3
    limiter.clear(hourly, name, "ann")
    assert limiter.hit(hourly, name, "ann", cost=2) and not limiter.hit(hourly, name, "ann", cost=2)

    each_second = RateLimitItemPerSecond(1)
    limiter.hit(each_second, name, "cid")
    await_that("the second to end", lambda: limiter.test(each_second, name, "cid"))

assert storage.reset() > 0
print("fine")
