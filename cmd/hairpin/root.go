package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every verb.
const (
	exitOK          = 0 // done, and all is well
	exitFault       = 1 // done, and found a fault
	exitUsage       = 2 // wrong usage or configuration: nothing was started
	exitUnreachable = 3 // could not reach what it was asked to reach
)

// deps is the world around the verbs.
type deps struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	transport      http.RoundTripper
	buildInfo      func() (*debug.BuildInfo, bool)
}

// verbs are the constructors of the commands below hairpin, in the order of the help.
func verbs() []func(deps) *cobra.Command {
	return []func(deps) *cobra.Command{
		newServe,
		newCredentials,
		newProbe,
		newBench,
		newVersion,
	}
}

// exitError is why a verb ends with another code than exitOK: one sentence, and a hint
// at what to do. With a nil err the verb has said on stdout what it found.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return "found a fault"
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError is a fault in what the user typed or configured.
func usageError(err error, hint string) error {
	return &exitError{code: exitUsage, err: err, hint: hint}
}

// faultError is a fault found in doing what was asked.
func faultError(err error, hint string) error {
	return &exitError{code: exitFault, err: err, hint: hint}
}

// unreachableError is a server, or anything else, that does not answer.
func unreachableError(err error, hint string) error {
	return &exitError{code: exitUnreachable, err: err, hint: hint}
}

// errFound ends a verb with exitFault and without a word: its result tells the fault.
func errFound() error { return &exitError{code: exitFault} }

// run runs the command line and returns the exit code.
func run(ctx context.Context, d deps, args []string) int {
	root := newRoot(d)
	root.SetArgs(selfAlias(args))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{code: exitUsage, err: err, hint: seeHelp(cmd)}
	}
	if exit.err != nil {
		fmt.Fprintf(d.stderr, "hairpin: %s\n", oneLine(err.Error()))
		if exit.hint != "" {
			fmt.Fprintf(d.stderr, "hint: %s\n", exit.hint)
		}
	}
	return exit.code
}

func newRoot(d deps) *cobra.Command {
	root := &cobra.Command{
		Use:   "hairpin",
		Short: "A STUN and TURN server, and what a WebRTC call needs around it",
		Long: `Hairpin is a STUN and TURN server, and what a WebRTC call needs around it.

Results go to stdout, words to stderr. Exit codes: 0 all is well, 1 found a
fault, 2 wrong usage or configuration, 3 could not reach what was asked for.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       versionOf(d.buildInfo).Version,
	}
	groupOnly(root)
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(d.stdin)
	root.SetOut(d.stdout)
	root.SetErr(d.stderr)
	for _, newVerb := range verbs() {
		root.AddCommand(newVerb(d))
	}
	markFaults(root)
	return root
}

// usageTemplate is cobra's, without what a screen has no room for.
const usageTemplate = `Usage:
  {{if .Annotations.group}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}
`

// groupMark is the annotation, which the template of the help reads, of a command that
// only groups others.
const groupMark = "group"

// groupOnly makes cmd one that only groups others: alone, or with a verb it does not
// have, it is wrong usage.
func groupOnly(cmd *cobra.Command) {
	cmd.Annotations = map[string]string{groupMark: "yes"}
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = needVerb
}

func needVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		var names []string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		return usageError(errors.New("a command is missing"), fmt.Sprintf("%s %s", cmd.CommandPath(), strings.Join(names, "|")))
	}
	hint := seeHelp(cmd)
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = fmt.Sprintf("did you mean %s?", strings.Join(similar, " or "))
	}
	return usageError(fmt.Errorf("there is no command %q", args[0]), hint)
}

// flagError is wrong usage. A flag of a command that does not exist is not the fault
// to tell of.
func flagError(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); cmd.Annotations[groupMark] != "" && len(args) > 0 {
		return needVerb(cmd, args)
	}
	return usageError(err, seeHelp(cmd))
}

func seeHelp(cmd *cobra.Command) string { return "see " + cmd.CommandPath() + " --help" }

// newHelp is cobra's help command, except that it knows when it is asked for nothing
// that exists.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Print help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return needVerb(target, rest)
			}
			target.InitDefaultHelpFlag()
			target.InitDefaultVersionFlag()
			return target.Help()
		},
	}
}

// markFaults gives an error of a verb without a code of its own exitFault. Errors
// without a code that are left come from the parser of the command line.
func markFaults(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		markFaults(sub)
	}
	runE := cmd.RunE
	if runE == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := runE(cmd, args)
		var exit *exitError
		if err == nil || errors.As(err, &exit) {
			return err
		}
		return faultError(err, "")
	}
}
