package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestRedactArgs(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"bench --rate 100", "bench --rate 100"},
		{"--redis redis://ann:pw@host:6379/0?db=1", "--redis redis://***@host:6379/0?db=1"},
		{"--redis=rediss://:p@w/d@host", "--redis=rediss://***@w/d@host"},
		{"--redis=redis://tok%40en@host", "--redis=redis://***@host"},
		{"--redis redis://host:6379", "--redis redis://host:6379"},
		{"--password pw --rate 5", "--password *** --rate 5"},
		{"--password=pw=pw", "--password=***"},
		{"--redis-password --pw", "--redis-password ***"},
		{"--password-file /run/pw", "--password-file /run/pw"},
		{"--auth-token=x -c 3", "--auth-token=*** -c 3"},
		{"env REDIS_PASSWORD=pw redrpc", "env REDIS_PASSWORD=*** redrpc"},
		{"--redis unix://x?password=pw&db=1", "--redis unix://x?password=***&db=1"},
		{`--args {"password":"p\"w","n":1}`, `--args {"password":"***","n":1}`},
		{"--author=ann", "--author=ann"},
	} {
		if got := strings.Join(RedactArgs(strings.Fields(c.args)), " "); got != c.want {
			t.Errorf("%s: got %s, expected %s", c.args, got, c.want)
		}
	}
}

// No form of a report has a password in it, wherever one was.
func TestNoPasswordIsWritten(t *testing.T) {
	r := sample() // has some, too
	r.Settings = append(r.Settings, Setting{"redis", "redis://u:hunter2@h"}, Setting{"password", "hunter2"},
		Setting{"args", json.RawMessage(`{"token":"hunter2"}`)}, Setting{"auth", "hunter2"},
		Setting{"urls", []string{"redis://a:hunter2@h"}}, Setting{"options", map[string]any{"password": "hunter2"}}, Setting{"token", 5})
	r.Environment.More = append(r.Environment.More, Setting{"masterauth", "hunter2"}, Setting{"replica", "redis://:hunter2@h/"})
	if got := r.Redacted().Settings; fmt.Sprintf("%s", got[len(got)-2].Value) != `{"password":"***"}` {
		t.Errorf("got %s", got[len(got)-2].Value)
	}
	before := fmt.Sprint(r.Settings)
	for name, write := range forms(r) {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "hunter2") {
			t.Errorf("%s: a password is in it:\n%s", name, b.String())
		}
	}
	if fmt.Sprint(r.Settings) != before {
		t.Error("the caller's settings were changed")
	}
	e := Capture([]string{"--redis", "redis://u:hunter2@h"}, Setting{"requirepass", "hunter2"})
	if text, err := json.Marshal(e); err != nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestCapture(t *testing.T) {
	e := Capture([]string{"redrpc", "bench"}, Setting{"redis_mode", "standalone"})
	if e.Go == "" || e.OS == "" || e.Arch == "" || e.Cores < 1 || e.GOMAXPROCS < 1 || len(e.Command) != 2 || len(e.More) != 1 {
		t.Errorf("got %+v", e)
	}
	if e.OS == "linux" && (e.Kernel == "" || e.MemoryBytes < 1<<20) {
		t.Errorf("kernel %q, memory %d", e.Kernel, e.MemoryBytes)
	}
}
