package rpcprom_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"redrpc/broker"
	"redrpc/broker/brokertest"
	"redrpc/rpc"
	"redrpc/rpc/rpcprom"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gather returns what a scrape would show: the values by names with labels, and for
// histograms how many were observed.
func gather(t *testing.T, collectors ...prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", family.GetName())
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := family.GetName() + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.Histogram != nil:
				values[name] = float64(m.GetHistogram().GetSampleCount())
			case m.Counter != nil:
				values[name] = m.GetCounter().GetValue()
			default:
				values[name] = m.GetGauge().GetValue()
			}
		}
	}
	return values
}

// want compares all values.
func want(t *testing.T, got, want map[string]float64) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if v, ok := want[name]; !ok || v != got[name] {
			t.Errorf("got %s %v", name, got[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[name]; !ok || v != want[name] {
			t.Errorf("want %s %v", name, want[name])
		}
	}
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := brokertest.Start(t, broker.Options{})
		onClient, onServer := rpcprom.Client(), rpcprom.Server()
		quiet := slog.New(slog.DiscardHandler)
		server, err := rpc.NewServer(rdb, rpc.ServerOptions{Intercept: []rpc.Interceptor{onServer.Intercept}, Logger: quiet, MaxResultBytes: 100})
		if err != nil {
			t.Fatal(err)
		}
		entered, goOn := make(chan bool), make(chan bool)
		err = errors.Join(
			rpc.Handle(server, "ok", func(context.Context, struct{}) (int, error) { return 1, nil }),
			rpc.Handle(server, "wait", func(context.Context, struct{}) (int, error) { entered <- true; <-goOn; return 1, nil }),
			rpc.Handle(server, "fail", func(context.Context, struct{}) (int, error) { return 0, rpc.WithType("any", errors.New("no")) }),
			rpc.Handle(server, "panic", func(context.Context, struct{}) (int, error) { panic("oh no") }),
			rpc.Handle(server, "goexit", func(context.Context, struct{}) (int, error) { runtime.Goexit(); return 0, nil }),
			rpc.Handle(server, "text", func(context.Context, struct{}) (string, error) { return "text", nil }),
			rpc.Handle(server, "nothing", func(context.Context, struct{}) (func(), error) { return func() {}, nil }),
			rpc.Handle(server, "long", func(context.Context, struct{}) (string, error) { return strings.Repeat("x", 100), nil }),
		)
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan error, 1)
		go func() { ran <- server.Run(context.Background()) }()
		client, err := rpc.NewClient(rdb, rpc.ClientOptions{Intercept: []rpc.Interceptor{onClient.Intercept}, Logger: quiet, Timeout: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		call := func(fn string, args any) error { return client.Call(ctx, fn, args, new(int)) }
		waited := make(chan error)
		go func() { waited <- call("wait", nil) }()
		<-entered
		for side, c := range map[string]*rpcprom.Calls{"client": onClient, "server": onServer} {
			want(t, gather(t, c), map[string]float64{
				"redrpc_" + side + `_calls_in_flight{function="wait"}`:       1,
				"redrpc_" + side + `_call_duration_seconds{function="wait"}`: 0,
			})
		}
		close(goOn)
		err = errors.Join(<-waited, call("ok", nil), call("ok", nil))
		if err != nil {
			t.Error(err)
		}
		for _, fn := range []string{"fail", "panic", "goexit", "text", "nothing", "long"} {
			if err := call(fn, nil); err == nil {
				t.Errorf("%s: no error", fn)
			}
		}
		errNever := client.Call(ctx, "never", nil, nil, rpc.Timeout(300*time.Millisecond))
		if err := errors.Join(errNever, call("ok", rpc.Args{"x": 1}), call("ok", 7)); err == nil {
			t.Error("no error")
		}
		if err := errors.Join(client.Close(), server.Stop(ctx), <-ran); err != nil {
			t.Error(err)
		}

		expect := func(side string, outcomes map[string]float64) map[string]float64 {
			all := map[string]float64{}
			for labels, n := range outcomes {
				fn, outcome, _ := strings.Cut(labels, " ")
				all[fmt.Sprintf("redrpc_%s_calls_total{function=%q,outcome=%q}", side, fn, outcome)] = n
				all[fmt.Sprintf("redrpc_%s_call_duration_seconds{function=%q}", side, fn)] += n
				all[fmt.Sprintf("redrpc_%s_calls_in_flight{function=%q}", side, fn)] = 0
			}
			return all
		}
		want(t, gather(t, onClient), expect("client", map[string]float64{
			"ok ok": 2, "ok failed": 1, "ok not_sent": 1, "wait ok": 1, "fail failed": 1, "panic failed": 1, "goexit failed": 1,
			"text bad_result": 1, "nothing failed": 1, "long failed": 1, "never no_result": 1,
		}))
		want(t, gather(t, onServer), expect("server", map[string]float64{
			"ok ok": 2, "ok bad_arguments": 1, "wait ok": 1, "fail error": 1, "panic panic": 1, "goexit panic": 1, "text ok": 1, "nothing bad_result": 1, "long too_large": 1,
		}))
	})
}

