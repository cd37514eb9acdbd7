package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hairpin/credentials"
)

// maxPasswordLine bounds what is read of a password from stdin, in bytes.
const maxPasswordLine = 4096

func newCredentials(d deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credentials",
		Short: "Issue and verify short-lived TURN credentials, and join tokens",
	}
	groupOnly(cmd)
	cmd.AddCommand(newIssue(d), newVerify(d), newJoinToken(d))
	return cmd
}

// verifyOptions are the flags of hairpin credentials verify.
type verifyOptions struct {
	deps
	secretFile         string
	json               bool
	username, password string
}

func newVerify(d deps) *cobra.Command {
	o := &verifyOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "verify USERNAME PASSWORD",
		Short: "Tell whether a credential is valid now, and if not, why",
		Long: `Tell whether a credential is valid now, which secret signed it, when it expires
or expired, and what is wrong with it.

Other users of this machine can see PASSWORD in the list of processes. With -
for PASSWORD, it is read from the first line of stdin.

Exit code 0 if it is valid, 1 if it is not.`,
		Example: `  hairpin credentials verify --secret-file secrets 1772366400:alice - < password`,
		Args:    exactArgs("USERNAME", "PASSWORD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noEmptyFlag(cmd, "secret-file"); err != nil {
				return err
			}
			o.username, o.password = args[0], args[1]
			return o.run()
		},
	}
	cmd.Flags().StringVar(&o.secretFile, "secret-file", "", "`FILE` with a secret a line, newest first (or set "+secretsVariable+")")
	cmd.Flags().BoolVar(&o.json, "json", false, "print as JSON")
	return cmd
}

func (o *verifyOptions) run() error {
	secrets, err := needSecrets(o.deps, o.secretFile)
	if err != nil {
		return err
	}
	if o.password == "-" {
		if o.password, err = readPassword(o.stdin); err != nil {
			return err
		}
	}
	now := o.now()
	e := secrets.Explain(o.username, o.password, now)
	if o.json {
		err = printJSON(o.stdout, e)
	} else {
		err = printRows(o.stdout, explanationRows(e, now))
	}
	if err == nil && !e.Valid {
		return errFound()
	}
	return err
}

func explanationRows(e credentials.Explanation, now time.Time) []row {
	valid, expires, secret := "no", "", "none"
	if e.Valid {
		valid = "yes"
	}
	if !e.ExpiresAt.IsZero() {
		expires = fmt.Sprintf("%s, %s", e.ExpiresAt.Format(time.RFC3339), relative(e.ExpiresAt, now))
	}
	if e.SignedBy > 0 {
		secret = fmt.Sprintf("%d of %d", e.SignedBy, e.Secrets)
	}
	var faults []string
	for _, fault := range e.Faults {
		faults = append(faults, string(fault))
	}
	return []row{
		{"valid", valid},
		{"reason", strings.Join(faults, ", ")},
		{"user", e.User},
		{"expires", expires},
		{"secret", secret},
		{"found", e.Text},
		{"hint", e.Hint},
	}
}

// readPassword reads a line. It takes away the line end, and nothing else that might
// be what is wrong with the password.
func readPassword(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", usageError(fmt.Errorf("cannot read the password: %w", err), "")
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", usageError(errors.New("stdin holds no password"), "write the password to stdin, in one line")
	}
	return line, nil
}

// exactArgs wants one argument for each name.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError(fmt.Errorf("%s is missing", names[len(args)]), seeHelp(cmd))
		case len(args) > len(names):
			return usageError(fmt.Errorf("%q is one argument too many", args[len(names)]), seeHelp(cmd))
		}
		return nil
	}
}

// noEmptyFlag refuses flags with nothing in them, as an unset variable of a script
// leaves them: another default than the one meant would be taken in silence.
func noEmptyFlag(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return usageError(fmt.Errorf("--%s is empty", name), seeHelp(cmd))
		}
	}
	return nil
}
