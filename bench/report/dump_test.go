package report

import (
	"os"
	"testing"

	"redrpc/bench"
)

func TestDump(t *testing.T) {
	dir := os.Getenv("DUMP")
	if dir == "" {
		t.Skip()
	}
	bad := sample()
	bad.Verdict = bench.Verdict{State: bench.Diverging, Reasons: []string{"the queue grew by 120 calls a second"}}
	for name, r := range map[string]Report{"open": sample(), "closed": closed(400), "empty": closed(0), "bad": bad} {
		f, err := os.Create(dir + "/" + name + ".html")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.WriteHTML(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}
