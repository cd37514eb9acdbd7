package probe

import (
	"context"
	"net/netip"
	"strings"
	"time"
)

// The names of the steps that look at a server's own machine, in their order. Their
// reasons, where a status is not ok, are stable too:
//
//	server        not-running, no-answer, silent, refused, not-stun, closed, no-route
//	address       address-private, address-differs, address-unseen, ports-translated,
//	              address-loopback, not-asked
//	relay-ports   port-taken, not-seen-from-outside
//	sockets       buffers-small, not-measured
//	files         files-few, not-measured
//	conntrack     conntrack-small, conntrack-full
//	clock         clock-skew, clock-unsynchronised, not-asked, no-date
//	certificate   no-tls
//	offload       no-offload, or what the kernel's data plane says
//	ipv6          ipv6-unused, ipv6-none
const (
	StepServer     = "server"
	StepAddress    = "address"
	StepRelayPorts = "relay-ports"
	StepSockets    = "sockets"
	StepFiles      = "files"
	StepConntrack  = "conntrack"
	StepClock      = "clock"
	StepOffload    = "offload"
	StepIPv6       = "ipv6"
)

// Reasons of what cannot be known.
const (
	ReasonNotAsked = "not-asked"    // only somebody outside could tell, and none was named
	ReasonNotTold  = "not-measured" // this system does not say
)

const (
	// clockTolerance is how wrong a clock may be: no credential is made for so short.
	clockTolerance = 30 * time.Second

	// selfWait is how long any one answer may take.
	selfWait = 2 * time.Second

	// filesPerAllocation is how many open files an allocation takes, with its share of
	// those that connections and HTTP need.
	filesPerAllocation = 1 / 0.75
)

// SelfRelay is an address relayed transport addresses are opened on, and the one
// clients are told.
type SelfRelay struct{ Local, Advertised netip.Addr }

// SelfConfig is what a server is made of, as far as its machine has to bear it.
type SelfConfig struct {
	Listen           []netip.AddrPort // over UDP; a port 0 is not asked
	Running          bool             // so that no answer is a fault
	Relays           []SelfRelay
	MinPort, MaxPort uint16 // of relayed transport addresses
	Allocations      int    // the most there may be, 0 for no bound
	ListenBuffer     int    // bytes that each listening socket asks for
	OpenFiles        uint64 // the most there may be, 0 if that is not known

	// STUN are addresses of a server outside that may be asked who we are, at most one
	// per family, and TimeURL is an HTTPS URL whose Date may be compared. Where they are
	// not given, nobody is asked.
	STUN    []netip.AddrPort
	TimeURL string

	// Offload says how the kernel's data plane is; nil means that there is none.
	Offload func(context.Context) Step

	// Progress is told what is being waited for.
	Progress func(words string)
}

// SelfResult is what was found about a server's own machine.
type SelfResult struct {
	Verdict Verdict `json:"verdict"` // healthy or fault; incomplete if interrupted
	Words   string  `json:"words"`
	Steps   []Step  `json:"steps"`
}

// self is one look at a machine.
type self struct {
	SelfConfig
	machine
}

// Self looks at the machine a server runs on, or is to run on, and says what will keep
// clients from using it and what mends that. It changes nothing, asks nobody outside
// but those who are named, and takes a few seconds at most.
func Self(ctx context.Context, c SelfConfig) SelfResult {
	return look(ctx, &self{c, thisMachine()})
}

func look(ctx context.Context, s *self) SelfResult {
	r := SelfResult{Steps: []Step{}}
	for _, stage := range s.stages() {
		if s.Progress != nil {
			s.Progress(stage.waits)
		}
		begin := time.Now()
		step := skipped(ReasonInterrupted, "%s", "interrupted")
		if ctx.Err() == nil {
			step = stage.run(ctx)
		}
		step.Name, step.Took = stage.name, time.Since(begin)
		step.TookMS = ms(step.Took)
		r.Steps = append(r.Steps, step)
	}
	r.conclude()
	return r
}

func (s *self) stages() []stage {
	return []stage{
		{StepServer, "an answer of the server", nothing, s.server},
		{StepAddress, "who we are to others", nothing, s.address},
		{StepRelayPorts, "a relay port", nothing, s.relayPorts},
		{StepSockets, "the size of socket buffers", nothing, s.sockets},
		{StepFiles, "the limit of open files", nothing, s.files},
		{StepConntrack, "the state of connection tracking", nothing, s.conntracked},
		{StepClock, "the time", nothing, s.clock},
		{StepCertificate, "the certificate", nothing, func(context.Context) Step {
			return skipped("no-tls", "this server speaks no TLS, so there is no certificate of its own")
		}},
		{StepOffload, "the kernel's data plane", nothing, s.offload},
		{StepIPv6, "the addresses of this machine", nothing, s.ipv6},
	}
}

// conclude fills in the verdict.
func (r *SelfResult) conclude() {
	by := make(map[Status][]string)
	interrupted := false
	for _, s := range r.Steps {
		by[s.Status] = append(by[s.Status], s.Name)
		interrupted = interrupted || s.Reason == ReasonInterrupted
	}
	switch {
	case len(by[Fault]) > 0:
		r.Verdict, r.Words = Faulty, counted(len(by[Fault]), "fault")+": "+strings.Join(by[Fault], ", ")
	case interrupted:
		r.Verdict, r.Words = Incomplete, "ended before all was looked at"
	default:
		r.Verdict, r.Words = Healthy, "no fault found"
	}
	if names := by[Warning]; len(names) > 0 {
		r.Words += "; to look at: " + strings.Join(names, ", ")
	}
	if names := by[Unknown]; len(names) > 0 {
		r.Words += "; not known: " + strings.Join(names, ", ")
	}
}

// offload asks the kernel's data plane how it is.
func (s *self) offload(ctx context.Context) Step {
	if s.Offload == nil {
		return skipped("no-offload", "packets are relayed in user space")
	}
	return s.Offload(ctx)
}
