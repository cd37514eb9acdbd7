package signaling

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxAddresses bounds the table. An entry costs about 150 bytes and an established TCP connection, and
// is forgotten a few seconds after its last socket.
const maxAddresses = 1 << 16

// addresses counts, for each client address, its open sockets, its members that are away, and its recent
// joins.
type addresses struct {
	limits Limits

	mu     sync.Mutex // guards all below
	byNet  map[netip.Prefix]*address
	pruned time.Time
}

type address struct {
	sockets int
	away    int
	joins   *rate.Limiter
}

func newAddresses(limits Limits) *addresses {
	return &addresses{limits: limits, byNet: map[netip.Prefix]*address{}}
}

// network is what one subscriber is known by: the IPv4 address or the IPv6 /64. Clients whose address
// is not known share the zero Prefix, and so the limits of one.
func network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}

// open takes one of the address's sockets, to be given back by release.
func (a *addresses) open(n netip.Prefix) *Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.byNet[n]
	if e == nil {
		a.pruneLocked(time.Now())
		if len(a.byNet) >= maxAddresses {
			return refuse(ReasonOverloaded, "The server has too many clients; try again later.")
		}
		e = &address{joins: rate.NewLimiter(rate.Limit(a.limits.JoinRate), a.limits.JoinBurst)}
		a.byNet[n] = e
	}
	if e.sockets >= a.limits.SocketsPerAddress {
		return refuse(ReasonTooManySockets, "This address has too many sockets open; close one first.")
	}
	e.sockets++
	return nil
}

func (a *addresses) release(n netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byNet[n].sockets--
}

// hold takes a place for a member that is away, of an address that has a socket open; drop gives it back.
func (a *addresses) hold(n netip.Prefix) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.byNet[n]
	if e.away >= a.limits.SocketsPerAddress {
		return false
	}
	e.away++
	return true
}

func (a *addresses) drop(n netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byNet[n].away--
}

// join reports whether the address, which has a socket open, may join a room now.
func (a *addresses) join(n netip.Prefix) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byNet[n].joins.Allow()
}

// floodJoins is what a flood costs, in joins. Each socket has a burst of its own, so who comes back on a
// new one whenever the old one is closed would be held to no rate.
const floodJoins = 10

// punish takes joins of an address, which has a socket open, for a flood. It may go into debt, but not
// deeper for a flood more: the others behind the address wait no longer than one flood takes.
func (a *addresses) punish(n netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	joins, now := a.byNet[n].joins, time.Now()
	if joins.TokensAt(now) > 0 {
		joins.ReserveN(now, min(floodJoins, a.limits.JoinBurst))
	}
}

// pruneLocked forgets addresses without sockets and members whose joins are long past. It looks at all of them,
// and therefore at most once a second.
func (a *addresses) pruneLocked(now time.Time) {
	if now.Sub(a.pruned) < time.Second {
		return
	}
	a.pruned = now
	for n, e := range a.byNet {
		if e.sockets == 0 && e.away == 0 && e.joins.TokensAt(now) >= float64(a.limits.JoinBurst) {
			delete(a.byNet, n)
		}
	}
}
