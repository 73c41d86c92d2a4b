package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan writes the manual pages. It is for who packages the command, and so not in help.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write the manual pages",
		Long:    "Write the manual pages of redrpc and its sub-commands, redrpc.1, redrpc-bench.1 and so on, into a directory.",
		Example: "  redrpc man /usr/local/share/man/man1",
		Hidden:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("man: expected one directory, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil { // #nosec G301 -- the user has a umask
				return err
			}
			root := cmd.Root()
			forMan(root)
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "redrpc " + version(), Manual: "User Commands"}, args[0])
		},
	}
}

// forMan makes Markdown of the help of a command and its sub-commands: what stands behind
// two blanks is a table, whose lines stay as they are.
func forMan(cmd *cobra.Command) {
	var text strings.Builder
	table := false
	for line := range strings.Lines(cmd.Long) {
		if is := strings.HasPrefix(line, "  "); is != table {
			table = is
			text.WriteString("\n")
		}
		if table {
			text.WriteString("  ")
		} else {
			line = strings.NewReplacer("_", `\_`, "*", `\*`, "<", `\<`).Replace(line)
		}
		text.WriteString(line)
	}
	cmd.Long = text.String()
	cmd.DisableAutoGenTag = true // a section HISTORY that names the generator
	for _, c := range cmd.Commands() {
		forMan(c)
	}
}
