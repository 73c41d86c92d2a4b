package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// testdata/version1 has reports that a redrpc of schema 1 wrote: one of each kind.
func version1(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/version1/*.json")
	if err != nil || len(paths) < 11 {
		t.Fatalf("%d reports, %v", len(paths), err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = string(text)
	}
	return texts
}

// leaves counts the numbers and texts of a JSON document, but for those that were converted.
func leaves(t *testing.T, text string) map[string]int {
	t.Helper()
	all := map[string]int{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inside := range v {
				if name != "schema" && name != "checks" && name != "length_ns" {
					walk(inside)
				}
			}
		case []any:
			for _, inside := range v {
				walk(inside)
			}
		case string, float64:
			all[fmt.Sprint(v)]++
		}
	}
	var doc any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	walk(doc)
	return all
}

// TestVersion1IsRead: nothing that a report of schema 1 says is lost, and what is written of it
// is a report of the schema of today.
func TestVersion1IsRead(t *testing.T) {
	strict := compiled(t, true)
	for name, text := range version1(t) {
		doc, err := ReadAny(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		is := written(t, doc.WriteJSON)
		had, has := leaves(t, text), leaves(t, is)
		for leaf, n := range had {
			if has[leaf] < n {
				t.Errorf("%s: %q is there %d times, and was %d times", name, leaf, has[leaf], n)
			}
		}
		if again, err := ReadAny(strings.NewReader(is)); err != nil {
			t.Errorf("%s, written and read again: %v", name, err)
		} else if got := written(t, again.WriteJSON); got != is {
			t.Errorf("%s: written again it differs: %.2000s", name, got)
		}
		for form, write := range map[string]func() string{"text": func() string { return written(t, doc.WriteText) }, "html": func() string { return written(t, doc.WriteHTML) }} {
			if write() == "" {
				t.Errorf("%s as %s: nothing", name, form)
			}
		}
		if _, ok := doc.(Report); ok {
			instance, err := jsonschema.UnmarshalJSON(strings.NewReader(is))
			if err != nil {
				t.Fatal(err)
			}
			if err := strict.Validate(instance); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, private := range []string{"missed\":", "given_up", "\"is\"", "findings", "censored", "matters", "took_turns", "length_", "probes", "\"spoiled\"", "one_process", "\n  \"run\":"} {
			if strings.Contains(is, private) {
				t.Errorf("%s: %s is in it", name, private)
			}
		}
	}
}

// What was converted has its value.
func TestVersion1Values(t *testing.T) {
	texts := version1(t)
	for name, want := range map[string][]string{
		"open.json":       {`"dropped": 517`, `"name": "timeouts",`, `"process": "generator, server and broker share its processors"`, `"schema": 2`},
		"sweep.json":      {`"load_unit": "callers"`},
		"search.json":     {`"duration_s": 3.681664658`, `"unit": "us"`, `"highest_met_per_s": 800`, `"lowest_missed_per_s": null`, `"invalid": true`},
		"comparison.json": {`"interleaved": true`, `"unit": "us"`, `"disturbance": "others used the machine"`},
		"plan-check.json": {`"offered_load_erlangs"`, `"throughput_per_s"`},
	} {
		doc, err := ReadAny(strings.NewReader(texts[name]))
		if err != nil {
			t.Fatal(err)
		}
		is := written(t, doc.WriteJSON)
		for _, w := range want {
			if !strings.Contains(is, w) {
				t.Errorf("%s: expected %s", name, w)
			}
		}
	}
	if doc, err := Read(strings.NewReader(texts["open.json"])); err != nil || doc.Settings[0].Name != "broker" || doc.Settings[len(doc.Settings)-1].Name != "timeout_s" {
		t.Errorf("the settings have lost their order: %+v, %v", doc.Settings, err)
	}
}

// Every name that changed is in the documentation, and no other.
func TestVersion1NamesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/reading-a-report.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Schema 1\n")
	documented := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) == 5 && strings.Contains(cells[2], "`") && strings.Contains(cells[3], "`") {
			documented[strings.Trim(cells[2], " `")+" "+strings.Trim(cells[3], " `")] = true
		}
	}
	renamed := map[string]bool{}
	var walk func(*shape)
	walk = func(s *shape) {
		for _, old := range slices.Sorted(maps.Keys(s.names)) {
			renamed[old+" "+s.names[old]] = true
		}
		for _, inside := range s.inside {
			if inside != run1 {
				walk(inside)
			}
		}
	}
	walk(run1)
	for _, more := range []map[string]string{settingNames1, checkNames1} {
		for old, is := range more {
			renamed[old+" "+is] = true
		}
	}
	for pair := range renamed {
		if !documented[pair] {
			t.Errorf("docs/reading-a-report.md does not say that %s", strings.Replace(pair, " ", " became ", 1))
		}
	}
	for pair := range documented {
		if !renamed[pair] {
			t.Errorf("docs/reading-a-report.md says that %s", strings.Replace(pair, " ", " became ", 1))
		}
	}
}
