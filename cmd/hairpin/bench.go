package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hairpin/credentials"
	"hairpin/turnserver/bench"
	"hairpin/turnserver/probe"
)

// benchUser is whom a credential is minted for by default.
const benchUser = "bench"

// What hairpin bench does without being told. The allocations are as many as one user
// may have by default, here and elsewhere.
const (
	benchClients  = 10
	benchSize     = 160
	benchRate     = 5000
	benchDuration = 5 * time.Second
)

// The most that may be asked for: what one machine has ports for, and what a mistyped
// number should not exceed.
const (
	maxBenchClients = 50_000
	maxBenchPeers   = 1000
	maxBenchBurst   = 64
)

// benchOptions are the flags of hairpin bench.
type benchOptions struct {
	deps
	username, password, passwordFile, secretFile, caFile string

	mode                        string
	clients, peers, size, burst int
	rate                        float64
	duration                    time.Duration
	pid                         int
	sink                        string
	allowPublic, json           bool

	given func(flag string) bool
}

// benched is the result of hairpin bench.
type benched struct {
	URI string `json:"uri"`
	*bench.Result
}

func newBench(d deps) *cobra.Command {
	o := &benchOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "bench URI",
		Short: "Load a TURN server, any vendor's, and report delay, loss and cost",
		Long: `Load a TURN server of any vendor, and report what was delivered, at what delay
and, with --pid on the server's machine, at what cost. Clients and peers are
sockets of this machine; the server must let clients reach these peers.
Exit codes: 0 done, 1 nothing arrived, the server refused, or ended early,
2 wrong usage, 3 the server does not answer. Ctrl-C prints what is known.`,
		Example: `  hairpin bench --secret-file secrets --rate 50000 turn:192.0.2.1
  hairpin bench --secret-file secrets --mode allocate --clients 1000 turn:[::1]
  hairpin bench --mode binding stun:127.0.0.1`,
		Args: exactArgs("URI"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noEmptyFlag(cmd, "username", "password", "password-file", "secret-file", "ca-file", "sink", "mode"); err != nil {
				return err
			}
			o.given = cmd.Flags().Changed
			return o.run(cmd.Context(), args[0])
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *benchOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	var modes []string
	for _, m := range bench.Modes() {
		modes = append(modes, string(m))
	}
	flags.StringVar(&o.mode, "mode", string(bench.ToPeer), "`MODE`: "+strings.Join(modes, ", "))
	flags.IntVar(&o.clients, "clients", benchClients, "`N` clients, with an allocation each")
	flags.IntVar(&o.peers, "peers", 1, "`N` peers, which the clients share")
	flags.IntVar(&o.size, "size", benchSize, "`BYTES` of application data in a packet")
	flags.Float64Var(&o.rate, "rate", benchRate, "`N` packets a second in all; 0 is as fast as it goes")
	flags.IntVar(&o.burst, "burst", 1, "`N` packets of one flow back to back")
	flags.DurationVar(&o.duration, "duration", benchDuration, "`TIME` of sending")
	flags.IntVar(&o.pid, "pid", 0, "`PID` of the server on this machine, for its cost")
	flags.StringVar(&o.username, "username", "", "`NAME` to authenticate as, or to mint for")
	flags.StringVar(&o.passwordFile, "password-file", "", "`FILE` with the password, or - (or "+passwordVariable+")")
	flags.StringVar(&o.password, "password", "", "`PASSWORD`; all users of this machine can see it")
	flags.StringVar(&o.secretFile, "secret-file", "", "`FILE` with a secret a line, newest first (or "+secretsVariable+")")
	flags.StringVar(&o.caFile, "ca-file", "", "`FILE` with root certificates to trust")
	flags.StringVar(&o.sink, "sink", "", "receive in the kernel on `INTERFACE` (Linux, root, XDP)")
	flags.BoolVar(&o.allowPublic, "allow-public", false, "load a public address: its operator has agreed")
	flags.BoolVar(&o.json, "json", false, "print as JSON")
}

func (o *benchOptions) run(ctx context.Context, arg string) error {
	uri, err := o.check(arg)
	if err != nil {
		return err
	}
	plan, err := o.plan(ctx, uri)
	if err != nil {
		return err
	}
	if o.sink != "" {
		if plan.Sink, err = openSink(o.sink); err != nil {
			return err
		}
		defer plan.Sink.Close()
	}
	show := newProgress(o.stderr)
	show.waiting(uri.String(), "allocations")
	plan.Watch = func(p bench.Progress) { show.saying(uri.String(), benchProgress(p, plan.Duration)) }
	result, err := bench.Measure(ctx, plan)
	show.clear()
	if err != nil {
		return o.explain(err)
	}
	return o.print(benched{URI: uri.String(), Result: result})
}

func openSink(name string) (*bench.Sink, error) {
	sink, err := bench.NewSink()
	if err == nil {
		if err = sink.Attach(name); err != nil {
			_ = sink.Close()
		}
	}
	if err != nil {
		return nil, usageError(err, "it needs Linux, root, and an interface whose driver takes XDP programs and has none; leave --sink out")
	}
	return sink, nil
}

// check reads the flags; nothing is sent before all of them are right.
func (o *benchOptions) check(arg string) (probe.URI, error) {
	uri, err := parseProbeURIs([]string{arg})
	if err != nil {
		return probe.URI{}, err
	}
	u, mode := uri[0], bench.Mode(o.mode)
	between := func(flag string, n, lowest, highest int) error {
		if n >= lowest && n <= highest {
			return nil
		}
		return usageError(fmt.Errorf("--%s %d is not from %d to %d", flag, n, lowest, highest), "see hairpin bench --help")
	}
	switch {
	case !slices.Contains(bench.Modes(), mode):
		return u, usageError(fmt.Errorf("--mode %q is not known", o.mode), "one of to-peer, to-client, both, relay-to-relay, allocate, binding")
	case !u.Relays() && mode != bench.Binding:
		return u, usageError(fmt.Errorf("%q names a STUN server, which relays nothing", arg), "for example turn:"+u.Host+", or --mode binding")
	case u.Secure() && u.Transport == "udp":
		return u, usageError(errors.New("TURN over DTLS cannot be loaded"), "leave out ?transport=udp for TLS, or load turn:"+u.Host)
	case mode == bench.RelayToRelay && o.clients%2 != 0:
		return u, usageError(errors.New("--mode relay-to-relay needs an even number of --clients"), "clients in pairs are each other's peer")
	case !(o.rate >= 0 && o.rate <= bench.MaxRate):
		return u, usageError(fmt.Errorf("--rate %v is not from 0 to %v", o.rate, float64(bench.MaxRate)), "0 is as fast as it goes")
	case o.duration <= 0 || o.duration > bench.MaxDuration:
		return u, usageError(fmt.Errorf("--duration %v is not above zero and at most %v", o.duration, bench.MaxDuration), "permissions last five minutes")
	}
	if err := o.checkUseless(mode); err != nil {
		return u, err
	}
	for _, err := range []error{
		between("clients", o.clients, 1, maxBenchClients), between("peers", o.peers, 1, maxBenchPeers),
		between("size", o.size, bench.MinPayload, bench.MaxPayload), between("burst", o.burst, 1, maxBenchBurst),
	} {
		if err != nil {
			return u, err
		}
	}
	return u, nil
}

// checkUseless refuses flags that a mode makes nothing of: who gives them expects
// something else.
func (o *benchOptions) checkUseless(mode bench.Mode) error {
	useless := map[bench.Mode][]string{
		bench.Allocate:     {"peers", "size", "rate", "burst", "duration", "sink"},
		bench.Binding:      {"peers", "size", "sink", "username", "password", "password-file", "secret-file"},
		bench.RelayToRelay: {"peers"},
	}
	for _, flag := range useless[mode] {
		if o.given(flag) {
			return usageError(fmt.Errorf("--%s is of no use with --mode %s", flag, mode), "leave it out")
		}
	}
	return nil
}

// plan finds the server and the credentials. It sends nothing but questions to the DNS.
func (o *benchOptions) plan(ctx context.Context, u probe.URI) (bench.Plan, error) {
	p := bench.Plan{Load: bench.Load{
		Mode: bench.Mode(o.mode), Payload: o.size, Rate: o.rate, Burst: o.burst,
		Duration: o.duration, Process: bench.Process(o.pid),
	}}
	p.Clients, p.Peers = o.clients, o.peers
	if o.given("pid") {
		if _, err := p.Process.Resident(); err != nil || o.pid <= 0 {
			return p, usageError(fmt.Errorf("--pid %d: there is no such process, or this is no Linux", o.pid), "for example --pid $(pidof hairpin)")
		}
	}
	if err := o.secure(u, &p); err != nil {
		return p, err
	}
	if p.Mode != bench.Binding {
		var err error
		if p.Username, p.Password, err = o.login(); err != nil {
			return p, err
		}
	}
	var err error
	p.Server, err = o.resolve(ctx, u)
	return p, err
}

// login returns the credentials of the flags, or minted ones.
func (o *benchOptions) login() (username, password string, err error) {
	from := probeOptions{deps: o.deps, passwordFile: o.passwordFile}
	password, err = o.password, nil
	if password == "" {
		if password, err = from.password(); err != nil {
			return "", "", err
		}
	}
	minting := o.secretFile != "" || password == "" && o.getenv(secretsVariable) != ""
	switch {
	case o.password != "" && o.passwordFile != "":
		return "", "", usageError(errors.New("--password and --password-file exclude each other"), "")
	case minting && password != "":
		return "", "", usageError(errors.New("a password and --secret-file exclude each other"), "with a secret, the password is minted")
	case minting:
		return o.mint()
	case o.username == "":
		return "", "", usageError(errors.New("there are no credentials"), "give --secret-file, or --username and --password-file, or set "+secretsVariable)
	case password == "":
		return "", "", usageError(errors.New("there is no password"), "give --password-file, --secret-file, or set "+passwordVariable)
	}
	return o.username, password, nil
}

func (o *benchOptions) mint() (username, password string, err error) {
	secrets, err := needSecrets(o.deps, o.secretFile)
	if err != nil {
		return "", "", err
	}
	user := o.username
	if user == "" {
		user = benchUser
	}
	if err := credentials.CheckUser(user); err != nil {
		return "", "", usageError(fmt.Errorf("--username: %w", err), "with a secret, it is the user alone; the expiry is put before it")
	}
	c, err := secrets.Mint(user, credentials.DefaultTTL, o.now())
	return c.Username, c.Password, err
}

// explain makes an error of the bench one with an exit code and a hint.
func (o *benchOptions) explain(err error) error {
	const forbidden, quota, capacity, family = 403, 486, 508, 443
	var refusal *bench.Refusal
	switch {
	case errors.Is(err, bench.ErrSilent):
		return faultError(err, "it may bound what it answers to strangers: fewer --clients, or lift that while it is measured (hairpin serve --unauthenticated-rate 0)")
	case errors.Is(err, bench.ErrUnreachable):
		return unreachableError(err, "check the URI, and that the server runs and nothing filters on the way; hairpin probe tells more")
	case errors.Is(err, bench.ErrRejected):
		return faultError(err, "hairpin credentials verify tells what is wrong with a credential")
	case !errors.As(err, &refusal):
		return faultError(err, "")
	}
	switch refusal.Code {
	case quota, capacity:
		return faultError(err, "fewer --clients, or lift the server's limits while it is measured (hairpin serve --max-allocations-per-user 0 --max-allocations-per-address 0)")
	case forbidden, family:
		return faultError(err, "the server must relay to this machine, where the peers are (hairpin serve --allow-peer CIDR, turnserver --allow-loopback-peers); --mode relay-to-relay needs no peers")
	}
	return faultError(err, "")
}

func (o *benchOptions) print(b benched) error {
	var err error
	if o.json {
		err = printJSON(o.stdout, b)
	} else {
		err = printBench(o.stdout, b)
	}
	if err == nil && (!b.Complete || b.Packets != nil && b.Packets.Delivered == 0) {
		return errFound()
	}
	return err
}
