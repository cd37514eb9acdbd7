package turnserver

import (
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/control"
	"hairpin/turnserver/nat"
	"hairpin/turnserver/offload"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/stream"
)

// Config is everything a Server is made of. Credentials, Listen and Relays are
// required; the zero values of the rest are usable.
type Config struct {
	// Listen are the addresses for UDP and TCP. Port 0 takes a free port, the same
	// for both.
	Listen []netip.AddrPort

	// Relays are the addresses relayed transport addresses are opened on, at most one
	// per family, and MinPort to MaxPort their ports (49152 to 65535 by default).
	Relays           []relay.Address
	MinPort, MaxPort uint16

	// Discovery are the addresses that NAT behaviour discovery (RFC 5780) is offered
	// on, at most one set per family; those that Listen lacks are listened on besides.
	// Without any, a server claims no alternate address.
	Discovery []nat.Addresses

	Realm       string // "hairpin" by default
	Credentials *credentials.Secrets

	// Policy says who may be relayed to. Its Relay and Own are filled in by New, Own
	// in addition to what it has.
	Policy control.PolicyConfig

	// OwnPorts are the ports of this host's addresses that are never peers, even where
	// Policy re-opens an address of this host; the listening ports are added.
	OwnPorts []uint16

	// UnauthenticatedRate is how many error responses a second one source gets that
	// proves nothing, over UDP; Binding responses are five times as many, and all
	// sources together get a thousand times as much. Zero means
	// DefaultUnauthenticatedRate, with no bound for sources on loopback, which cannot be
	// forged from outside; less than zero lifts the bounds.
	UnauthenticatedRate int

	Quota       control.Quota // the zero value means control.DefaultQuota
	MaxLifetime time.Duration // of an allocation between refreshes; 1 h by default
	KeepExpired bool          // allocations outlive their credential
	Streams     stream.Limits // the zero value means stream.DefaultLimits

	// LegacyChannels lets the channel numbers that only RFC 5766 allowed be bound too,
	// which some old clients choose.
	LegacyChannels bool

	// Sockets is how many UDP sockets share each listening address; by default one
	// for each core the program may use.
	Sockets int

	// Offload is how the kernel relays what it can; the empty mode is off.
	Offload offload.Mode

	// DrainTimeout is how long Run waits for live allocations once it is asked to
	// stop; zero does not wait.
	DrainTimeout time.Duration

	// SelfUser is the user that the server is tested with from within. No bound refuses
	// its allocations, and they are logged at level debug only. It must be a name that
	// nobody can guess; empty means none.
	SelfUser string

	// Observe, if it is not nil, is told what becomes of allocations, by one goroutine at
	// a time, and Refused what was refused to whom, by any. Both must not block, and be
	// safe while the server closes.
	Observe func(control.Event)
	Refused func(Refusal)

	// Logger is told what an operator should know; nil means nobody.
	Logger *slog.Logger
}

// withDefaults fills in what was left zero and reports what cannot be left.
func (c Config) withDefaults() (Config, error) {
	switch {
	case len(c.Listen) == 0:
		return c, errors.New("no address to listen on")
	case len(c.Relays) == 0:
		return c, errors.New("no address to relay on")
	case c.Credentials == nil:
		return c, errors.New("no secrets to check credentials with")
	}
	if c.MinPort == 0 && c.MaxPort == 0 {
		c.MinPort, c.MaxPort = 49152, 65535
	}
	if _, err := nat.NewResponder(c.Discovery...); err != nil {
		return c, err
	}
	c = c.withDiscovery()
	if c.Realm == "" {
		c.Realm = "hairpin"
	}
	if c.Quota == (control.Quota{}) {
		c.Quota = control.DefaultQuota()
	}
	if c.Streams == (stream.Limits{}) {
		c.Streams = stream.DefaultLimits()
	}
	if c.Sockets == 0 {
		c.Sockets = runtime.GOMAXPROCS(0)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
