package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/probe"
)

const (
	// natTimeout is twice what discovery takes where nothing answers.
	natTimeout = 30 * time.Second

	// The bounds of --lifetime: what is shorter than the first is no lifetime of a NAT,
	// and few search for longer than the last, which takes hours.
	minLifetime = 10 * time.Second
	maxLifetime = time.Hour

	// lifetimeSought is for --lifetime alone: twice what RFC 4787 REQ-5 recommends.
	lifetimeSought = "10m"
)

// natOptions are the flags of hairpin probe nat.
type natOptions struct {
	deps
	server   string
	locals   []string
	four     bool
	six      bool
	lifetime time.Duration
	timeout  time.Duration
	json     bool

	patient bool // no --timeout was given
}

// natProbed is the result of hairpin probe nat.
type natProbed struct {
	Server  string        `json:"server"`  // as it was asked for
	Verdict probe.Verdict `json:"verdict"` // the worst of the results
	Results []natResult   `json:"results"`
}

// natResult is what was found from one local address in one family.
type natResult struct {
	Family       string        `json:"family,omitempty"` // "IPv4" or "IPv6"; none without an address of the server
	Verdict      probe.Verdict `json:"verdict"`
	Words        string        `json:"words"`
	Hint         string        `json:"hint,omitempty"`
	Consequences []string      `json:"consequences,omitempty"`
	Report       *nat.Report   `json:"report,omitempty"`
}

// unavailable is the verdict on a family that this host has no way out in. It is no
// fault of the server, nor of a host that has the other family.
const unavailable probe.Verdict = "unavailable"

func newProbeNAT(d deps) *cobra.Command {
	o := &natOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "nat --server HOST[:PORT]",
		Short: "Find out what the NATs in front of this machine do to UDP",
		Long: `Find out what the NATs in front of this machine do to UDP, and which calls will
need TURN. A server with two addresses (RFC 5780) tells most.

Exit codes: 0 no fault found, 1 UDP is blocked or not all was tried, 2 wrong
usage, 3 the server does not answer. Ctrl-C prints what is known so far.`,
		Example: "  hairpin probe nat --server stun.example.org --lifetime=5m",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.patient = !cmd.Flags().Changed("timeout")
			if cmd.Flags().Changed("lifetime") && o.lifetime == 0 {
				o.lifetime = -1 // is refused with the others
			}
			return o.run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.server, "server", "", "`HOST[:PORT]` of a STUN server")
	flags.BoolVarP(&o.four, "ipv4", "4", false, "IPv4 only")
	flags.BoolVarP(&o.six, "ipv6", "6", false, "IPv6 only")
	flags.StringSliceVar(&o.locals, "local", nil, "`IP` of this machine to send from; repeatable")
	flags.DurationVar(&o.lifetime, "lifetime", 0, "how long mappings live, up to `TIME`; takes that long several times")
	flags.Lookup("lifetime").NoOptDefVal = lifetimeSought
	flags.DurationVar(&o.timeout, "timeout", natTimeout, "longest `TIME` in all; none with --lifetime alone")
	flags.BoolVar(&o.json, "json", false, "print as JSON")
	return cmd
}

func (o *natOptions) run(ctx context.Context, args []string) error {
	server, locals, err := o.check(args)
	if err != nil {
		return err
	}
	if o.lifetime == 0 || !o.patient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	show := &natProgress{progress: newProgress(o.stderr)}
	show.waiting(o.server, "its addresses")
	targets, results := o.targets(ctx, server, locals)
	results = append(results, make([]natResult, len(targets))...)
	var probes sync.WaitGroup
	for i, t := range targets {
		into := &results[len(results)-len(targets)+i]
		probes.Go(func() { *into = t.probe(ctx, o, show) })
	}
	probes.Wait()
	show.clear()
	slices.SortStableFunc(results, func(a, b natResult) int { return strings.Compare(a.Family, b.Family) })
	all := natProbed{Server: o.server, Verdict: natVerdict(results), Results: results}
	if err := o.print(all); err != nil {
		return err
	}
	if code := exitOf(all.Verdict); code != exitOK {
		return &exitError{code: code} // the results tell why
	}
	return nil
}

func (o *natOptions) print(p natProbed) error {
	if o.json {
		return printJSON(o.stdout, p)
	}
	return printNATs(o.stdout, p)
}

// check reads the flags; nothing is sent before all of them are right.
func (o *natOptions) check(args []string) (server probe.URI, locals []netip.Addr, err error) {
	switch {
	case len(args) > 0:
		return server, nil, usageError(fmt.Errorf("argument %q is too much", args[0]), "a value of --lifetime follows a =, as in --lifetime=5m")
	case o.server == "":
		return server, nil, usageError(errors.New("--server is missing"), "for example hairpin probe nat --server stun.example.org")
	case o.timeout <= 0:
		return server, nil, usageError(errors.New("--timeout is not above zero"), "for example --timeout 30s")
	case o.lifetime != 0 && (o.lifetime < minLifetime || o.lifetime > maxLifetime):
		return server, nil, usageError(errors.New("--lifetime is not a time from 10s to 1h"), "for example --lifetime=5m")
	}
	if server, err = parseNATServer(o.server); err != nil {
		return server, nil, err
	}
	for _, text := range o.locals {
		local, err := parseIP(text)
		switch {
		case err != nil:
			return server, nil, usageError(fmt.Errorf("--local %q %w", text, err), "give an address of this machine")
		case !isOneHost(local):
			return server, nil, usageError(fmt.Errorf("--local %q is not the address of one host", text), "leave it out for the one that leads to the server")
		case !o.wants(local):
			return server, nil, usageError(fmt.Errorf("--local %q is not of the family asked for", text), "leave -4 and -6 out")
		}
		locals = append(locals, local)
	}
	return server, locals, nil
}

// parseNATServer reads HOST[:PORT], also as the STUN URI it may have been copied from.
func parseNATServer(text string) (probe.URI, error) {
	uri := text
	if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
		uri = "[" + text + "]"
	}
	if !strings.HasPrefix(uri, "stun:") {
		uri = "stun:" + uri
	}
	server, err := probe.ParseURI(uri)
	var refused *probe.URIError
	if errors.As(err, &refused) {
		err = usageError(fmt.Errorf("--server %q %s", text, refused.Fault), strings.ReplaceAll(refused.Hint, "stun:", ""))
	}
	return server, err
}

// wants reports whether the family of an address is to be probed.
func (o *natOptions) wants(a netip.Addr) bool {
	return o.four == o.six || o.four == a.Is4()
}

// natVerdict is the worst of the verdicts. What is unavailable counts if nothing else
// is there.
func natVerdict(results []natResult) probe.Verdict {
	worst, known := probe.Healthy, false
	rank := []probe.Verdict{probe.Healthy, probe.Incomplete, probe.Faulty, probe.Unreachable}
	for _, r := range results {
		if r.Verdict == unavailable {
			continue
		}
		known = true
		if slices.Index(rank, r.Verdict) > slices.Index(rank, worst) {
			worst = r.Verdict
		}
	}
	if !known {
		return probe.Unreachable
	}
	return worst
}

// natProgress is a progress that several goroutines tell of.
type natProgress struct {
	mu sync.Mutex // guards what is shown
	*progress
}

func (p *natProgress) waiting(subject, words string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.waiting(subject, words)
}
