package control

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

// Lifetimes of RFC 8656, and of what it leaves to the server.
const (
	DefaultLifetime    = 10 * time.Minute // of an allocation, §7.2
	PermissionLifetime = 5 * time.Minute  // §9
	ChannelLifetime    = 10 * time.Minute // §12
	reservationTime    = 30 * time.Second // §7.2 asks for at least 30 s

	// answeredTime is how long the answer to a Refresh that ended an allocation is
	// remembered for retransmissions: the time a client sends them (RFC 8489 §6.2.1).
	answeredTime = 40 * time.Second

	// answeredMax bounds how many such answers are remembered at once.
	answeredMax = 1 << 16

	// maxMessage is the longest request that an HMAC is computed over, in bytes: far
	// more than any has, and a bound on what a stranger's costs.
	maxMessage = 8 << 10

	// openTries is how many ports are tried where other programs hold some.
	openTries = 16
)

// Quota bounds what may be lent. Zero lifts a bound.
type Quota struct {
	Allocations  int // in all
	PerUser      int
	PerAddress   int // per client IPv4 address or IPv6 /64
	Permissions  int // per allocation
	Channels     int // per allocation
	Reservations int // of ports, per user
}

// DefaultQuota returns the bounds that are safe on a small machine.
func DefaultQuota() Quota {
	return Quota{Allocations: 20_000, PerUser: 10, PerAddress: 50, Permissions: 128, Channels: 64, Reservations: 1}
}

// Config says what a Server works with. Fields without a default are required.
type Config struct {
	Realm       string
	Software    string // the SOFTWARE attribute, for authenticated clients; empty for none
	Credentials *credentials.Secrets
	Table       *relay.Table
	Policy      *Policy
	Quota       Quota

	// Relays are the addresses to lend relayed transport addresses on, at most one
	// per family, and MinPort to MaxPort the ports.
	Relays           []relay.Address
	MinPort, MaxPort uint16

	// Open opens a relay socket on a local address. PortBusy tells from its error
	// whether another port may do.
	Open     func(local netip.AddrPort) (relay.Socket, error)
	PortBusy func(error) bool

	// DontFragment says that relay sockets can send with the DF bit.
	DontFragment bool

	// MaxLifetime bounds an allocation's lifetime between refreshes; zero means 1 h,
	// and less than DefaultLifetime is refused, for that is always granted (RFC 8656
	// §7.2).
	MaxLifetime time.Duration

	// SelfUser is the user whose allocations no bound refuses: the server's own, when it
	// tests itself. Empty means none.
	SelfUser string

	// KeepExpired lets an allocation outlive the credential it was made with. By
	// default it ends with it, unless it is refreshed with a newer one.
	KeepExpired bool

	// LegacyChannels lets the channel numbers that only RFC 5766 allowed be bound too,
	// which some old clients choose.
	LegacyChannels bool

	// Observe is told of every allocation once when it is made and once when it has
	// ended, in that order, one at a time and without locks held; nil tells nobody.
	// Another goroutine may still be telling when a method returns.
	Observe func(Event)

	// Random is where secrets come from; nil means crypto/rand.
	Random io.Reader
}

// Server is the control plane of one relay table. Its methods are safe for concurrent
// use.
type Server struct {
	config   Config
	policy   atomic.Pointer[Policy]
	draining atomic.Bool
	nonces   *nonces
	refused  [reasons]atomic.Uint64
	bindings atomic.Uint64

	mu           sync.Mutex // guards all below
	quota        Quota
	pools        map[netip.Addr]*ports // by local relay address
	allocations  map[relay.FiveTuple]*allocation
	users        map[string]int
	addresses    map[netip.Addr]int
	reservations map[reservationToken]*reservation
	reserved     map[string]int // reservations by user
	answered     map[relay.FiveTuple]*answer
	revoked      map[string]time.Time // users, and which credentials: those that expire no later
	wheel        *wheel
	events       []Event // to be told while mu is not held
	telling      bool    // somebody does so
}

