package broker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/acl"
	"redrpc/broker/internal/command"
	"redrpc/internal/redistest"
)

// The categories of all commands are those of redis-server; -update writes them.
func TestCategories(t *testing.T) {
	for name, c := range table.All() {
		var want uint32
		for _, name := range c.Categories() {
			want |= acl.CategoryBit(strings.TrimPrefix(name, "@"))
		}
		if got := catalogueOf().Of(c); got != want {
			t.Errorf("%s has the categories %b, expected %b", name, got, want)
		}
	}
	t.Run("redis", func(t *testing.T) {
		w := newWire(dial(t, redistest.Start(t).TCPAddr()))
		w.send(t, "COMMAND")
		byCategories := map[string][]string{}
		readCategories(t, w, byCategories)
		var text strings.Builder
		for _, categories := range slices.Sorted(maps.Keys(byCategories)) {
			slices.Sort(byCategories[categories])
			fmt.Fprintf(&text, "%s: %s\n", categories, strings.Join(byCategories[categories], " "))
		}
		if *update {
			if err := os.WriteFile("internal/acl/categories.txt", []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if text.String() != acl.CategoriesText {
			t.Error("internal/acl/categories.txt is not what redis-server says: run 'go test ./broker -run TestCategories -update'")
		}
	})
}

// readCategories reads an answer to COMMAND, whose replies have the name of a command
// first, its categories seventh and its sub-commands last.
func readCategories(t *testing.T, w *wire, byCategories map[string][]string) {
	t.Helper()
	var n, fields int
	header := func(format string, to *int) {
		line, err := w.in.ReadString('\n')
		if _, scanErr := fmt.Sscanf(line, format, to); err != nil || scanErr != nil {
			t.Fatalf("unexpected %q: %v", line, err)
		}
	}
	header("*%d\r\n", &n)
	for range n {
		header("*%d\r\n", &fields)
		name := w.reply(t)
		for range 5 {
			w.reply(t)
		}
		categories := strings.Fields(strings.Trim(w.reply(t), "[]"))
		for i, c := range categories {
			categories[i] = strings.TrimPrefix(c, "+@")
		}
		key := strings.Join(categories, " ")
		byCategories[key] = append(byCategories[key], name)
		for range fields - 8 {
			w.reply(t)
		}
		readCategories(t, w, byCategories)
	}
}

// The rules that describe a user make one that may do the same.
func TestRulesMakeTheUser(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	o := acl.Fresh{Catalogue: catalogueOf}
	fresh := func() *acl.User { return acl.NewUser("", o) }
	for range 300 {
		u := fresh()
		var rules []string
		for range random.IntN(12) {
			rule := []string{"+", "-"}[random.IntN(2)]
			switch random.IntN(4) {
			case 0:
				rule += "@" + append(command.CategoryNames, "all")[random.IntN(len(command.CategoryNames)+1)]
			case 1:
				rule = []string{"on", "nopass", ">x", "~k*", "%R~r", "%W~w", "allkeys", "&c", "allchannels", "resetkeys", "resetchannels", "+select|1", "(~s +get)", "sanitize-payload"}[random.IntN(14)]
			default:
				rule += catalogueOf().All()[random.IntN(len(catalogueOf().All()))]
			}
			u.Apply(rule, o) // which may be wrong here
			rules = append(rules, rule)
		}
		again := fresh()
		joined, unclosed := acl.JoinSelectors(toArgs(strings.Fields(u.Rules(true))))
		for _, rule := range joined {
			if wrong := again.Apply(rule, o); wrong != "" || unclosed != "" {
				t.Fatalf("%q make a user with the rules %s, of which %s is wrong: %s", rules, u.Rules(true), rule, wrong)
			}
		}
		if again.Rules(true) != u.Rules(true) {
			t.Fatalf("%q make a user with the rules %s, which make one with %s", rules, u.Rules(true), again.Rules(true))
		}
	}
}

func toArgs(words []string) (args [][]byte) {
	for _, word := range words {
		args = append(args, []byte(word))
	}
	return args
}

// requirepass is the password of the default user, and a client that does not know
// it can do nothing, nor can anybody once that user is off.
func TestDefaultUser(t *testing.T) {
	transports(t, Options{Password: "secret"}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		admin := newWire(dial(t))
		admin.expect(t, "+OK", "AUTH", "secret")
		admin.expect(t, "+OK", "ACL", "SETUSER", "admin", "on", ">admin", "~*", "&*", "+@all")
		admin.expect(t, "+OK", "AUTH", "admin", "admin")
		admin.expect(t, "+OK", "ACL", "SETUSER", "default", ">other")
		admin.expect(t, "[requirepass secret]", "CONFIG", "GET", "requirepass")

		const locked = "-NOAUTH Authentication required."
		w := newWire(dial(t))
		w.expect(t, locked, "ACL", "WHOAMI")
		for _, password := range []string{"secret", "other"} {
			w.expect(t, "+OK", "AUTH", password)
			w.expect(t, "default", "ACL", "WHOAMI")
		}
		admin.expect(t, "+OK", "CONFIG", "SET", "requirepass", "third")
		w.expect(t, "-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "other")
		w.expect(t, "+OK", "AUTH", "third")
		admin.expect(t, "+OK", "CONFIG", "SET", "requirepass", "")
		newWire(dial(t)).expect(t, "+PONG", "PING")

		early := newWire(dial(t))
		early.expect(t, "+PONG", "PING")
		admin.expect(t, "+OK", "ACL", "SETUSER", "default", "off")
		late := newWire(dial(t))
		late.expect(t, locked, "PING")
		late.expect(t, "-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "default", "x")
		late.expect(t, "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?", "AUTH", "x")
		late.expect(t, "+OK", "AUTH", "admin", "admin")
		late.expect(t, "admin", "ACL", "WHOAMI")
		late.expect(t, "+RESET", "RESET")
		late.expect(t, locked, "PING")
		early.expect(t, "+PONG", "PING")
		early.expect(t, "+RESET", "RESET")
		early.expect(t, locked, "PING")
	})
}

// Do may do everything, whatever the default user may.
func TestDoIsNoUser(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	if _, err := b.Do("ACL", "SETUSER", "default", "-set", "resetkeys", "~k*"); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "-NOPERM this user has no permissions to run the 'set' command", "SET", "k", "v")
	w.expect(t, "-NOPERM this user has no permissions to access one of the keys used as arguments", "GET", "x")
	if _, err := b.Do("SET", "x", "v"); err != nil {
		t.Error(err)
	}
	if _, err := b.Do("ACL", "WHOAMI"); err == nil {
		t.Error("ACL WHOAMI has no client to tell of, and was answered")
	}
	if _, err := b.Do("ACL", "SETUSER", "default", "+@all", "~*"); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "v", "GET", "x")
	if u := b.acl.defaultUser; !u.Unlimited {
		t.Error("the default user may do everything, and is checked all the same")
	}
}

// What was denied is in the log, the same things that happen within a minute in one
// entry, and no more entries than it may have.
func TestACLLog(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0)})
	admin, w := inMemory(t, b), inMemory(t, b)
	admin.expect(t, "+OK", "ACL", "SETUSER", "me", "on", ">pw", "~k*", "+get", "+multi", "+publish")
	w.do(t, "AUTH", "me", "wrong")
	w.expect(t, "+OK", "AUTH", "me", "pw")
	deny := func(args ...string) {
		t.Helper()
		if got := w.do(t, args...); !strings.HasPrefix(got, "-NOPERM") {
			t.Errorf("%q: %s", args, got)
		}
	}
	deny("SET", "k", "v")
	deny("GET", "x")
	deny("PUBLISH", "news", "hello")
	b.Advance(59 * time.Second)
	deny("GET", "x")
	b.Advance(1250 * time.Millisecond)
	w.expect(t, "+OK", "MULTI")
	deny("GET", "x")
	b.Advance(59 * time.Second)
	deny("SET", "k", "v") // the last was longer ago
	check := func(want ...string) {
		t.Helper()
		records, err := b.Do("ACL", "LOG")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range records.([]any) {
			r := r.(map[string]any)
			if info := r["client-info"].(string); !strings.HasPrefix(info, "id=2 ") {
				t.Errorf("the client is %s", info)
			}
			got = append(got, fmt.Sprint(r["count"], " ", r["reason"], " ", r["context"], " ", r["object"], " ", r["username"], " ", r["age-seconds"]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("1 command multi set me 0", "1 key multi x me 59", "2 key toplevel x me 60.25",
		"1 channel toplevel news me 119.25", "1 command toplevel set me 119.25", "1 auth toplevel AUTH me 119.25")
	admin.expect(t, "+OK", "CONFIG", "SET", "acllog-max-len", "2")
	deny("GET", "y")
	check("1 key multi y me 0", "1 command multi set me 0")
	admin.expect(t, "+OK", "ACL", "LOG", "RESET")
	check()
	deny("GET", "y")
	b.Advance(time.Millisecond)
	admin.do(t, "HELLO", "3")
	if got := admin.do(t, "ACL", "LOG", "1"); !strings.Contains(got, " age-seconds 0.001 ") {
		t.Error(got)
	}
	admin.expect(t, "[]", "ACL", "LOG", "0")
}

// Rules may hold passwords, and are not logged.
func TestRulesAreNotLogged(t *testing.T) {
	b := newBroker(t, Options{LogSize: 10})
	w := inMemory(t, b)
	w.expect(t, "+OK", "ACL", "SETUSER", "me", "on", ">secret")
	w.do(t, "AUTH", "me", "secret")
	for _, r := range b.Log() {
		if strings.Contains(r.String(), "secret") {
			t.Error(r)
		}
	}
}
