package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"hairpin/credentials"
	"hairpin/turnserver/probe"
)

// passwordVariable names the environment variable with the password for probe.
const passwordVariable = "HAIRPIN_PASSWORD"

// probeUser is whom credentials are minted for by default.
const probeUser = "probe"

// probeOptions are the flags of hairpin probe.
type probeOptions struct {
	deps
	username     string
	passwordFile string
	secretFile   string
	caFile       string
	timeout      time.Duration
	json         bool
}

// probed is the result of hairpin probe.
type probed struct {
	Verdict probe.Verdict  `json:"verdict"` // the worst of the results
	Results []probe.Result `json:"results"`
}

func newProbe(d deps) *cobra.Command {
	o := &probeOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "probe URI...",
		Short: "Test STUN and TURN servers of any vendor, and say what is wrong",
		Long: `Test STUN and TURN servers of any vendor, and say in words what was found. The
command line takes no password and no secret. Exit codes: 0 no fault found, 1 a
fault found or not all tried, 2 wrong usage, 3 a server does not answer.`,
		Example: `  hairpin probe --secret-file secrets turn:turn.example.org stun:192.0.2.1
  hairpin probe --username alice --password-file - turns:turn.example.org < pw`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noEmptyFlag(cmd, "username", "password-file", "secret-file", "ca-file"); err != nil {
				return err
			}
			return o.run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.username, "username", "", "`NAME` to authenticate as, or to mint for")
	flags.StringVar(&o.passwordFile, "password-file", "", "`FILE` with the password, or - (or "+passwordVariable+")")
	flags.StringVar(&o.secretFile, "secret-file", "", "`FILE` with a secret a line (or "+secretsVariable+")")
	flags.StringVar(&o.caFile, "ca-file", "", "`FILE` with root certificates to trust")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "longest `TIME` for each URI")
	flags.BoolVar(&o.json, "json", false, "print as JSON")
	cmd.AddCommand(newProbeNAT(d), newProbeSelf(d))
	return cmd
}

func (o *probeOptions) run(ctx context.Context, args []string) error {
	uris, err := parseProbeURIs(args)
	if err != nil {
		return err
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	show := newProgress(o.stderr)
	all := probed{Verdict: probe.Healthy, Results: []probe.Result{}}
	for i, u := range uris {
		if ctx.Err() != nil && i > 0 {
			break
		}
		options.Progress = func(words string) { show.waiting(u.String(), words) }
		one, cancel := context.WithTimeout(ctx, o.timeout)
		result := probe.Server(one, u, options)
		cancel()
		show.clear()
		all.add(result)
		if !o.json {
			if err := printProbe(o.stdout, result, i > 0); err != nil {
				return err
			}
		}
	}
	if o.json {
		if err := printJSON(o.stdout, all); err != nil {
			return err
		}
	}
	return all.exit()
}

func parseProbeURIs(args []string) ([]probe.URI, error) {
	if len(args) == 0 {
		return nil, usageError(errors.New("URI is missing"), "for example hairpin probe stun:stun.example.org")
	}
	uris := make([]probe.URI, 0, len(args))
	for _, arg := range args {
		u, err := probe.ParseURI(arg)
		var refused *probe.URIError
		switch {
		case errors.As(err, &refused):
			return nil, usageError(err, refused.Hint)
		case err != nil:
			return nil, usageError(err, "")
		}
		uris = append(uris, u)
	}
	return uris, nil
}

// options reads files and the environment; nothing is sent before all of it is right.
func (o *probeOptions) options() (probe.Options, error) {
	if o.timeout <= 0 {
		return probe.Options{}, usageError(errors.New("--timeout is not above zero"), "for example --timeout 30s")
	}
	options := probe.Options{Now: o.now}
	var err error
	if o.caFile != "" {
		if options.Roots, err = readRoots(o.caFile); err != nil {
			return options, err
		}
	}
	password, err := o.password()
	switch {
	case err != nil:
		return options, err
	case password != "" && o.username == "":
		return options, usageError(errors.New("--username is missing"), "a password is of use with a user only")
	case password != "" && o.secretFile != "":
		return options, usageError(errors.New("a password and --secret-file exclude each other"), "with a secret, the password is minted")
	case password != "":
		options.Login = &probe.Login{Username: o.username, Password: password}
	case o.secretFile != "" || o.getenv(secretsVariable) != "":
		options.Mint, err = o.mints()
	case o.username != "":
		err = usageError(errors.New("there is no password"), "give --password-file, --secret-file, or set "+passwordVariable)
	}
	return options, err
}

// password reads the password from where it is given, or returns nothing.
func (o *probeOptions) password() (string, error) {
	switch o.passwordFile {
	case "":
		return o.getenv(passwordVariable), nil
	case "-":
		return readPassword(o.stdin)
	}
	f, err := os.Open(o.passwordFile)
	if err != nil {
		return "", usageError(fmt.Errorf("cannot read the password: %w", err), "")
	}
	defer f.Close()
	password, err := readPassword(f)
	if err != nil {
		return "", usageError(fmt.Errorf("%s holds no password", oneLine(o.passwordFile)), "write the password into it, in one line")
	}
	return password, nil
}

// mints makes one function for each secret.
func (o *probeOptions) mints() ([]probe.Mint, error) {
	list, err := listSecrets(o.deps, o.secretFile)
	if err != nil {
		return nil, err
	}
	user := o.username
	if user == "" {
		user = probeUser
	}
	if err := credentials.CheckUser(user); err != nil {
		return nil, usageError(fmt.Errorf("--username: %w", err), "with a secret, it is the user alone; the expiry is put before it")
	}
	var mints []probe.Mint
	for _, secret := range list {
		secrets, err := credentials.NewSecrets(secret)
		if err != nil {
			return nil, usageError(err, secretHint(err))
		}
		mints = append(mints, func(expires time.Time) (probe.Login, error) {
			c, err := secrets.Mint(user, credentials.DefaultTTL, expires.Add(-credentials.DefaultTTL))
			return probe.Login{Username: c.Username, Password: c.Password}, err
		})
	}
	return mints, nil
}

func readRoots(name string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, usageError(fmt.Errorf("cannot read the root certificates: %w", err), "")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, usageError(fmt.Errorf("%s holds no certificate", oneLine(name)), "it is to be in PEM")
	}
	return roots, nil
}

// add takes in the result of one server.
func (p *probed) add(r probe.Result) {
	p.Results = append(p.Results, r)
	if exitOf(r.Verdict) > exitOf(p.Verdict) || r.Verdict == probe.Faulty && p.Verdict == probe.Incomplete {
		p.Verdict = r.Verdict
	}
}

func exitOf(v probe.Verdict) int {
	switch v {
	case probe.Healthy:
		return exitOK
	case probe.Unreachable:
		return exitUnreachable
	}
	return exitFault
}

// exit ends the verb without a word: the results tell.
func (p *probed) exit() error {
	if code := exitOf(p.Verdict); code != exitOK {
		return &exitError{code: code}
	}
	return nil
}
