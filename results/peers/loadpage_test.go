package main

import (
	"strings"
	"testing"
)

// Every load is on the page, and what is out of bounds is named.
func TestLoadPage(t *testing.T) {
	r := &loadResults{Held: []held{{Through: brokerServer, Process: "client", Calls: 10, During: sample{InUse: 50_000}}}}
	for _, c := range loadCases {
		for _, server := range []string{brokerServer, redisServer} {
			r.Borne = append(r.Borne, borne{Server: server, Case: c.name, Before: 10 << 20, Peak: 110 << 20, After: 12 << 20})
		}
	}
	page, err := r.page()
	if err != nil || len(page.Wrong) > 0 || len(page.Rows) != len(loadCases) {
		t.Fatalf("of a run within bounds: %q, %v", page.Wrong, err)
	}
	var text strings.Builder
	if err := loadTemplate.Execute(&text, page); err != nil || strings.Contains(text.String(), "%!") || !strings.Contains(text.String(), "client | broker | 5,000 |") {
		t.Errorf("%v\n%s", err, text.String())
	}
	r.Borne[0].Peak = 176 << 20 // within 1.5 times and 16 MiB
	r.Borne[2].Peak = 177 << 20 // beyond
	r.Borne[4].After = 43 << 20 // 33 MiB
	r.Held[0].After.Goroutines = 1
	if page, err = r.page(); err != nil || len(page.Wrong) != 3 {
		t.Errorf("expected three things out of bounds, got %q, %v", page.Wrong, err)
	}
	r.Borne = r.Borne[1:]
	if _, err := r.page(); err == nil {
		t.Error("a load that was not measured: expected an error")
	}
}
