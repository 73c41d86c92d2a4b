package systems

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/rueidis/rueidislock"
	"github.com/valkey-io/valkey-go/valkeylock"
)

// contenders is how many want a lock at once.
const contenders = 8

// exclusive runs something that takes a lock, a few times at once, and fails if two of
// them hold it at the same time.
func exclusive(t *testing.T, withLock func(critical func()) error) {
	t.Helper()
	var all sync.WaitGroup
	var inside, entered atomic.Int32
	for range contenders {
		all.Go(func() {
			err := withLock(func() {
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock at once", n)
				}
				entered.Add(1)
				inside.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	equal(t, "how many had the lock", entered.Load(), contenders)
}

func TestRedsync(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		rdb := s.client(t)
		rs := redsync.New(goredis.NewPool(rdb))
		t.Run("contend", func(t *testing.T) {
			exclusive(t, func(critical func()) error {
				m := rs.NewMutex("contended", redsync.WithExpiry(time.Minute),
					redsync.WithTries(10_000), redsync.WithRetryDelay(2*time.Millisecond))
				if err := m.Lock(); err != nil {
					return err
				}
				critical()
				_, err := m.Unlock()
				return err
			})
		})
		t.Run("taken", func(t *testing.T) {
			held, other := rs.NewMutex("held", redsync.WithExpiry(time.Minute)), rs.NewMutex("held")
			ok(t, held.Lock())
			isTaken(t, "a lock that is taken", other.TryLock())
			if done, err := other.Unlock(); done || err == nil {
				t.Errorf("unlocking another's lock: got %v, %v", done, err)
			}
			valid, err := held.Valid()
			ok(t, err)
			equal(t, "valid", valid, true)
		})
		t.Run("extend", func(t *testing.T) {
			m := rs.NewMutex("extended", redsync.WithExpiry(time.Minute))
			ok(t, m.Lock())
			ok(t, rdb.PExpire(t.Context(), "extended", 30*time.Second).Err())
			extended, err := m.Extend()
			ok(t, err)
			equal(t, "extended", extended, true)
			if ttl := rdb.PTTL(t.Context(), "extended").Val(); ttl <= 30*time.Second {
				t.Errorf("after it was extended it has %v to live, want about a minute", ttl)
			}
			unlocked, err := m.Unlock()
			ok(t, err)
			equal(t, "unlocked", unlocked, true)
			equal(t, "keys", rdb.Exists(t.Context(), "extended").Val(), 0)
		})
		t.Run("expire", func(t *testing.T) {
			m := rs.NewMutex("short", redsync.WithExpiry(50*time.Millisecond), redsync.WithTimeoutFactor(100))
			next := rs.NewMutex("short", redsync.WithExpiry(time.Minute))
			ok(t, m.Lock())
			eventually(t, "the lock to expire", func() bool { return next.TryLock() == nil })
			_, err := m.Extend()
			isTaken(t, "extending a lock that another has", err)
			if done, err := m.Unlock(); done || err == nil {
				t.Errorf("unlocking a lock that another has: got %v, %v", done, err)
			}
			_, err = next.Unlock()
			ok(t, err)
			if _, err := next.Unlock(); !errors.Is(err, redsync.ErrLockAlreadyExpired) {
				t.Errorf("unlocking twice: got %v, want ErrLockAlreadyExpired", err)
			}
		})
		t.Run("extend or set", func(t *testing.T) {
			m := rs.NewMutex("gone", redsync.WithExpiry(time.Minute), redsync.WithSetNXOnExtend())
			ok(t, m.Lock())
			ok(t, rdb.Del(t.Context(), "gone").Err())
			extended, err := m.Extend()
			ok(t, err)
			equal(t, "extended", extended, true)
			equal(t, "value", rdb.Get(t.Context(), "gone").Val(), m.Value())
		})
	})
}

// Of three servers two have to agree: three databases of one.
func TestRedsyncMajority(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		rdb := s.client(t)
		one, two := s.clientIn(t, 1), s.clientIn(t, 2)
		rs := redsync.New(goredis.NewPool(rdb), goredis.NewPool(one), goredis.NewPool(two))
		ok(t, one.Set(t.Context(), "lock", "another's", time.Minute).Err())
		m := rs.NewMutex("lock", redsync.WithExpiry(time.Minute))
		ok(t, m.TryLock())
		equal(t, "of the third", two.Get(t.Context(), "lock").Val(), m.Value())
		done, _ := m.Unlock() // the error tells of the server that did not agree
		equal(t, "unlocked", done, true)

		ok(t, two.Set(t.Context(), "lock", "another's", time.Minute).Err())
		isTaken(t, "without a majority", m.TryLock())
		equal(t, "what is left of it", rdb.Exists(t.Context(), "lock").Val(), 0)
	})
}

