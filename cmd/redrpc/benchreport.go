package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"redrpc/bench/report"
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
	flags.Var(name(&f.out, "FILE"), "out", "write the report to this file instead of stdout")
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

// check finds out before the work whether reports can be written after it.
func (f *reportFlags) check(stdout io.Writer) error {
	var errs []error
	for _, o := range f.outputs(stdout) {
		errs = append(errs, o.check())
	}
	return errors.Join(errs...)
}

// outputs are where the reports go, the first in f.format and the others in those of
// f.more.
func (f *reportFlags) outputs(stdout io.Writer) []output {
	all := []output{{f.out, stdout}}
	for _, a := range f.more {
		all = append(all, output{a.path, stdout})
	}
	return all
}

// writers are how a report is written in each form.
type writers map[form]func(io.Writer) error

// write writes all reports, those behind one that fails, too.
func (f *reportFlags) write(w writers, stdout, told io.Writer) error {
	formats := []form{f.format}
	for _, a := range f.more {
		formats = append(formats, a.format)
	}
	var errs []error
	for i, o := range f.outputs(stdout) {
		if err := o.write(w[formats[i]]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", formats[i], err))
		} else if o.path != "" {
			fmt.Fprintf(told, "report written to %s\n", o.path)
		}
	}
	return errors.Join(errs...)
}

// runWriters write what a run measured of calls of fn.
func runWriters(r report.Report, fn string) writers {
	return writers{
		"text":    r.WriteText,
		"json":    r.WriteJSON,
		"csv":     r.WriteCSV,
		"hlog":    r.WriteHLog,
		"hgrm":    func(w io.Writer) error { return r.WriteHGRM(w, "response") },
		"gobench": func(w io.Writer) error { return r.WriteGoBench(w, fn) },
		"html":    r.WriteHTML,
	}
}

// An answer is what is found out by several runs.
type answer interface {
	WriteText(io.Writer) error
	WriteJSON(io.Writer) error
	WriteHTML(io.Writer) error
}

func answerWriters(a answer) writers {
	return writers{"text": a.WriteText, "json": a.WriteJSON, "html": a.WriteHTML}
}

// formsHelp says what the formats are for.
const formsHelp = `Formats: text for people, json with all there is (redrpc bench report makes the others
of it), html as one page that works offline, csv over time, hlog and hgrm for the tools
of HdrHistogram, gobench for benchstat.`
