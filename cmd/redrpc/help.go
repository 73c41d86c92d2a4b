package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

func init() {
	cobra.AddTemplateFunc("flagUsages", flagUsages)
}

// setUsage sets the texts of usage: cobra's, but for how flags are shown.
func setUsage(root *cobra.Command) {
	root.SetUsageTemplate(strings.NewReplacer(
		".LocalFlags.FlagUsages", "flagUsages . .LocalFlags",
		".InheritedFlags.FlagUsages", "flagUsages . .InheritedFlags",
	).Replace(root.UsageTemplate()))
}

// flagUsages lists flags, wrapped at the width of the terminal that it is written to.
func flagUsages(cmd *cobra.Command, flags *pflag.FlagSet) string {
	width := 0 // no wrapping
	if f, ok := cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns >= 80 {
			width = columns
		}
	}
	const values = "[=true|false]" // what pflag puts behind each switch
	return strings.ReplaceAll(flags.FlagUsagesWrapped(width), values, strings.Repeat(" ", len(values)))
}

// completeFlags tells the shell the values of the flags of cmd and its sub-commands:
// their choices, file names where they name files, and otherwise nothing.
func completeFlags(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		complete := cobra.NoFileCompletions
		switch kind := f.Value.Type(); {
		case strings.Contains(kind, "FILE"):
			return
		case strings.Contains(kind, "|"):
			complete = cobra.FixedCompletions(strings.Split(kind, "|"), cobra.ShellCompDirectiveNoFileComp)
		}
		if _, set := cmd.GetFlagCompletionFunc(f.Name); !set {
			if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
				panic(err) // the flag is one of cmd
			}
		}
	})
	for _, c := range cmd.Commands() {
		completeFlags(c)
	}
}

// didYouMean is the error of a word that is none of names, with those that are alike,
// or else all.
func didYouMean(err error, word string, names []string) error {
	all := &cobra.Command{SuggestionsMinimumDistance: 2}
	if len(strings.TrimLeft(word, "-")) < 5 {
		all.SuggestionsMinimumDistance = 1 // else all short words are alike
	}
	for _, name := range names {
		all.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	if alike := all.SuggestionsFor(word); word != "" && len(alike) > 0 {
		return usagef("%w: did you mean %s?", err, strings.Join(alike, " or "))
	}
	return usagef("%w: expected one of %s", err, strings.Join(names, " "))
}

// flagError adds to an unknown flag which ones there are, and keeps to itself what
// may be a URL.
func flagError(cmd *cobra.Command, err error) error {
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		name := "--" + wrong.GetFlag().Name
		if short := wrong.GetFlag().Shorthand; short != "" {
			name = "-" + short + ", " + name
		}
		return usagef("invalid argument %s for %q flag: %w", shown(wrong.GetValue()), name, wrong.Unwrap())
	}
	var given string
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		given = unknown.GetSpecifiedName()
	} else if quotable(err.Error()) {
		return usageError{err}
	}
	if !quotable(err.Error()) {
		given, err = "", errors.New("unknown flag, "+shown(err.Error()))
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	if len(given) < 2 { // a shorthand is like many
		return didYouMean(err, "", names)
	}
	return didYouMean(err, "--"+given, names)
}
