package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"redrpc/bench/report"
	"redrpc/internal/terminal"
)

// A form is one in which a report can be written, by its name.
type form = string

// reportFlags are the flags that say in which forms reports are written, and where to.
type reportFlags struct {
	format form
	out    string
	more   []also
	forms  []form // that there are
}

// also is one more form of a report, and its file.
type also struct{ format, path string }

// runForms are the forms of a run, and answerForms those of what is found out by several.
var (
	runForms    = []form{"text", "json", "csv", "hlog", "hgrm", "gobench", "html"}
	answerForms = []form{"text", "json", "html"}
)

func (f *reportFlags) register(cmd *cobra.Command, forms []form) {
	f.format, f.forms = "text", forms
	flags := cmd.Flags()
	flags.VarP(oneOf(&f.format, forms...), "output", "o", "format of the report")
	flags.Var(name(&f.out, "FILE"), "out", "write the report to this file instead of stdout (-)")
	flags.Var(alsoIn{f}, "report", "write the report in a further format, too, such as html=run.html (repeatable)")
}

// alsoIn is the value of a flag that can be given several times.
type alsoIn struct{ f *reportFlags }

func (v alsoIn) Type() string { return "FORMAT=FILE" }

func (v alsoIn) String() string {
	if v.f == nil {
		return ""
	}
	var all []string
	for _, a := range v.f.more {
		all = append(all, a.format+"="+a.path)
	}
	return strings.Join(all, " ")
}

func (v alsoIn) Set(s string) error {
	format, path, _ := strings.Cut(s, "=")
	if !slices.Contains(v.f.forms, format) || path == "" {
		return fmt.Errorf("expected a format and a file, such as html=run.html; formats are %s", strings.Join(v.f.forms, ", "))
	}
	v.f.more = append(v.f.more, also{format, path})
	return nil
}

// check finds out before the work whether reports can be written after it, each to a
// file of its own.
func (f *reportFlags) check(stdout io.Writer) error {
	var errs []error
	all := f.outputs(stdout)
	for i, o := range all {
		for _, before := range all[:i] {
			if o.target() == before.target() {
				return usagef("--report: expected a file for each report, got two for %s", o)
			}
		}
		errs = append(errs, o.check())
	}
	return errors.Join(errs...)
}

// outputs are where the reports go, the first in f.format and the others in those of
// f.more.
func (f *reportFlags) outputs(stdout io.Writer) []output {
	paths := []string{f.out}
	for _, a := range f.more {
		paths = append(paths, a.path)
	}
	all := make([]output, len(paths))
	for i, path := range paths {
		if path == "-" {
			path = ""
		}
		all[i] = output{path, stdout}
	}
	return all
}

// formats are those of the reports, in the order of outputs.
func (f *reportFlags) formats() []form {
	all := []form{f.format}
	for _, a := range f.more {
		all = append(all, a.format)
	}
	return all
}

// writers are how a report is written in each form.
type writers map[form]func(io.Writer) error

// write writes all reports, those behind one that fails, too.
func (f *reportFlags) write(w writers, stdout, told io.Writer) error {
	formats := f.formats()
	var errs []error
	for i, o := range f.outputs(stdout) {
		if err := o.write(w[formats[i]]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", formats[i], err))
		} else if o.path != "" {
			fmt.Fprintf(told, "report written to %s\n", terminal.Text(o.path))
		}
	}
	return errors.Join(errs...)
}

// writersOf are the forms of a report of any kind.
func writersOf(doc report.Document) writers {
	all := writers{"text": doc.WriteText, "json": doc.WriteJSON, "html": doc.WriteHTML}
	if r, ok := doc.(report.Report); ok {
		called := calledIn(r.Settings)
		all["csv"], all["hlog"] = r.WriteCSV, r.WriteHLog
		all["hgrm"] = func(w io.Writer) error { return r.WriteHGRM(w, "response") }
		all["gobench"] = func(w io.Writer) error { return r.WriteGoBench(w, called) }
	}
	return all
}

// calledIn is what was called, for people: a function, or commands as of names.
func calledIn(settings report.Settings) string {
	if fn := setting(settings, "function"); fn != "" {
		return fn
	}
	var names []string
	for _, s := range settings {
		text, ok := s.Value.(string)
		if number, is := strings.CutPrefix(s.Name, "command"); !ok || !is || strings.Trim(number, "_0123456789") != "" {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(text), " ")
		if name = strings.ToUpper(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if names == nil {
		return "call"
	}
	return strings.Join(names, "+")
}

// end writes a report, and returns the error that what it says ends the command with.
func (f *reportFlags) end(doc report.Document, stdout, told io.Writer) error {
	w := writersOf(doc)
	for _, format := range f.formats() {
		if w[format] == nil {
			return usagef("%s: expected %s, for this is not the report of a run", format, strings.Join(answerForms, ", "))
		}
	}
	written := f.write(w, stdout, told)
	return first(told, ended(doc, told), written)
}

// formsHelp says what the formats are for.
const formsHelp = `Formats: text for people, json with all there is (redrpc bench report makes the others
of it), html as one page that works offline, csv over time, hlog and hgrm for the tools
of HdrHistogram, gobench for benchstat.`
