// Command typecheck checks the types of all packages and their tests for other systems,
// and for each the shifts that are too wide for its integers.
//
//	typecheck windows/amd64 linux/386
//
// It reads all that they import from source and compiles nothing, so it takes a few
// seconds for a system where "go build" takes a minute.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/analysis/passes/shift"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/packages"
)

func main() {
	failed := false
	for _, system := range os.Args[1:] {
		complaints, err := check(system)
		if err != nil {
			fmt.Fprintf(os.Stderr, "typecheck: %s: %v\n", system, err)
			os.Exit(2)
		}
		slices.Sort(complaints)
		for _, c := range slices.Compact(complaints) { // a package is also part of its tests
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %s\n", system, c)
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check returns what is wrong with the packages on a system, such as linux/386.
func check(system string) (complaints []string, err error) {
	goos, goarch, ok := strings.Cut(system, "/")
	if !ok {
		return nil, fmt.Errorf("expected an operating system and an architecture, such as windows/amd64")
	}
	all, err := packages.Load(&packages.Config{
		Mode:  packages.LoadAllSyntax,
		Tests: true,
		Env:   append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
	}, "./...")
	if err != nil {
		return nil, err
	}
	for p := range packages.Postorder(all) {
		for _, e := range p.Errors {
			complaints = append(complaints, e.Error())
		}
	}
	if len(complaints) > 0 {
		return complaints, nil
	}
	for _, p := range all {
		pass := &analysis.Pass{
			Analyzer: shift.Analyzer, Fset: p.Fset, Files: p.Syntax, Pkg: p.Types, TypesInfo: p.TypesInfo, TypesSizes: p.TypesSizes,
			ResultOf: map[*analysis.Analyzer]any{inspect.Analyzer: inspector.New(p.Syntax)},
			Report: func(d analysis.Diagnostic) {
				complaints = append(complaints, fmt.Sprintf("%s: %s", p.Fset.Position(d.Pos), d.Message))
			},
		}
		if _, err := shift.Analyzer.Run(pass); err != nil {
			return nil, fmt.Errorf("%s: %w", p.PkgPath, err)
		}
	}
	return complaints, nil
}