func isTaken(t *testing.T, what string, err error) {
	t.Helper()
	if _, is := errors.AsType[*redsync.ErrTaken](err); !is {
		t.Errorf("%s: got %v, want ErrTaken", what, err)
	}
}

func TestRedislock(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx, rdb := t.Context(), s.client(t)
		locker := redislock.New(rdb)
		t.Run("contend", func(t *testing.T) {
			exclusive(t, func(critical func()) error {
				l, err := locker.Obtain(ctx, "contended", time.Minute, &redislock.Options{
					RetryStrategy: redislock.ExponentialBackoff(time.Millisecond, 8*time.Millisecond)})
				if err != nil {
					return err
				}
				critical()
				return l.Release(ctx)
			})
		})
		t.Run("hold", func(t *testing.T) {
			l, err := locker.Obtain(ctx, "held", 10*time.Second, &redislock.Options{Metadata: "of a worker"})
			ok(t, err)
			equal(t, "metadata", l.Metadata(), "of a worker")
			if _, err := locker.Obtain(ctx, "held", time.Second, nil); !errors.Is(err, redislock.ErrNotObtained) {
				t.Errorf("a lock that is taken: got %v, want ErrNotObtained", err)
			}
			same, err := locker.Obtain(ctx, "held", 10*time.Second, &redislock.Options{Token: l.Token(), Metadata: "of a worker"})
			ok(t, err)
			ok(t, same.Refresh(ctx, time.Minute, nil))
			ttl, err := l.TTL(ctx)
			ok(t, err)
			if ttl <= 10*time.Second || ttl > time.Minute {
				t.Errorf("after it was refreshed it has %v to live, want about a minute", ttl)
			}
			ok(t, l.Release(ctx))
			if err := l.Release(ctx); !errors.Is(err, redislock.ErrLockNotHeld) {
				t.Errorf("releasing twice: got %v, want ErrLockNotHeld", err)
			}
		})
		t.Run("expire", func(t *testing.T) {
			l, err := locker.Obtain(ctx, "short", 30*time.Millisecond, nil)
			ok(t, err)
			eventually(t, "the lock to expire", func() bool {
				ttl, err := l.TTL(ctx)
				ok(t, err)
				return ttl == 0
			})
			if err := l.Refresh(ctx, time.Minute, nil); !errors.Is(err, redislock.ErrNotObtained) {
				t.Errorf("refreshing a lock that expired: got %v, want ErrNotObtained", err)
			}
		})
	})
}

func TestRueidislock(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx := bounded(t)
		lockers := make([]rueidislock.Locker, 2)
		for i := range lockers {
			l, err := rueidislock.NewLocker(rueidislock.LockerOption{
				ClientOption: rueidisOptions(s), KeyMajority: 1, KeyValidity: time.Hour, TryNextAfter: patience})
			ok(t, err)
			defer l.Close()
			lockers[i] = l
		}
		var next atomic.Int32
		exclusive(t, func(critical func()) error { // half of them in the same process
			_, release, err := lockers[next.Add(1)%2].WithContext(ctx, "contended")
			if err != nil {
				return err
			}
			critical()
			release()
			return nil
		})
		held, release, err := lockers[0].WithContext(ctx, "held")
		ok(t, err)
		defer release()
		if _, _, err := lockers[1].TryWithContext(ctx, "held"); !errors.Is(err, rueidislock.ErrNotLocked) {
			t.Errorf("a lock that is taken: got %v, want ErrNotLocked", err)
		}
		_, releaseForced, err := lockers[1].ForceWithContext(ctx, "held")
		ok(t, err)
		defer releaseForced()
		receive(t, "the end of the lock that another took", held.Done())
	})
}

func TestValkeylock(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx := bounded(t)
		l, err := valkeylock.NewLocker(valkeylock.LockerOption{
			ClientOption: valkeyOptions(s), KeyMajority: 2, KeyValidity: time.Hour, TryNextAfter: patience, NoLoopTracking: true})
		ok(t, err)
		defer l.Close()
		exclusive(t, func(critical func()) error {
			_, release, err := l.WithContext(ctx, "contended")
			if err != nil {
				return err
			}
			critical()
			release()
			return nil
		})
	})
}
