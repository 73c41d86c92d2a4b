package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/report"
	"redrpc/internal/terminal"
)

// readFlags are the flags of the sub-commands that read reports and measure nothing.
type readFlags struct {
	out reportFlags
	slo capacity.SLO
}

func (f *readFlags) register(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	cmd.Flags().Var(slo(&f.slo), "slo", "service level objective, such as p99=20ms,errors=0.1%; exit code 3 if it is missed")
	f.out.register(cmd, runForms)
}

func newReport(getenv func(string) string) *cobra.Command {
	f := new(readFlags)
	cmd := &cobra.Command{
		Use:   "report REPORT",
		Short: "Write a report in another format",
		Long: `Write a JSON report of redrpc bench or of one of its sub-commands in another format. A
REPORT of - is stdin. Formats other than text, json and html are for runs only.

` + formsHelp + `

` + exitCodesHelp + `
The exit code is that of what was measured, and of its --slo unless another one is given.`,
		Example: `  redrpc bench report run.json
  redrpc bench report run.json --output html --out run.html
  redrpc bench report run.json --report hlog=run.hlog --report csv=run.csv --slo p99=20ms`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s: expected one JSON report of redrpc bench, got %d", nameOf(cmd), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			doc, err := readDocument(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			if rep, ok := doc.(report.Report); ok && f.slo != nil {
				rep.Objective = objectiveOf(f.slo, rep.Result)
				doc = rep
			} else if f.slo != nil {
				return usagef("--slo: expected the report of a run, got another one: %s", args[0])
			}
			return f.write(doc, cmd.OutOrStdout(), newLiveLine(cmd.ErrOrStderr(), getenv))
		},
	}
	f.register(cmd)
	return cmd
}

func newMerge(getenv func(string) string) *cobra.Command {
	f := new(readFlags)
	cmd := &cobra.Command{
		Use:   "merge REPORT...",
		Short: "Merge the reports of several generators",
		Long: `Merge the JSON reports of all generators that shared a load by --instance into one report.
Calls and histograms are added, so each figure is what a single generator would have
reported; nothing is averaged. The verdict is the worst of theirs.

Reports of different loads or functions are refused, and a set in which one is missing.

` + exitCodesHelp,
		Example: `  redrpc bench merge part-0.json part-1.json part-2.json --out whole.json --output json
  redrpc bench merge part-*.json --report html=whole.html --slo p99=20ms`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s: expected JSON reports of redrpc bench, got none", nameOf(cmd))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			reports, err := readReportFiles(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			whole, err := mergeReports(reports, args)
			if err != nil {
				return err
			}
			whole.Objective = objectiveOf(f.slo, whole.Result)
			return f.write(whole, cmd.OutOrStdout(), newLiveLine(cmd.ErrOrStderr(), getenv))
		},
	}
	f.register(cmd)
	return cmd
}

func (f *readFlags) write(doc report.Document, stdout, told io.Writer) error {
	if err := f.out.check(stdout); err != nil {
		return err
	}
	return f.out.end(doc, stdout, told)
}

// first is the first error that there is. Others are told.
func first(told io.Writer, errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	for i, err := range errs {
		if i > 0 {
			fmt.Fprintf(told, "redrpc: %s\n", terminal.Text(err.Error()))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

// mergeReports makes one report of several, with the settings that they share.
func mergeReports(reports []report.Report, names []string) (report.Report, error) {
	one := reports[0]
	results := make([]*bench.Result, len(reports))
	for i, r := range reports {
		results[i] = r.Result
		for _, name := range []string{"function", "payload_bytes", "args", "replay"} {
			if a, b := setting(one.Settings, name), setting(r.Settings, name); a != b {
				return report.Report{}, fmt.Errorf("%s and %s: expected reports of one configuration, got %s %q and %q", names[0], names[i], name, a, b)
			}
		}
	}
	res, err := bench.Merge(results...)
	if err != nil {
		return report.Report{}, err
	}
	shared := report.Settings{{Name: "merged", Value: strings.Join(names, ", ")}}
	for _, s := range one.Settings {
		if !slices.ContainsFunc(reports, func(r report.Report) bool { return setting(r.Settings, s.Name) != setting(one.Settings, s.Name) }) {
			shared = append(shared, s)
		}
	}
	return report.Report{Settings: shared, Environment: one.Environment, Result: res}, nil
}

// setting is the value of this name as text, "" if there is none.
func setting(settings report.Settings, name string) string {
	for _, s := range settings {
		if s.Name != name {
			continue
		}
		if text, ok := s.Value.(string); ok {
			return text
		}
		text, err := json.Marshal(s.Value)
		if err != nil {
			panic(err) // it was read from JSON, or written as such
		}
		return string(text)
	}
	return ""
}

// readDocument reads a report of any kind. A path of - is stdin.
func readDocument(path string, stdin io.Reader) (report.Document, error) {
	return readAs(path, stdin, report.ReadAny)
}

// readReportFile reads the report of a run.
func readReportFile(path string, stdin io.Reader) (report.Report, error) {
	return readAs(path, stdin, report.Read)
}

func readAs[T any](path string, stdin io.Reader, read func(io.Reader) (T, error)) (doc T, err error) {
	from := stdin
	if path != "-" {
		file, err := os.Open(path) // #nosec G304 -- the user names the file
		if err != nil {
			return doc, fmt.Errorf("expected a JSON report of redrpc bench: %w", err)
		}
		defer file.Close()
		from = file
	}
	if doc, err = read(from); err != nil {
		return doc, fmt.Errorf("%s: %w", path, err)
	}
	return doc, nil
}

func readReportFiles(paths []string, stdin io.Reader) ([]report.Report, error) {
	var all []report.Report
	for _, path := range paths {
		rep, err := readReportFile(path, stdin)
		if err != nil {
			return nil, err
		}
		all = append(all, rep)
	}
	return all, nil
}

// reportPaths are those that a text names: a directory's JSON files, or files and
// patterns by commas. What is there by its name is no pattern.
func reportPaths(text string) ([]string, error) {
	parts := []string{text}
	if _, err := os.Stat(text); err != nil {
		parts = strings.Split(text, ",")
	}
	var all []string
	for _, part := range parts {
		paths, err := filesOf(part)
		if err != nil || len(paths) == 0 {
			return nil, usagef("expected reports, as files and patterns by commas or as a directory with JSON files; there is no %q", part)
		}
		all = append(all, paths...)
	}
	return all, nil
}

// filesOf are a file, the JSON files of a directory, or all files of a pattern. A
// directory's name is taken as it is if there is one.
func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return matching(path, "*.json")
	case err == nil:
		return []string{path}, nil
	}
	dir, pattern := filepath.Split(path)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return matching(dir, pattern)
	}
	return filepath.Glob(path)
}

// matching are the files of a directory whose names match.
func matching(dir, pattern string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if is, err := filepath.Match(pattern, e.Name()); err != nil {
			return nil, err
		} else if is && !e.IsDir() {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return all, nil
}
