package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "redrpc %s\n", version())
			return err
		},
	}
}

// release is the version of CHANGELOG.md that this is, or will be.
const release = "0.1.0"

// version says which redrpc this is, from what the Go tool recorded when it built
// it, and with which Go.
func version() string {
	build := " (devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		var revision, modified string
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value[:min(12, len(s.Value))]
			case "vcs.modified":
				if s.Value == "true" {
					modified = ", modified"
				}
			}
		}
		switch {
		case info.Main.Version == "v"+release:
			build = ""
		case revision != "":
			build = " (devel, " + revision + modified + ")"
		}
	}
	return fmt.Sprintf("%s%s %s %s/%s", release, build, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
