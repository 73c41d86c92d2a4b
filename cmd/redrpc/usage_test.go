package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A wrong flag or argument is exit code 2 and a message that says what was
// expected, and nothing has been run.
func TestUsage(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "not.pem")
	if err := os.WriteFile(notPEM, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	twoLines := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(twoLines, []byte("secret\nsecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string // words by blanks
		want string
	}{
		{"bnech", `unknown command "bnech": expected one of bench broker call completion queues serve servers top version`},
		{"--nope", "unknown flag: --nope: expected one of --help"},
		{"bench extra", `unknown command "extra": expected one of `},
		{"bench redis://:secret@h", "unknown command text that looks like a URL (it is not shown"},
		{"bench --nope", "unknown flag: --nope: expected one of --concurrency --think"},
		{"bench --redis", "flag needs an argument: --redis"},
		{"bench --concurrency 0", `invalid argument "0" for "-c, --concurrency" flag: expected a whole number from 1 to 1000000`},
		{"bench -c many", `invalid argument "many"`},
		{"bench --duration 10", "expected a time longer than 0, such as 500ms, 10s or 1m30s"},
		{"bench --duration 0s", "expected a time longer than 0"},
		{"bench --duration -1s", "expected a time longer than 0"},
		{"bench --calls 0", "expected a whole number from 1 to"},
		{"bench --duration 1s --calls 10", "--duration and --calls: expected only one of them"},
		{"bench --warmup -1s", "expected a time of 0 or more"},
		{"bench --timeout 0s", `"--timeout" flag: expected a time longer than 0`},
		{"bench --payload -1", "expected a whole number from 0 to"},
		{"bench --args [1]", `expected a JSON object, such as {"a": 1, "b": 2}`},
		{"bench --args {", "expected a JSON object"},
		{"bench --args {} --payload 10", "--payload and --args: expected only one of them"},
		{"bench --func nope", `--func: expected one of add, echo, fail, sleep, which the in-process server has, or --no-server; got "nope"`},
		{"bench --func=", "expected text that is not empty"},
		{"bench --prefix=", "expected text that is not empty"},
		{"bench --clients 0", "expected a whole number from 1 to"},
		{"bench --clients 3 --concurrency 2", "--clients: expected no more than the 2 callers of --concurrency, got 3"},
		{"bench --server-workers 0", "expected a whole number from 1 to"},
		{"bench --transport udp", "expected memory or tcp"},
		{"bench --transport tcp --redis redis://127.0.0.1:1", "--transport: expected without --redis"},
		{"bench --transport tcp --tls-ca x", "--tls-ca: expected together with a rediss:// URL"},
		{"bench --output xml", "expected text or json or csv or hlog or hgrm or gobench or html"},
		{"bench --report html", "expected a format and a file, such as html=run.html; formats are text, json, csv"},
		{"bench --report pdf=x", "expected a format and a file"},
		{"bench --report html=", "expected a format and a file"},
		{"bench --rate 0", "expected calls a second, more than 0, such as 1000 or 0.5"},
		{"bench --rate fast", "expected calls a second"},
		{"bench --rate 10 --model closed", "--rate and --model: expected only one of --rate, --model, --replay"},
		{"bench --rate 10 -c 10", "--concurrency: expected without --rate, for it is about a closed loop"},
		{"bench --rate 10 --think 1s", "--think: expected without --rate"},
		{"bench --model ramp:1..2/1s -c 10", "--concurrency: expected without --model"},
		{"bench --model closed:1s --think 1s", "--think: expected without --model, which says it as in closed:10ms"},
		{"bench --model ramp:1", `--model: bench: load model "ramp:1"`},
		{"bench --model nope", "--model: bench: load model"},
		{"bench --arrivals poisson", "--arrivals: expected together with --rate"},
		{"bench --rate 10 --arrivals even", "expected constant or poisson"},
		{"bench --max-in-flight 10", "--max-in-flight: expected together with --rate, --model or --replay"},
		{"bench --spin on", "--spin: expected together with --rate"},
		{"bench --no-early-stop", "--no-early-stop: expected together with --rate"},
		{"bench --rate 10 --max-in-flight 2 --clients 3", "--clients: expected no more than the 2 calls of --max-in-flight, got 3"},
		{"bench --seed -1", "expected a whole number of 0 or more"},
		{"bench --replay /nonexistent/calls", "--replay: expected a file of JSON lines: open /nonexistent/calls"},
		{"bench --replay " + twoLines, "--replay: bench: recording, line 1"},
		{"bench --instance 4/4", "expected the number of this generator, from 0, and how many there are, such as 0/4 to 3/4"},
		{"bench --instance 1", "expected the number of this generator"},
		{"bench --rate 10 --instance 0/2", "--instance: expected --redis or REDIS_URL too"},
		{"bench --start-at noon", "expected a moment such as 2026-01-31T12:00:00Z"},
		{"bench --start-at 2020-01-01T00:00:00Z", "--start-at: expected a time to come, got 2020-01-01T00:00:00Z"},
		{"bench --slo p99", "expected terms such as p99=20ms,errors=0.1%"},
		{"bench --out=", "expected text that is not empty"},
		{"bench --no-server --prefix p --func f", "--no-server: expected --redis or REDIS_URL too"},
		{"bench --no-server --redis redis://127.0.0.1:1 --func f", "--no-server: expected --prefix and --func too, to know what is served elsewhere; --prefix is missing"},
		{"bench --no-server --redis redis://127.0.0.1:1 --prefix p", "--func is missing"},
		{"bench --no-server --redis redis://127.0.0.1:1 --prefix p --func f --server-workers 2", "--server-workers: expected without --no-server"},
		{"bench --redis=", "--redis: expected a URL such as redis://127.0.0.1:6379/0, rediss://host:6380 (TLS) or unix:///run/redis.sock, got an empty one"},
		{"bench --redis localhost:6379", "got text that begins otherwise (it is not shown, as it may hold a password)"},
		{"bench --redis http://u:secret@h", "got text that begins otherwise"},
		{"bench --redis redis://u:secret@h/x", "got a redis:// URL (not shown, as it may hold a password) whose database, which follows the host and a slash, is no number"},
		{"bench --redis redis://u:secret@h?nope=1", "whose options after the ? are unknown or wrong; a password goes before the host, as in redis://:PASSWORD@HOST"},
		{"bench --redis redis://:sec/ret@h", "percent-encoded"},
		{"bench --redis redis://:sec%zzret@h", "percent-encoded"},
		{"bench --redis redis://:6379#secret@h", "percent-encoded"},
		{"bench --redis redis://h:99999999", "whose port is no number from 1 to 65535"},
		{"bench --redis redis://h:0", "whose port is no number from 1 to 65535"},
		{"bench --redis redis://:pass", "whose host or port cannot be read; a password ends with @"},
		{"bench --redis unix://", "without the path of a socket"},
		{"bench --tls-ca x", "--tls-ca: expected together with a rediss:// URL"},
		{"bench --redis redis://127.0.0.1:1 --tls-key x", "--tls-key: expected together with a rediss:// URL"},
		{"bench --redis rediss://127.0.0.1:1 --tls-ca /nonexistent/ca", "--tls-ca: expected a PEM file: open /nonexistent/ca"},
		{"bench --redis rediss://127.0.0.1:1 --tls-ca " + notPEM, "--tls-ca: expected certificates in PEM, found none in"},
		{"bench --redis rediss://127.0.0.1:1 --tls-cert x", "--tls-cert and --tls-key: expected both or neither"},
		{"bench --redis rediss://127.0.0.1:1 --tls-cert x --tls-key x", "--tls-cert and --tls-key: expected a certificate and its key in PEM"},
		{"bench search", "--slo: expected what to meet, such as p99=20ms,errors=0.1%"},
		{"bench search --slo p98=1s", "expected terms such as p99=20ms,errors=0.1%"},
		{"bench search --slo p99=1s --precision 0", "expected a percentage above 0 and below 100"},
		{"bench search --slo p99=1s --start 0", "expected calls a second, more than 0"},
		{"bench search --slo p99=1s --output csv", "expected text or json or html"},
		{"bench search --slo p99=1s --func nope", "--func: expected one of"},
		{"bench search --slo p99=1s extra", "redrpc bench search: expected flags only"},
		{"bench sweep --rates 1 -c 1", "--rates and --concurrency: expected only one of them"},
		{"bench sweep --arrivals poisson", "--arrivals: expected together with --rates"},
		{"bench sweep --rates 1,x", "expected numbers above 0 by commas, such as 100,200,400, or a row such as 100..1600/5"},
		{"bench sweep --rates 1..0/2", "expected numbers above 0 by commas"},
		{"bench sweep --rates 1..2/0", "expected numbers above 0 by commas"},
		{"bench sweep --rates 1..2/1", "expected numbers above 0 by commas"},
		{"bench sweep --rates 0", "expected numbers above 0 by commas"},
		{"bench sweep --rates=", "expected numbers above 0 by commas"},
		{"bench sweep --rates NaN", "expected numbers above 0 by commas"},
		{"bench sweep -c 1e7", "expected numbers above 0 by commas"},
		{"broker --addr here", "expected a host and a port, such as 127.0.0.1:6379"},
		{"broker --addr 127.0.0.1:99999", "expected a host and a port"},
		{"broker extra", "expected flags only"},
		{"broker --unix=", "expected text that is not empty"},
		{"broker --unix-mode 0700", "--unix-mode: expected together with --unix"},
		{"broker --unix s --unix-mode 0800", "expected permissions in octal digits, such as 0700 or 0660"},
		{"broker --unix s --unix-mode 01777", "expected permissions in octal digits"},
		{"broker --unix s --unix-mode 0", "expected permissions in octal digits"},
		{"broker --tls-cert x", "--tls-cert and --tls-key: expected both or neither"},
		{"broker --tls-ca x", "--tls-ca: expected together with --tls-cert and --tls-key"},
		{"broker --tls-cert x --tls-key x --unix s", "--tls-cert: expected together with --addr"},
		{"broker --tls-cert x --tls-key x", "--tls-cert and --tls-key: expected a certificate and its key in PEM"},
		{"broker --password-file /nonexistent/password", "--password-file: expected a file with a password: open /nonexistent/password"},
		{"broker --password-file " + twoLines, "--password-file: expected one line with a password in"},
		{"broker --password-file " + os.DevNull, "--password-file: expected one line with a password in"},
		{"broker --password secret", "unknown flag: --password: expected one of --addr"},
		{"broker --notify-keyspace-events KEy", "expected letters out of KEAg$lshzxetdnm, such as KEA or Ex"},
		{"broker --maxmemory many", "expected a number of bytes, such as 1000000, 512kb, 100mb or 1gb"},
		{"broker --maxmemory -1", "expected a number of bytes"},
		{"broker --maxmemory 10tb", "expected a number of bytes"},
		{"broker --maxmemory 99999999999999999999gb", "expected a number of bytes"},
		{"broker --fault colour=red", `"--fault" flag: expected words such as command=get error='ERR no': the fault "colour=red" has the word "colour": expected command, key,`},
		{"broker --fault command=get", "Fault has no effect: expected Stall, Delay,"},
		{"broker --manual-time", "--manual-time: expected together with --test-commands"},
		{"broker --test-commands --manual-time=noon", "expected now, or a moment from 1970 to 2200 such as 2026-01-31T12:00:00Z"},
		{"broker --test-commands --manual-time=1969-12-31T00:00:00Z", "expected now, or a moment"},
		{"broker --maxclients 0", "expected a whole number from 1 to 1000000"},
		{"broker --databases 0", "expected a whole number from 1 to 1000000"},
		{"broker --timeout 1500ms", "expected whole seconds, such as 0s, 30s or 5m"},
		{"broker --log-level loud", "expected debug, info, warn or error"},
		{"serve --workers 0", "expected a whole number from 1 to"},
		{"serve --kind a:b", "expected text that is not empty and has no colon"},
		{"serve --id a:b", "expected text that is not empty and has no colon"},
		{"serve --redis nope", "--redis: expected a URL such as"},
		{"serve --exec upper", `invalid argument "upper" for "--exec" flag: expected the name of a function and a program, such as upper='tr a-z A-Z'`},
		{"serve --exec =cat", "expected the name of a function and a program"},
		{"serve --exec upper=", "expected a program after the name of the function"},
		{"serve --exec upper='cat", "expected the end of what began with '"},
		{"serve --exec upper=/nonexistent/program", "expected a program that can be run"},
		{"call", "call: expected the name of a function, then its arguments as NAME=TEXT or NAME:=JSON"},
		{"call f x", `call: expected arguments as NAME=TEXT or NAME:=JSON, got "x"`},
		{"call f =x", `got "=x"`},
		{"call f :=1", `got ":=1"`},
		{"call f a:=x", `call: expected JSON after a:=, such as 1, true or '"text"' (in the shell's quotes), got "x"`},
		{"call f a=1 a:=1", `call: expected each argument once, got "a" again`},
		{"call f --timeout 1", "expected a time longer than 0"},
		{"servers extra", "expected flags only"},
		{"queues --output xml", "expected text or json"},
		{"queues --prefix=", "expected text that is not empty"},
		{"servers --redis nope", "--redis: expected a URL such as"},
		{"top -n -1", "expected a whole number from 0 to"},
		{"top --interval 0s", "expected a time longer than 0"},
		{"top extra", "expected flags only"},
		{"version extra", "expected flags only"},
	} {
		r := redrpc(t, strings.Split(c.args, " ")...)
		r.want(t, exitUsage, c.want)
		if r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("redrpc %s: expected one line on stderr and none on stdout, got %q and %q", c.args, r.stderr, r.stdout)
		}
	}
}

func TestUsageOfTheEnvironment(t *testing.T) {
	for _, command := range []string{"bench", "serve", "call f", "servers", "queues", "top"} {
		r := redrpcIn(t, t.Context(), map[string]string{"REDIS_URL": "ftp://u:secret@h"}, strings.Split(command, " ")...)
		r.want(t, exitUsage, `REDIS_URL: expected a URL such as redis://127.0.0.1:6379/0, rediss://host:6380 (TLS) or unix:///run/redis.sock, got text that begins otherwise`)
	}
}
