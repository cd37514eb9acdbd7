package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hairpin/turnserver"
	"hairpin/turnserver/offload"
	"hairpin/turnserver/probe"
	"hairpin/turnserver/relay"
)

// selfOptions are the flags of hairpin probe self, those of serve aside.
type selfOptions struct {
	deps
	serve   *serveFlags
	server  string
	timeURL string
	timeout time.Duration
	json    bool
}

func newProbeSelf(d deps) *cobra.Command {
	o := &selfOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "self [serve's flags]",
		Short: "Look at a server's own machine; probe --self is the same",
		Long: `Look at the machine a server runs on, or is to run on, and say what will keep
clients from using it. It takes the flags, the file and the environment of
hairpin serve, changes nothing, and asks nobody outside who is not named.

Exit codes: 0 no fault found, 1 a fault found or not all looked at, 2 wrong
usage or configuration. Ctrl-C prints what is known so far.`,
		Example: `  hairpin probe --self --config hairpin.yaml
  hairpin probe --self --listen :443 --stun-server stun.example.org`,
		Args: cobra.NoArgs,
	}
	o.serve = addServeFlags(cmd)
	cmd.SetUsageFunc(nil)
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.VisitAll(func(f *pflag.Flag) { f.Hidden = f.Name != "config" })
	flags.Lookup("config").Usage = "`FILE` of hairpin serve"
	flags.StringVar(&o.server, "stun-server", "", "`HOST[:PORT]` outside, to ask who this machine is")
	flags.StringVar(&o.timeURL, "time-url", "", "https `URL` to compare the clock with")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "longest `TIME` in all")
	flags.BoolVar(&o.json, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := noEmptyFlag(cmd, "config", "stun-server", "time-url"); err != nil {
			return err
		}
		return o.run(cmd.Context())
	}
	return cmd
}

// selfAlias makes the command that hairpin probe --self means.
func selfAlias(args []string) []string {
	if len(args) < 2 || args[0] != "probe" {
		return args
	}
	i := slices.Index(args, "--self")
	if end := slices.Index(args, "--"); i < 0 || end >= 0 && end < i {
		return args
	}
	return append([]string{"probe", "self"}, slices.Delete(slices.Clone(args[1:]), i-1, i)...)
}

func (o *selfOptions) run(ctx context.Context) error {
	switch {
	case o.timeout <= 0:
		return usageError(errors.New("--timeout is not above zero"), "for example --timeout 30s")
	case o.timeURL != "" && probe.CheckTimeURL(o.timeURL) != nil:
		return usageError(fmt.Errorf("--time-url: %w", probe.CheckTimeURL(o.timeURL)), "for example --time-url https://example.org")
	}
	host := thisHost(countKeys)
	config := o.serve.load(host)
	s, err := config.resolve(host)
	if err != nil {
		return printConfigFaults(o.stderr, err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	show := newProgress(o.stderr)
	defer show.clear()
	c := selfConfig(config, s.Listen, relays(s), s.MinPort, s.MaxPort)
	c.Progress = func(words string) { show.waiting("this machine", words) }
	c.TimeURL = o.timeURL
	if c.STUN, err = o.outside(ctx); err != nil {
		return err
	}
	result := probe.Self(ctx, c)
	show.clear()
	if o.json {
		err = printJSON(o.stdout, result)
	} else {
		err = printSelf(o.stdout, result)
	}
	if err != nil || result.Verdict == probe.Healthy {
		return err
	}
	return errFound()
}

// selfConfig is what a configuration asks of its machine.
func selfConfig(c *loadedConfig, listen []netip.AddrPort, relays []relay.Address, minPort, maxPort uint16) probe.SelfConfig {
	files, _ := openFiles() // 0 where it is not known
	self := probe.SelfConfig{
		Listen:       listen,
		MinPort:      minPort,
		MaxPort:      maxPort,
		Allocations:  c.MaxAllocations,
		ListenBuffer: turnserver.ListenBuffer,
		OpenFiles:    files,
	}
	serving := make([]netip.Addr, 0, len(listen)+len(relays))
	for _, at := range listen {
		serving = append(serving, at.Addr())
	}
	for _, r := range relays {
		serving = append(serving, r.Local)
		self.Relays = append(self.Relays, probe.SelfRelay{Local: r.Local, Advertised: r.Advertised})
	}
	self.Offload = func(context.Context) probe.Step {
		return offloadStep(offload.Foresee(offload.Mode(c.Offload), serving))
	}
	return self
}

// offloadStep says which interfaces the kernel's data plane would be on, and why others
// have it not.
func offloadStep(interfaces []offload.Interface) probe.Step {
	if len(interfaces) == 0 {
		return probe.Step{Status: probe.Skipped, Reason: "off", Words: "packets are relayed in user space, as asked for"}
	}
	step := probe.Step{Status: probe.OK}
	words := make([]string, 0, len(interfaces))
	for _, i := range interfaces {
		name := i.Name
		if i.Driver != "" {
			name += " (" + i.Driver + ")"
		}
		if i.Why == offload.WhyNone {
			words = append(words, fmt.Sprintf("%s can relay in the kernel, %s", name, i.Mode))
			continue
		}
		step.Status, step.Reason, step.Hint = probe.Skipped, string(i.Why), i.Why.Hint()
		if i.Name == "" {
			words = append(words, "packets are relayed in user space: "+i.Why.Text())
			continue
		}
		words = append(words, name+" relays in user space: "+i.Why.Text())
	}
	step.Words = strings.Join(words, "; ")
	return step
}

// outside looks up the server that may be asked who this machine is: its first address
// of each family.
func (o *selfOptions) outside(ctx context.Context) ([]netip.AddrPort, error) {
	if o.server == "" {
		return nil, nil
	}
	u, err := probe.ParseURI("stun:" + o.server)
	if err != nil {
		return nil, usageError(fmt.Errorf("--stun-server: %w", err), "for example --stun-server stun.example.org")
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Host)
	if err != nil {
		return nil, unreachableError(fmt.Errorf("--stun-server leads nowhere: %w", err), "check the name, and the DNS resolver of this machine")
	}
	var found []netip.AddrPort
	for _, a := range addrs {
		at := netip.AddrPortFrom(a.Unmap(), u.Port)
		if !slices.ContainsFunc(found, func(f netip.AddrPort) bool { return f.Addr().Is4() == at.Addr().Is4() }) {
			found = append(found, at)
		}
	}
	return found, nil
}

// checkSelf looks at the machine in the background while the server starts, and logs
// what it finds. The function it returns ends that, and waits until it has ended.
func (v *service) checkSelf(ctx context.Context, s settings) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	c := selfConfig(v.config, v.turn.Addrs().UDP, relays(s), s.MinPort, s.MaxPort)
	c.Running = true
	go func() {
		defer close(done)
		if result := probe.Self(ctx, c); ctx.Err() == nil {
			v.logFindings(result.Steps)
		}
	}()
	return func() { cancel(); <-done }
}

// logFindings logs what is wrong, or could be better.
func (v *service) logFindings(steps []probe.Step) {
	for _, s := range steps {
		level := slog.LevelInfo
		if s.Status == probe.Fault {
			level = slog.LevelWarn
		}
		if s.Status == probe.Fault || s.Status == probe.Warning {
			v.log.Log(context.Background(), level, "self-check", "finding", s.Reason, "words", s.Words, "mend", s.Hint)
		}
	}
}
