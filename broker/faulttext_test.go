package broker

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseFault(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  Fault
		again string // what String writes; "": the text
	}{
		{`command=blpop key='q:*' nth=3 error='READONLY You can\'t write against a read only replica.'`,
			Fault{Command: "blpop", Key: "q:*", Nth: 3, Error: "READONLY You can't write against a read only replica."},
			`command=blpop key=q:* nth=3 error="READONLY You can't write against a read only replica."`},
		{`client=worker-* delay=50ms`, Fault{Client: "worker-*", Delay: Fixed(50 * time.Millisecond)}, ""},
		{`times=2 probability=0.25 seed=18446744073709551615 drop=after`, Fault{Times: 2, Probability: 0.25, Seed: 1<<64 - 1, Drop: DropAfter}, ""},
		{`drop=before`, Fault{Drop: DropBefore}, ""},
		{`drop=half`, Fault{Drop: DropHalf}, ""},
		{`stall=1m30s delay=uniform(10ms,50ms)`, Fault{Stall: 90 * time.Second, Delay: Uniform{10 * time.Millisecond, 50 * time.Millisecond}}, ""},
		{`  delay="normal( 20ms , 5ms )"  `, Fault{Delay: Normal{20 * time.Millisecond, 5 * time.Millisecond}}, `delay=normal(20ms,5ms)`},
		{`delay=exponential(1s)`, Fault{Delay: Exponential{time.Second}}, ""},
		{`refuse nth=1`, Fault{Refuse: true, Nth: 1}, `nth=1 refuse`},
		{`rtt=40ms upload=64kb download=1m`, Fault{RTT: 40 * time.Millisecond, Upload: 64 << 10, Download: 1_000_000}, `rtt=40ms upload=65536 download=1000000`},
		{`error="a \"b\" \x00\xff" command="client|list"`, Fault{Command: "client|list", Error: "a \"b\" \x00\xff"}, `command=client|list error="a \"b\" \x00\xff"`},
	} {
		got, err := ParseFault(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v; want %+v", c.text, got, err, c.want)
		}
		if c.again == "" {
			c.again = c.text
		}
		if got.String() != c.again {
			t.Errorf("%s: String is %s, want %s", c.text, got, c.again)
		}
	}
	if got := (Fault{Func: func(c *Command) Verdict { return c.Pass() }, Command: "get"}).String(); got != "command=get func" {
		t.Errorf("a function is %q", got)
	}
	if got := (Fault{Delay: DelayFunc(nil)}).String(); got != "delay=function" {
		t.Errorf("a function is %q", got)
	}
}

// A text that is wrong is an error that says where, what came and what was expected.
func TestParseFaultErrors(t *testing.T) {
	for _, c := range []struct{ text, names string }{
		{``, "no effect"},
		{`key=x`, "no effect"},
		{`error='x`, "quote"},
		{`error='x'y`, "quote"},
		{`colour=red error=x`, `"colour": expected command, key,`},
		{`ERROR=x`, `"ERROR": expected command, key,`},
		{`error`, `"error": expected error=, followed by a value`},
		{`error=`, `expected error=, followed by a value`},
		{`refuse=yes`, `expected refuse alone`},
		{`error=x error=y`, "error twice"},
		{`error=x nth=0`, `nth is "0": expected a number of 1 or more`},
		{`error=x nth=first`, `nth is "first": expected`},
		{`error=x times=-1`, `times is "-1": expected`},
		{`error=x probability=2`, `probability is "2": expected`},
		{`error=x probability=nan`, `probability is "nan": expected`},
		{`error=x seed=-1`, `seed is "-1": expected`},
		{`stall=5`, `stall is "5": expected a time`},
		{`stall=0s`, `stall is "0s": expected a time longer than 0`},
		{`stall=-1s`, `stall is "-1s": expected`},
		{`delay=0s`, `Fault.Delay is 0s: expected`},
		{`delay=50`, `delay is "50": expected`},
		{`delay=uniform(1s)`, `delay is "uniform(1s)": expected`},
		{`delay=uniform(2s,1s)`, `Fault.Delay is uniform(2s,1s): expected`},
		{`delay=uniform(1s,2s`, `expected a time such as`},
		{`delay=pareto(1s,2s)`, `expected a time such as`},
		{`delay=normal(x,2s)`, `expected a time of 0 or more`},
		{`drop=maybe`, `drop is "maybe": expected before, after or half`},
		{`drop=never`, `drop is "never": expected`},
		{`upload=fast`, `upload is "fast": expected`},
		{`upload=0`, `upload is "0": expected`},
		{`rtt=1s key=x`, `Fault.Key`},
		{`command=nosuch drop=after`, `Fault.Command is "nosuch"`},
	} {
		f, err := ParseFault(c.text)
		if err == nil || !strings.Contains(err.Error(), c.names) || !strings.HasPrefix(err.Error(), "broker: ") || !reflect.DeepEqual(f, Fault{}) {
			t.Errorf("%s: got %+v, %v; want an error with %s", c.text, f, err, c.names)
		}
	}
}

func TestFaultUsage(t *testing.T) {
	usage := FaultUsage()
	for _, w := range faultWords {
		if !strings.Contains(usage, w.name+" ") {
			t.Errorf("%s is not explained in\n%s", w.name, usage)
		}
	}
}

// Whatever is read is written so that it is read again, and can be injected.
func FuzzParseFault(f *testing.F) {
	for _, text := range []string{
		`command=blpop key='q:*' nth=3 error='READONLY You can\'t write'`, `delay=uniform(10ms,50ms) client="a b"`,
		`refuse times=3`, `rtt=40ms upload=64kb download=1mb`, `drop=half probability=1e-3 seed=7`, `stall=1h delay=normal(1s,0s)`,
		`error="\x00\xff\r" key=\`, `key="\\" error=x`, `client=é error='é'`,
	} {
		f.Add(text)
	}
	b, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { b.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := ParseFault(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "broker: ") {
				t.Errorf("the error is %v", err)
			}
			return
		}
		again, err := ParseFault(fault.String())
		if err != nil || !reflect.DeepEqual(fault, again) {
			t.Errorf("%q is %+v, written as %s, read as %+v, %v", text, fault, fault, again, err)
		}
		inject(t, b, fault).Remove()
	})
}
