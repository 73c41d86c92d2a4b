package systems

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	limitstore "github.com/ulule/limiter/v3/drivers/store/redis"
)

func TestRedisRate(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx, rdb := t.Context(), s.client(t)
		limits, limit := redis_rate.NewLimiter(rdb), redis_rate.PerHour(10)
		for n := range 10 {
			r, err := limits.Allow(ctx, "user", limit)
			ok(t, err)
			equal(t, "allowed", r.Allowed, 1)
			equal(t, "remaining", r.Remaining, 9-n)
			equal(t, "retry after", r.RetryAfter, -1)
			if wait := time.Duration(n+1) * 6 * time.Minute; r.ResetAfter <= wait-time.Minute || r.ResetAfter > wait {
				t.Errorf("call %d: reset after %v, want about %v", n, r.ResetAfter, wait)
			}
		}
		r, err := limits.Allow(ctx, "user", limit)
		ok(t, err)
		equal(t, "allowed beyond the limit", r.Allowed, 0)
		if r.RetryAfter <= 5*time.Minute || r.RetryAfter > 6*time.Minute {
			t.Errorf("retry after %v, want about 6 min", r.RetryAfter)
		}
		r, err = limits.AllowN(ctx, "batch", limit, 7)
		ok(t, err)
		equal(t, "allowed of 7", r.Allowed, 7)
		r, err = limits.AllowN(ctx, "batch", limit, 7)
		ok(t, err)
		equal(t, "allowed of 7 more", r.Allowed, 0)
		r, err = limits.AllowAtMost(ctx, "batch", limit, 7)
		ok(t, err)
		equal(t, "allowed at most", r.Allowed, 3)
		r, err = limits.AllowAtMost(ctx, "batch", limit, 7)
		ok(t, err)
		equal(t, "allowed at most of nothing", r.Allowed, 0)
		r, err = limits.AllowN(ctx, "peek", limit, 0)
		ok(t, err)
		equal(t, "remaining before the first", r.Remaining, 10)

		ok(t, limits.Reset(ctx, "user"))
		r, err = limits.Allow(ctx, "user", limit)
		ok(t, err)
		equal(t, "remaining after a reset", r.Remaining, 9)
		quick := redis_rate.Limit{Rate: 1, Period: 40 * time.Millisecond, Burst: 1}
		_, err = limits.Allow(ctx, "quick", quick)
		ok(t, err)
		eventually(t, "what was used to be allowed again", func() bool {
			r, err := limits.Allow(ctx, "quick", quick)
			ok(t, err)
			return r.Allowed == 1
		})
	})
}

func TestUluleLimiter(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx, rdb := t.Context(), s.client(t)
		store, err := limitstore.NewStoreWithOptions(rdb, limiter.StoreOptions{Prefix: "api"})
		ok(t, err)
		limit := limiter.New(store, limiter.Rate{Period: time.Hour, Limit: 3})
		handler := stdlib.NewMiddleware(limit).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for _, want := range []struct {
			status    int
			remaining string
		}{{200, "2"}, {200, "1"}, {200, "0"}, {429, "0"}} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			equal(t, "status", w.Code, want.status)
			equal(t, "remaining", w.Header().Get("X-RateLimit-Remaining"), want.remaining)
		}
		peek, err := limit.Peek(ctx, "nobody")
		ok(t, err)
		equal(t, "remaining of nobody", peek.Remaining, 3)
		many, err := limit.Increment(ctx, "batch", 5)
		ok(t, err)
		equal(t, "reached", many.Reached, true)
		reset, err := limit.Reset(ctx, "batch")
		ok(t, err)
		equal(t, "remaining after a reset", reset.Remaining, 3)

		// The server has forgotten the script.
		ok(t, rdb.ScriptFlush(ctx).Err())
		again, err := limit.Get(ctx, "batch")
		ok(t, err)
		equal(t, "remaining after SCRIPT FLUSH", again.Remaining, 2)
		quick := limiter.New(store, limiter.Rate{Period: 30 * time.Millisecond, Limit: 1})
		_, err = quick.Get(ctx, "quick")
		ok(t, err)
		eventually(t, "the period to end", func() bool {
			c, err := quick.Get(ctx, "quick")
			ok(t, err)
			return !c.Reached
		})
	})
}