// New returns a control plane that has lent nothing.
func New(c Config) (*Server, error) {
	if c.Credentials == nil || c.Table == nil || c.Policy == nil || c.Open == nil {
		return nil, errors.New("control: Credentials, Table, Policy and Open are required")
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.MaxLifetime == 0 {
		c.MaxLifetime = time.Hour
	}
	if c.MaxLifetime < DefaultLifetime {
		return nil, fmt.Errorf("control: MaxLifetime %v is below the default lifetime, %v", c.MaxLifetime, DefaultLifetime)
	}
	if c.PortBusy == nil {
		c.PortBusy = func(error) bool { return false }
	}
	nonces, err := newNonces(c.Random)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:       c,
		nonces:       nonces,
		quota:        c.Quota,
		pools:        make(map[netip.Addr]*ports),
		allocations:  make(map[relay.FiveTuple]*allocation),
		users:        make(map[string]int),
		addresses:    make(map[netip.Addr]int),
		reservations: make(map[reservationToken]*reservation),
		reserved:     make(map[string]int),
		answered:     make(map[relay.FiveTuple]*answer),
		wheel:        newWheel(),
	}
	s.policy.Store(c.Policy)
	for _, r := range c.Relays {
		pool, err := newPorts(c.MinPort, c.MaxPort, c.Random)
		if err != nil {
			return nil, fmt.Errorf("relay ports of %v: %w", r.Local, err)
		}
		s.pools[r.Local] = pool
	}
	return s, nil
}

// From is where a message came from: the five-tuple and the way back.
type From struct {
	relay.FiveTuple
	Path relay.Path
}

// Answer is what became of a message.
type Answer struct {
	Reply  []byte // to send back to where the message came from; empty for silence
	Method stun.Method
	Reason Reason // why it was refused; None if it was not
	User   string // whose credential it was; empty unless that was proven
}

// Handle answers one STUN message. The reply is written over dst, which the caller
// lends, or to new memory if it does not fit; nothing of msg or dst is kept.
func (s *Server) Handle(now time.Time, from *From, msg, dst []byte) Answer {
	if !wire.WellFormed(msg) {
		return Answer{}
	}
	q := &request{server: s, now: now, from: from}
	if _, err := q.Write(msg); err != nil || q.Type.Class != stun.ClassRequest {
		return Answer{}
	}
	handle, known := handlers[q.Type.Method]
	if !known {
		return Answer{}
	}
	q.cut()
	reason := None
	if q.Type.Method == stun.MethodBinding {
		reason = q.binding()
	} else if reason = q.authenticate(); reason == None {
		reason = q.dispatch(handle)
	}
	if reason != None {
		s.refused[reason].Add(1)
	}
	return Answer{Reply: q.encode(dst), Method: q.Type.Method, Reason: reason, User: q.user}
}

// handlers are what answers authenticated requests, under Server.mu. Binding's is
// another matter: it needs neither.
var handlers = map[stun.Method]func(*request) Reason{
	stun.MethodBinding:          nil,
	stun.MethodAllocate:         (*request).allocate,
	stun.MethodRefresh:          (*request).refresh,
	stun.MethodCreatePermission: (*request).createPermission,
	stun.MethodChannelBind:      (*request).channelBind,
}

// dispatch runs the handler of an authenticated request.
func (q *request) dispatch(handle func(*request) Reason) Reason {
	if reason := q.checkUnderstood(); reason != None {
		return reason
	}
	s := q.server
	s.mu.Lock()
	defer s.unlock()
	if reason := q.checkRevokedLocked(); reason != None {
		return reason
	}
	return handle(q)
}

// binding answers a Binding request, which needs no credentials (RFC 8489 §6.3.1).
func (q *request) binding() Reason {
	if reason := q.checkUnderstood(); reason != None {
		return reason
	}
	q.server.bindings.Add(1)
	q.succeed()
	q.addAddress(stun.AttrXORMappedAddress, q.from.Client)
	return None
}

// SetPolicy replaces the peer policy. Permissions and channels that it forbids end
// before SetPolicy returns.
func (s *Server) SetPolicy(now time.Time, p *Policy) {
	s.policy.Store(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.allocations {
		for _, peer := range a.Permissions(now) {
			if p.Check(peer) != None {
				a.Revoke(peer)
			}
		}
		for _, flow := range a.Flows(now) {
			if p.Check(flow.Peer.Addr()) != None {
				a.Unbind(flow.Channel)
			}
		}
	}
}

// SetQuota replaces the bounds for what is lent from now on.
func (s *Server) SetQuota(q Quota) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota = q
}

// Drain lets no new allocations be made; those that exist can be refreshed.
func (s *Server) Drain() { s.draining.Store(true) }

// Draining reports whether Drain has been called.
func (s *Server) Draining() bool { return s.draining.Load() }
