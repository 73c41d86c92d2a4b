package systems

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/go-redis/cache/v9"
)

type article struct {
	Title string
	Tags  []string
	Body  []byte
}

func TestGoRedisCache(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx, rdb := t.Context(), s.client(t)
		c := cache.New(&cache.Options{Redis: rdb, StatsEnabled: true, LocalCache: cache.NewTinyLFU(100, time.Minute)})
		remote := cache.New(&cache.Options{Redis: rdb}) // another process
		want := article{"Title", []string{"a", "b"}, make([]byte, 10_000)}
		ok(t, c.Set(&cache.Item{Ctx: ctx, Key: "article", Value: &want, TTL: time.Hour}))
		var got article
		ok(t, remote.Get(ctx, "article", &got))
		equal(t, "what another reads", got, want)
		if ttl := rdb.TTL(ctx, "article").Val(); ttl <= 59*time.Minute || ttl > time.Hour {
			t.Errorf("time to live: got %v, want an hour", ttl)
		}

		ok(t, remote.Set(&cache.Item{Ctx: ctx, Key: "article", Value: &article{Title: "Not written"}, SetNX: true}))
		ok(t, remote.Set(&cache.Item{Ctx: ctx, Key: "none", Value: "Not written", SetXX: true}))
		ok(t, remote.Get(ctx, "article", &got))
		equal(t, "after SET NX", got.Title, "Title")
		equal(t, "after SET XX", remote.Exists(ctx, "none"), false)
		ok(t, remote.Set(&cache.Item{Ctx: ctx, Key: "article", Value: &article{Title: "New"}, SetXX: true}))
		ok(t, c.Get(ctx, "article", &got))
		equal(t, "from the local cache", got.Title, "Title")
		ok(t, c.GetSkippingLocalCache(ctx, "article", &got))
		equal(t, "from the server", got.Title, "New")
		ok(t, c.Delete(ctx, "article"))
		if err := remote.Get(ctx, "article", &got); !errors.Is(err, cache.ErrCacheMiss) {
			t.Errorf("after it was deleted: got %v, want ErrCacheMiss", err)
		}

		var made atomic.Int32
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				var got int
				err := c.Once(&cache.Item{Ctx: ctx, Key: "once", Value: &got, TTL: time.Hour,
					Do: func(*cache.Item) (any, error) { return int(made.Add(1)), nil }})
				if err != nil || got != 1 {
					t.Errorf("once: got %d, %v", got, err)
				}
			})
		}
		all.Wait()
		var number int
		ok(t, remote.Once(&cache.Item{Ctx: ctx, Key: "once", Value: &number, Do: func(*cache.Item) (any, error) { return 2, nil }}))
		equal(t, "made once", number, 1)
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		rdb := s.client(t)
		sessions := scs.New()
		sessions.Store, sessions.Lifetime = goredisstore.New(rdb), time.Hour
		site := httptest.NewServer(sessions.LoadAndSave(pages(t, sessions)))
		defer site.Close()
		visitor := func() func(path string) string {
			jar, err := cookiejar.New(nil)
			ok(t, err)
			client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
			return func(path string) string {
				t.Helper()
				response, err := client.Get(site.URL + path)
				ok(t, err)
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				ok(t, err)
				return string(body)
			}
		}
		ann, bob := visitor(), visitor()
		equal(t, "before", ann("/who"), "nobody")
		ann("/login?as=ann")
		bob("/login?as=bob")
		equal(t, "ann", ann("/who"), "ann")
		equal(t, "bob", bob("/who"), "bob")
		keys := rdb.Keys(t.Context(), "scs:session:*").Val()
		equal(t, "sessions", len(keys), 2)
		if ttl := rdb.PTTL(t.Context(), keys[0]).Val(); ttl <= 59*time.Minute || ttl > time.Hour {
			t.Errorf("time to live: got %v, want an hour", ttl)
		}
		var names []string
		ok(t, sessions.Iterate(t.Context(), func(ctx context.Context) error {
			names = append(names, sessions.GetString(ctx, "name"))
			return nil
		}))
		equal(t, "names", len(names), 2)
		ann("/logout")
		equal(t, "after the logout", ann("/who"), "nobody")
		ok(t, rdb.FlushDB(t.Context()).Err())
		equal(t, "after the server forgot", bob("/who"), "nobody")

		short := goredisstore.NewWithPrefix(rdb, "short:")
		ok(t, short.CommitCtx(t.Context(), "token", []byte("data"), time.Now().Add(50*time.Millisecond)))
		eventually(t, "a session to expire", func() bool {
			_, found, err := short.FindCtx(t.Context(), "token")
			ok(t, err)
			return !found
		})
	})
}

// pages are those of a site where visitors log in.
func pages(t *testing.T, sessions *scs.SessionManager) http.Handler {
	site := http.NewServeMux()
	site.HandleFunc("/login", func(_ http.ResponseWriter, r *http.Request) {
		if err := sessions.RenewToken(r.Context()); err != nil {
			t.Error(err)
		}
		sessions.Put(r.Context(), "name", r.FormValue("as"))
	})
	site.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		name := sessions.GetString(r.Context(), "name")
		if name == "" {
			name = "nobody"
		}
		if _, err := io.WriteString(w, name); err != nil {
			t.Error(err)
		}
	})
	site.HandleFunc("/logout", func(_ http.ResponseWriter, r *http.Request) {
		if err := sessions.Destroy(r.Context()); err != nil {
			t.Error(err)
		}
	})
	return site
}
