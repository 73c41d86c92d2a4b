package rpc

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"redrpc/internal/keyslot"
	"redrpc/internal/redistest"

	"github.com/redis/go-redis/v9"
)

func TestTagFor(t *testing.T) {
	t.Parallel()
	// The first number of each slot, found in one go.
	tags := map[int]string{}
	for n := int64(0); len(tags) < keyslot.Count; n++ {
		tag := "{" + strconv.FormatInt(n, 36) + "}"
		if slot := keyslot.Of(tag); tags[slot] == "" {
			tags[slot] = tag
		}
		if len(tag) > 6 {
			t.Fatalf("numbers of four digits are in no more than %d slots", len(tags))
		}
	}
	for slot := 0; slot < keyslot.Count; slot += 61 {
		if tag, ok := tagFor("redis_rpc:echo:result:", slot); !ok || tag != tags[slot] {
			t.Errorf("slot %d: got tag %q, %v, want %q", slot, tag, ok, tags[slot])
		}
	}
	for before, want := range map[string]bool{
		"p:f:result:":      true,
		"p}:f:result:":     true,
		"p{x:f:result:":    true, // the tag ends within the ID
		"p{{:f:result:":    true,
		"{p}:f:result:":    true, // and needs nothing
		"p:{f}:result:":    true,
		"p{:f}:{}:result:": true,
		"p{}:f:result:":    false,
		"p:{}{f}:result:":  false,
	} {
		queue := strings.TrimSuffix(before, "result:") + "calls"
		tag, ok := tagFor(before, keyslot.Of(queue))
		if key := before + tag + "}{id"; ok != want || ok && keyslot.Of(key) != keyslot.Of(queue) {
			t.Errorf("%s: got %q, %v, so %s is in slot %d, and %s in %d", before, tag, ok, key, keyslot.Of(key), queue, keyslot.Of(queue))
		}
		if _, tagged := keyslot.Tag(before); tagged && tag != "" {
			t.Errorf("%s: got %q, want nothing, as there is a tag", before, tag)
		}
	}
	if tag, ok := tagFor("{p}:f:result:", keyslot.Of("{p}")+1); ok {
		t.Errorf("got tag %q for a slot that cannot be had", tag)
	}
}

// TestKeySlot: Redis agrees.
func TestKeySlot(t *testing.T) {
	t.Parallel()
	if slot := keyslot.Of("123456789"); slot != 0x31c3 {
		t.Errorf("got slot %#x, want 0x31c3", slot)
	}
	rdb := redis.NewClient(&redis.Options{Addr: redistest.StartCluster(t, 1)[0].Addr})
	defer rdb.Close()
	keys := []string{"", "{", "}", "{}", "{}{a}", "a{b", "a{b}c", "a{b}{c}", "a{{b}}", "}{a}", "a{}b{c}", "zażółć\x00\xff"}
	for range 200 {
		key := make([]byte, rand.N(12))
		for i := range key {
			key[i] = "{}ab\x00\xff"[rand.N(6)]
		}
		keys = append(keys, string(key))
	}
	pipe := rdb.Pipeline()
	var replies []*redis.IntCmd
	for _, key := range keys {
		replies = append(replies, pipe.ClusterKeySlot(t.Context(), key))
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if got := keyslot.Of(key); int64(got) != replies[i].Val() {
			t.Errorf("%q: got slot %d, Redis says %d", key, got, replies[i].Val())
		}
	}
}

func TestEscapeGlob(t *testing.T) {
	t.Parallel()
	if got, want := escapeGlob(`a*b?[c]\`), `a\*b\?\[c\]\\`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
