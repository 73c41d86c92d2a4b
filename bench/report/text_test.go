package report

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"redrpc/bench"
)

var update = flag.Bool("update", false, "write what is got into testdata")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test -update writes it): got\n%s\nexpected\n%s", name, got, want)
	}
}

func text(t *testing.T, r Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(b.String(), "\n") {
		if c := utf8.RuneCountInString(line); c > fullWidth {
			t.Errorf("line %d has %d columns: %s", n+1, c, line)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a terminal would see an escape sequence")
	}
	return b.String()
}

func TestWriteText(t *testing.T) {
	golden(t, "open.txt", text(t, sample()))
	golden(t, "closed.txt", text(t, closed(400)))
}

// A text has as many columns as its terminal, and no line is longer.
func TestWidthOfText(t *testing.T) {
	long := sample()
	long.Calls = 90_060_000
	long.Labels = []bench.Label{{Name: "GET k:__key__ " + strings.Repeat("x", 90), Calls: 9_006_000, Latency: long.Latency}}
	for name, write := range map[string]func(*lines){
		"open": sample().writeTo, "closed": closed(400).writeTo, "missed": objective(sample()).writeTo, "labels": long.writeTo,
		"sweep": sweepSample(t, true).page().writeTo, "rates": sweepSample(t, false).page().writeTo, "search": searchSample().page().writeTo,
		"comparison": comparisonSample().page().writeTo, "plan": planSample().page().writeTo,
	} {
		for _, columns := range []int{leastWidth, 50, narrowWidth, 72, 80, 99, fullWidth} {
			l := &lines{width: columns}
			write(l)
			for n, line := range strings.Split(l.b.String(), "\n") {
				if c := utf8.RuneCountInString(line); c > columns {
					t.Errorf("%s, line %d has %d columns of %d: %s", name, n+1, c, columns, line)
				}
			}
			// A number that is cut is a wrong one.
			if cut := regexp.MustCompile(`\d…`).FindString(l.b.String()); cut != "" {
				t.Errorf("%s, %d columns: %s in\n%s", name, columns, cut, l.b.String())
			}
		}
	}
}

func TestWriteTextOfABadRun(t *testing.T) {
	r := sample()
	r.Verdict = bench.Verdict{State: bench.Invalid, Reasons: []string{"the generator was late: p99 of sent - intended was 34ms, expected at most 1ms " + strings.Repeat("and so on ", 20)}}
	got := text(t, r)
	if strings.Index(got, "INVALID") > 500 || !strings.HasSuffix(got, "\nINVALID        see the top\n") || strings.Count(got, "34ms") < 2 {
		t.Errorf("INVALID can be overlooked:\n%s", got)
	}
	r.StoppedEarly = true
	r.Verdict = bench.Verdict{State: bench.Diverging, Reasons: []string{"the queue grew by 120 calls per second"}}
	got = text(t, r)
	golden(t, "diverging.txt", got)
	if figure := "  p99          -"; !strings.Contains(got, figure) {
		t.Errorf("expected %q in\n%s", figure, got)
	}
}

// Labels are in every form that has room for them.
func TestWriteLabels(t *testing.T) {
	r := sample()
	r.Labels = []bench.Label{{Name: "GET k:__key__", Calls: 900, Latency: r.Latency}, {Name: "SET k:__key__ " + strings.Repeat("x", 200), Calls: 100, Latency: r.Latency}}
	r.Samples.Labels = map[string]*bench.Samples{r.Labels[0].Name: r.Samples.Response, r.Labels[1].Name: r.Samples.Response}
	var page, data strings.Builder
	if err := errors.Join(r.WriteHTML(&page), r.WriteJSON(&data)); err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{text(t, r), page.String(), data.String()} {
		if !strings.Contains(got, "GET k:__key__") || !strings.Contains(got, "900") {
			t.Errorf("no label in %.3000s", got)
		}
	}
	again, err := Read(strings.NewReader(data.String()))
	if err != nil || len(again.Labels) != 2 || again.Samples.Labels["GET k:__key__"].Count != r.Samples.Response.Count {
		t.Errorf("read back %+v, %v", again.Labels, err)
	}
}

func TestWriteTextWithoutACall(t *testing.T) {
	if got := text(t, closed(0)); !strings.Contains(got, "latency        none: no call was answered with success\n") {
		t.Error(got)
	}
	r := closed(0)
	r.Errors, r.ErrorsByKind = 0, nil
	if got := text(t, r); !strings.Contains(got, "latency        none: no call was sent in the measured time\n") {
		t.Error(got)
	}
}

// The values of settings begin in one column, also behind a long name.
func TestSettingsAreAligned(t *testing.T) {
	r := sample()
	r.Settings = append(Settings{{"connections_per_node", 4}}, r.Settings...)
	got := text(t, r)
	for _, line := range []string{"connections per node 4\n", "broker               in-process\n", "environment          redrpc"} {
		if !strings.Contains(got, "\n"+line) {
			t.Errorf("expected %q in\n%s", line, got)
		}
	}
}

// A shell reads the command of a report as the words that it was.
func TestShellWords(t *testing.T) {
	got := shellWords([]string{"redrpc", "bench", "--a", "-c 1", "--args", `{"x": "it's"}`, "--out=a/b.json", ""})
	if want := `redrpc bench --a '-c 1' --args '{"x": "it'\''s"}' --out=a/b.json ''`; got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
}

func TestWrap(t *testing.T) {
	got := wrap("one two three fourfourfourfour five", 9)
	if want := "one two|three|fourfourf|ourfour|five"; strings.Join(got, "|") != want {
		t.Errorf("got %s, expected %s", strings.Join(got, "|"), want)
	}
}