// However many functions there are, there are no more labels than MostValues and
// one.
func TestFunctionsAreBounded(t *testing.T) {
	calls := rpcprom.Client()
	for i := range rpcprom.MostValues + 50 {
		err := calls.Intercept(context.Background(), &rpc.CallInfo{Func: fmt.Sprint("f", i)}, func(context.Context) error { return errors.New("from an interceptor") })
		if err == nil {
			t.Error("the error is lost")
		}
	}
	// And a name that is no text is none of Prometheus's.
	_ = calls.Intercept(context.Background(), &rpc.CallInfo{Func: "f\xff"}, func(context.Context) error { return nil })
	got := gather(t, calls)
	if n := got[`redrpc_client_calls_total{function="_other",outcome="error"}`]; n != 50 {
		t.Errorf("got %v of others", n)
	}
	if n := len(got); n != 3*(rpcprom.MostValues+1)+1 {
		t.Errorf("got %d values", n)
	}
}

func TestDropped(t *testing.T) {
	_, rdb := brokertest.Start(t, broker.Options{})
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.Handle(server, "f", func(context.Context, struct{}) (int, error) { return 1, nil }); err != nil {
		t.Fatal(err)
	}
	dropped := rpcprom.Dropped(server)
	want(t, gather(t, dropped), map[string]float64{`redrpc_server_malformed_total{function="f"}`: 0, `redrpc_server_expired_total{function="f"}`: 0})
	ctx := context.Background()
	if err := rdb.RPush(ctx, "redis_rpc:f:calls", "no JSON", "[]", `{"id":"1","kw":{}}`).Err(); err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	if err := rdb.BLPop(ctx, 20*time.Second, "redis_rpc:f:result:1").Err(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(server.Stop(ctx), <-ran); err != nil {
		t.Error(err)
	}
	want(t, gather(t, dropped), map[string]float64{`redrpc_server_malformed_total{function="f"}`: 2, `redrpc_server_expired_total{function="f"}`: 0})
}

func TestQueues(t *testing.T) {
	b, rdb := brokertest.Start(t, broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	inspector, err := rpc.NewInspector(rdb, "p")
	if err != nil {
		t.Fatal(err)
	}
	queues := rpcprom.Queues(inspector)
	want(t, gather(t, queues), map[string]float64{`redrpc_inspection_up{}`: 1})

	b.Seed(`RPUSH p:a:calls '{"id":"1","ts":"2023-11-14T22:13:10Z"}' x x
RPUSH p:b:calls x
SET p:k:1:alive 1 EX 4
SET p:k:2:alive 1 EX 4
SET p:l:1:alive 1 EX 4`)
	got := gather(t, queues)
	const oldest = `redrpc_queue_oldest_seconds{function="a"}`
	if age := got[oldest]; age < 10 || age > 70 { // the inspector adds the time that it took
		t.Errorf("got an age of %v s, want about 10", age)
	}
	delete(got, oldest)
	want(t, got, map[string]float64{
		`redrpc_inspection_up{}`:           1,
		`redrpc_queue_depth{function="a"}`: 3,
		`redrpc_queue_depth{function="b"}`: 1,
		`redrpc_servers_online{kind="k"}`:  2,
		`redrpc_servers_online{kind="l"}`:  1,
	})
	for i := range rpcprom.MostValues {
		b.Seed(fmt.Sprintf(`RPUSH p:f%d:calls x y
SET p:kind%[1]d:1:alive 1 EX 4`, i))
	}
	b.Seed(`RPUSH "p:\xff:calls" x x x x`)
	got = gather(t, queues)
	if n := got[`redrpc_queue_depth{function="_other"}`]; n != 4+2+1 {
		t.Errorf("got %v of others, want those without a text for a name, the last with 2, and the one with 1", n)
	}
	if n := got[`redrpc_servers_online{kind="_other"}`]; n != 3 && n != 2 {
		t.Errorf("got %v servers of other kinds", n)
	}
	if len(got) > 1+3*(rpcprom.MostValues+1) {
		t.Errorf("got %d values", len(got))
	}
}

// A Redis that is away is a value, not an error of the scrape.
func TestQueuesWithoutRedis(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, Dialer: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("away")
	}})
	defer rdb.Close()
	inspector, err := rpc.NewInspector(rdb, "")
	if err != nil {
		t.Fatal(err)
	}
	want(t, gather(t, rpcprom.Queues(inspector)), map[string]float64{`redrpc_inspection_up{}`: 0})
}

// The metrics of a client, a server and their Redis, in a registry.
func Example() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	onClient, onServer := rpcprom.Client(), rpcprom.Server()

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Intercept: []rpc.Interceptor{onServer.Intercept}})
	check(err)
	check(rpc.Handle(server, "add", func(ctx context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil }))
	go server.Run(context.Background())
	defer server.Stop(context.Background())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Intercept: []rpc.Interceptor{onClient.Intercept}})
	check(err)
	defer client.Close()

	inspector, err := rpc.NewInspector(rdb, "")
	check(err)
	registry := prometheus.NewRegistry() // which promhttp.HandlerFor serves
	registry.MustRegister(onClient, onServer, rpcprom.Dropped(server), rpcprom.Queues(inspector))

	_, err = rpc.Call[int](context.Background(), client, "add", rpc.Args{"a": 1, "b": 2})
	check(err)
	families, err := registry.Gather()
	check(err)
	for _, f := range families {
		if f.GetName() == "redrpc_client_calls_total" {
			m := f.GetMetric()[0]
			fmt.Println(f.GetName(), m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue(), m.GetCounter().GetValue())
		}
	}
	// Output: redrpc_client_calls_total add ok 1
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
