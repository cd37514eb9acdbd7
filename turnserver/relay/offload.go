package relay

import (
	"net/netip"
	"time"
)

// Offload relays flows below this process. It is told at once what changes, and by no
// packet: what it does not relay, it hands up as if it were not there. The calls for an
// allocation come one at a time, under Allocation.mu, so that an Offload calls nothing
// here; those of different allocations come together.
type Offload interface {
	// Install begins to relay a flow for the time that is left of it, or returns nil:
	// then the flow is relayed here, and offered again when its client refreshes it.
	Install(f LocalFlow, left time.Duration) Offloaded

	// Totals returns what has been relayed in one direction since the start, flows that
	// are gone included. It may be called at any time.
	Totals(Direction) Counts
}

// Offloaded is a flow that an [Offload] relays.
type Offloaded interface {
	// Renew sets the time that is left, and reports false if the flow has been given up
	// meanwhile. Counts goes on to work.
	Renew(left time.Duration) bool

	// Remove ends it. Nothing is relayed once it returns, but for packets that are on
	// their way at that moment. Counts goes on to work.
	Remove()

	// Counts returns what has been relayed of it in one direction.
	Counts(Direction) Counts
}

// LocalFlow is a flow with the addresses that its packets have on this host: Relayed
// and, of a peer that is a relayed transport address of this server, Peer are local and
// not what is advertised for them.
type LocalFlow struct {
	Flow

	// Hairpin says that the peer's address is one of the table's own: packets may go to
	// it and come from it only by the hairpin turn.
	Hairpin bool
}

// offload is what becomes of an allocation in an [Offload].
type offload struct {
	flow Offloaded          // nil while it is relayed here only
	gone [directions]Counts // by what flow was before
}

// counts returns what has been relayed in one direction, now and before.
func (o *offload) counts(d Direction) Counts {
	if o == nil {
		return Counts{}
	}
	sum := o.gone[d]
	if o.flow != nil {
		sum.add(o.flow.Counts(d))
	}
	return sum
}

// forget keeps the counts of a flow that is given up or removed.
func (o *offload) forget() {
	for d := range directions {
		o.gone[d] = o.counts(d)
	}
	o.flow = nil
}

func (o *offload) remove() {
	if o != nil && o.flow != nil {
		o.flow.Remove()
		o.forget()
	}
}

// offloadLocked brings the Offload up to date with a binding that is in the table:
// every change to a lifetime ends here, before whoever asked for it is answered. What
// is relayed there ends with the first of the binding, the permission and the
// allocation.
func (a *Allocation) offloadLocked(b *binding) {
	if a.table.offload == nil || a.Transport != UDP || !a.table.told(b.peer.Addr()) {
		return
	}
	left := a.leftLocked(b)
	if left <= 0 {
		b.offload.remove()
		return
	}
	if b.offload == nil {
		b.offload = &offload{}
	}
	if b.offload.flow != nil {
		if b.offload.flow.Renew(left) {
			return
		}
		b.offload.forget()
	}
	b.offload.flow = a.table.offload.Install(a.localFlow(b), left)
}

// told reports whether an address, if it is this server's, is the one clients are told.
// By that alone the other end of a hairpin turn looks for its binding: a flow by the local
// form would look the same in packets, and have what was never bound arrive.
func (t *Table) told(peer netip.Addr) bool {
	advertised, own := t.advertise[peer]
	return !own || advertised == peer
}

// leftLocked returns how long a binding may still relay.
func (a *Allocation) leftLocked(b *binding) time.Duration {
	if a.closed.Load() {
		return 0
	}
	end := min(b.expires.Load(), b.permission.expires.Load(), a.expires.Load())
	return time.Duration(Instant(end) - a.table.Now())
}

// offloadAllLocked does so for all bindings that concern a peer's IP address, or for all
// if it is the zero Addr.
func (a *Allocation) offloadAllLocked(peer netip.Addr) {
	if a.table.offload == nil {
		return
	}
	for _, b := range a.peers.Load().channels {
		if !peer.IsValid() || b.peer.Addr() == peer {
			a.offloadLocked(b)
		}
	}
}

// dropLocked ends what the Offload does for a binding that leaves the table.
func (a *Allocation) dropLocked(b *binding) {
	b.offload.remove()
	for d := range directions {
		a.gone[d].add(b.offload.counts(d))
	}
	b.offload = nil
}

func (a *Allocation) localFlow(b *binding) LocalFlow {
	f := LocalFlow{
		Flow:    Flow{FiveTuple: a.FiveTuple, Channel: b.channel, Relayed: a.local, Peer: b.peer},
		Hairpin: a.table.Own(b.peer.Addr()),
	}
	if local, ok := a.table.local[b.peer.Addr()]; ok {
		f.Peer = netip.AddrPortFrom(local, b.peer.Port())
	}
	return f
}

func (c *Counts) add(more Counts) {
	c.Packets += more.Packets
	c.Bytes += more.Bytes
}
