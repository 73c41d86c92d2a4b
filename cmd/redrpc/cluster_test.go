package main

import (
	"regexp"
	"strings"
	"testing"

	"redrpc/internal/redistest"
)

// TestCluster: the URL of one node is enough for a Cluster.
func TestCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	url := "redis://" + nodes[0].Addr
	env := map[string]string{"REDIS_URL": url}
	s := start(t, env, "serve", "--id", "one", "--workers", "2")
	s.await(t, &s.stderr, "id=one workers=2")
	for _, n := range nodes {
		env["REDIS_URL"] = "redis://" + n.Addr
		for call, want := range map[string]string{"echo x=text": `"text"`, "add a:=1 b:=2": "3", "sleep seconds:=0.001": "0.001"} {
			r := redrpcIn(t, t.Context(), env, append([]string{"call"}, strings.Fields(call)...)...)
			r.want(t, exitOK)
			if r.stdout != want+"\n" {
				t.Errorf("call %s at %s: got %s, want %s", call, n.Addr, r.stdout, want)
			}
		}
	}
	for _, fn := range []string{"a", "b", "c", "d"} { // in slots of all nodes
		redrpcIn(t, t.Context(), env, "call", "--async", fn).want(t, exitOK)
	}
	for command, want := range map[string]string{
		"servers":  `\nserver +one +`,
		"queues":   `FUNCTION.*\na +1 .*\nb +1 .*\nc +1 .*\nd +1 `,
		"top -n 1": `calls waiting: 4, servers online: 1`,
	} {
		r := redrpcIn(t, t.Context(), env, strings.Fields(command)...)
		r.want(t, exitOK)
		if !regexp.MustCompile(want).MatchString(r.stdout) {
			t.Errorf("%s: got\n%s\nwant %s", command, r.stdout, want)
		}
	}
	for _, extensions := range []string{"--no-extensions=false", "--no-extensions"} {
		redrpcIn(t, t.Context(), env, "bench", "-c", "8", "--calls", "200", "--warmup", "0s", "--timeout", "1m", extensions).wantMeasured(t)
	}
	total := int64(0)
	for _, n := range nodes {
		one := connectTo(t, "redis://"+n.Addr)
		total += one.DBSize(t.Context()).Val()
	}
	if total != 4+2 { // queues, and what keeps the server
		t.Errorf("%d keys are left, want those of 4 queues and a server", total)
	}
	redrpc(t, "servers", "--redis", "unix://"+nodes[0].Socket).want(t, exitFailed, "is a node of a Cluster: expected a URL of one by TCP")
}
