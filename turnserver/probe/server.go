package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"time"
)

// The names of the steps, in the order they are taken.
const (
	StepDNS            = "dns"
	StepReachability   = "reachability"
	StepCertificate    = "certificate"
	StepBinding        = "binding"
	StepAuthentication = "authentication"
	StepAllocation     = "allocation"
	StepPermission     = "permission"
	StepIndication     = "indication"
	StepChannel        = "channel"
	StepOutside        = "outside"
	StepPeerPolicy     = "peer-policy"
	StepFeatures       = "features"
)

// Reasons that any step can have.
const (
	ReasonInterrupted = "interrupted" // ctx ended
	ReasonNeeds       = "needs"       // an earlier step did not give what it needs
)

// Mint makes a login that lasts until the time given, from a shared secret.
type Mint func(expires time.Time) (Login, error)

// Options adapt a probe. The zero value is usable, without credentials.
type Options struct {
	// Login is what to authenticate with, and Mint, where there is none, how to make
	// one: one function for each shared secret, newest first. With a Mint, what is
	// wrong with a credential can be found out by making others.
	Login *Login
	Mint  []Mint

	Wait    time.Duration  // for any one answer; 5 s by default
	Packets int            // to measure relaying with, each way; 20 by default
	Roots   *x509.CertPool // whom to trust for certificates; the system's by default

	// Progress is told what is being waited for. Calls do not overlap.
	Progress func(words string)

	Now    func() time.Time // time.Now by default
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

func (o Options) withDefaults() Options {
	if o.Wait <= 0 {
		o.Wait = 5 * time.Second
	}
	if o.Packets <= 0 {
		o.Packets = 20
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lookup == nil {
		o.Lookup = net.DefaultResolver.LookupNetIP
	}
	return o
}

// prober is one probe of one server, and what it has found so far.
type prober struct {
	uri    URI
	o      Options
	result Result

	addresses []netip.AddrPort // of the server
	at        netip.AddrPort   // the one that is probed
	reached   bool             // something is there
	secured   *secured

	login      *Login // what the server let in
	a          *client
	mapped     netip.AddrPort // as the server sees a
	allocated  *allocation
	refused    error // why there is no allocation
	far        *peer // the other end of what is relayed
	challenge  Challenge
	natBinding bool // the server answers RFC 5780

	closing []func()
}

// stage is a step to take.
type stage struct {
	name  string
	waits string        // what for, to say while it does
	needs func() string // what is missing, or ""
	run   func(ctx context.Context) Step
}

// Server probes one STUN or TURN server and says what it found. It takes one step
// after another; where one fails, those that build on it are skipped and the others
// taken. When ctx ends it returns what is known by then. It gives back what it
// allocates, and sends data to nobody but itself.
func Server(ctx context.Context, u URI, o Options) Result {
	p := &prober{uri: u, o: o.withDefaults()}
	p.result = Result{URI: u.String(), Steps: []Step{}}
	begin := time.Now()
	for _, s := range p.stages() {
		p.take(ctx, s)
	}
	p.o.Progress("the server to take back what it lent")
	for i := len(p.closing) - 1; i >= 0; i-- {
		p.closing[i]()
	}
	p.result.conclude(p.reached)
	p.result.TookMS = ms(time.Since(begin))
	return p.result
}

func (p *prober) stages() []stage {
	stages := []stage{
		{StepDNS, "the addresses of " + p.uri.Host, nothing, p.resolve},
		{StepReachability, "an answer over " + p.uri.Transport, p.noAddress, p.reach},
	}
	if p.uri.Secure() {
		stages = append(stages, stage{StepCertificate, "the certificate", p.noTLS, p.certificate})
	}
	stages = append(stages, stage{StepBinding, "the answer to a Binding request", p.noServer, p.binding})
	if !p.uri.Relays() {
		return stages
	}
	return append(
		stages,
		stage{StepAuthentication, "the server to let us in", p.noServer, p.authenticate},
		stage{StepAllocation, "an allocation", p.noAllocate, p.allocation},
		stage{StepPermission, "a permission", p.noAllocation, p.permission},
		stage{StepIndication, "packets relayed by indications", p.noPeer, p.indication},
		stage{StepChannel, "packets relayed over a channel", p.noPeer, p.channel},
		stage{StepOutside, "a packet from outside", p.noAllocation, p.outside},
		stage{StepPeerPolicy, "which peers are refused", p.noAllocation, p.peerPolicy},
		stage{StepFeatures, "what else the server offers", p.noAllocation, p.features},
	)
}

// What a stage may need.

func nothing() string { return "" }

func missing(there bool, what string) string {
	if there {
		return ""
	}
	return what
}

func (p *prober) noAddress() string    { return missing(len(p.addresses) > 0, "an address") }
func (p *prober) noTLS() string        { return missing(p.secured != nil, "a connection with TLS or DTLS") }
func (p *prober) noServer() string     { return missing(p.at.IsValid(), "a server that answers") }
func (p *prober) noAllocation() string { return missing(p.allocated != nil, "an allocation") }
func (p *prober) noPeer() string       { return missing(p.far != nil, "a peer with a permission") }

func (p *prober) noAllocate() string {
	return missing(p.allocated != nil || p.refused != nil, "to be authenticated")
}

// take takes one step.
func (p *prober) take(ctx context.Context, s stage) {
	begin := time.Now()
	var step Step
	switch what := s.needs(); {
	case what != "":
		step = skipped(ReasonNeeds, "needs %s", what)
	case ctx.Err() != nil:
		step = skipped(ReasonInterrupted, "%s", interruption(ctx))
	default:
		p.o.Progress(s.waits)
		step = s.run(ctx)
		if ctx.Err() != nil && step.Status != OK {
			step = unknown(ReasonInterrupted, step.Details, "%s while waiting for %s", interruption(ctx), s.waits)
		}
	}
	step.Name, step.Took = s.name, time.Since(begin)
	step.TookMS = ms(step.Took)
	p.result.Steps = append(p.result.Steps, step)
}

func interruption(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "out of time"
	}
	return "interrupted"
}

// open makes another client of the server, as the user that was let in.
func (p *prober) open(ctx context.Context) (*client, error) {
	way, _, err := dial(ctx, p.uri, p.at, p.o)
	if err != nil {
		return nil, err
	}
	c := newClient(way, p.o.Wait)
	c.become(p.login)
	return c, nil
}

// later has something done when the probe ends.
func (p *prober) later(f func()) { p.closing = append(p.closing, f) }
