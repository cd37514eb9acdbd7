package relay

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hairpin/turnserver/udp"
)

// Allocation is a relayed transport address lent to a five-tuple (RFC 8656 §3.2). The
// control plane makes, changes and closes it; its methods are safe for concurrent use
// and all idempotent.
type Allocation struct {
	FiveTuple
	Relayed netip.AddrPort // as the client was told it

	table  *Table
	path   Path
	socket Socket
	local  netip.AddrPort // as the socket is bound

	expires atomic.Int64 // an Instant
	closed  atomic.Bool
	peers   atomic.Pointer[peers]
	counts  [directions]counter
	group   atomic.Uint32 // where a worker has lately put packets for peers: a hint

	mu   sync.Mutex         // serialises the replacement of peers, and guards what follows
	gone [directions]Counts // relayed by the Offload for bindings that have left peers
}

// peers is who an allocation may exchange packets with. Once published it is never
// changed: what changes is a copy. The instants inside are the exception.
type peers struct {
	permissions map[netip.Addr]*permission
	channels    map[uint16]*binding
	bindings    map[netip.AddrPort]*binding
}

var noPeers = &peers{}

type permission struct{ expires atomic.Int64 }

func (p *permission) live(now Instant) bool {
	return p != nil && Instant(p.expires.Load()) > now
}

type binding struct {
	channel uint16
	peer    netip.AddrPort
	expires atomic.Int64
	// permission is the peer's as of the binding's making. Should it be revoked and
	// granted anew, the new one is another; permit carries it over.
	permission *permission
	offload    *offload // guarded by Allocation.mu; nil if no Offload has been asked
}

func (b *binding) live(now Instant) bool {
	return b != nil && Instant(b.expires.Load()) > now
}

type counter struct{ packets, bytes atomic.Uint64 }

func (c *counter) add(bytes int) {
	c.packets.Add(1)
	c.bytes.Add(uint64(bytes))
}

func (p *peers) clone() *peers {
	c := &peers{maps.Clone(p.permissions), maps.Clone(p.channels), maps.Clone(p.bindings)}
	if c.permissions == nil {
		c.permissions = make(map[netip.Addr]*permission)
	}
	return c
}

// sweepLocked removes what lapsed from peers that are to be published, so that the maps
// are bounded by what is live.
func (a *Allocation) sweepLocked(p *peers, now Instant) {
	for addr, permission := range p.permissions {
		if !permission.live(now) {
			delete(p.permissions, addr)
		}
	}
	for channel, b := range p.channels {
		if !b.live(now) {
			delete(p.channels, channel)
			delete(p.bindings, b.peer)
			a.dropLocked(b)
		}
	}
}

// Path returns the way back to the client.
func (a *Allocation) Path() Path { return a.path }

// Expires returns when the allocation's lifetime ends.
func (a *Allocation) Expires() time.Time {
	return a.table.epoch.Add(time.Duration(a.expires.Load()))
}

// SetExpires sets when the allocation's lifetime ends. From then on nothing is
// relayed, whether or not Close has been called.
func (a *Allocation) SetExpires(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expires.Store(int64(a.table.Instant(t)))
	a.offloadAllLocked(netip.Addr{})
}

// Permit lets the peer's IP address exchange packets with the client until the given
// time (RFC 8656 §9); a permission that exists gets the new time, and keeps its
// channels. Reports whether the permission is new.
func (a *Allocation) Permit(now time.Time, peer netip.Addr, until time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, fresh := a.permitLocked(a.table.Instant(now), peer, until)
	a.offloadAllLocked(peer)
	return fresh
}

func (a *Allocation) permitLocked(now Instant, peer netip.Addr, until time.Time) (p *permission, fresh bool) {
	current := a.peers.Load()
	if p = current.permissions[peer]; p == nil {
		p, fresh = &permission{}, true
		next := current.clone()
		a.sweepLocked(next, now)
		next.permissions[peer] = p
		for _, b := range next.bindings {
			if b.peer.Addr() == peer {
				next.setBinding(&binding{channel: b.channel, peer: b.peer, permission: p, offload: b.offload}, b.expires.Load())
			}
		}
		p.expires.Store(int64(a.table.Instant(until)))
		a.peers.Store(next)
		return p, true
	}
	fresh = !p.live(now)
	p.expires.Store(int64(a.table.Instant(until)))
	return p, fresh
}

func (p *peers) setBinding(b *binding, expires int64) {
	b.expires.Store(expires)
	if p.channels == nil {
		p.channels, p.bindings = make(map[uint16]*binding), make(map[netip.AddrPort]*binding)
	}
	p.channels[b.channel], p.bindings[b.peer] = b, b
}

// Revoke ends the permission of a peer's IP address at once. Its channel bindings
// stay, and relay nothing until the address is permitted again.
func (a *Allocation) Revoke(peer netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.peers.Load().permissions[peer]; p != nil {
		p.expires.Store(0)
		a.offloadAllLocked(peer)
	}
}

// Bind binds a channel number to a peer's transport address until the given time and
// permits its IP address until permitted (RFC 8656 §12.2). The caller has made sure by
// [Allocation.Bound] and [Allocation.ChannelOf] that neither is bound otherwise.
func (a *Allocation) Bind(now time.Time, channel uint16, peer netip.AddrPort, until, permitted time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.table.Instant(now)
	p, _ := a.permitLocked(at, peer.Addr(), permitted)
	defer a.offloadAllLocked(peer.Addr())
	expires := int64(a.table.Instant(until))
	current := a.peers.Load()
	if b := current.channels[channel]; b.live(at) && b.peer == peer {
		b.expires.Store(expires)
		return
	}
	next := current.clone()
	a.sweepLocked(next, at)
	next.setBinding(&binding{channel: channel, peer: peer, permission: p}, expires)
	a.peers.Store(next)
}

// Unbind ends a channel binding at once.
func (a *Allocation) Unbind(channel uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.peers.Load().channels[channel]; b != nil {
		b.expires.Store(0)
		a.offloadLocked(b)
	}
}

// Bound returns the peer that a channel is bound to, if its binding lives.
func (a *Allocation) Bound(now time.Time, channel uint16) (netip.AddrPort, bool) {
	if b := a.peers.Load().channels[channel]; b.live(a.table.Instant(now)) {
		return b.peer, true
	}
	return netip.AddrPort{}, false
}

// ChannelOf returns the channel that a peer is bound to, if the binding lives.
func (a *Allocation) ChannelOf(now time.Time, peer netip.AddrPort) (uint16, bool) {
	if b := a.peers.Load().bindings[peer]; b.live(a.table.Instant(now)) {
		return b.channel, true
	}
	return 0, false
}

// Permitted reports whether the peer's IP address has a permission that lives.
func (a *Allocation) Permitted(now time.Time, peer netip.Addr) bool {
	return a.peers.Load().permissions[peer].live(a.table.Instant(now))
}

// Permissions returns the IP addresses whose permissions live.
func (a *Allocation) Permissions(now time.Time) []netip.Addr {
	at, all := a.table.Instant(now), a.peers.Load().permissions
	live := make([]netip.Addr, 0, len(all))
	for addr, p := range all {
		if p.live(at) {
			live = append(live, addr)
		}
	}
	return live
}

// Flows returns the channel bindings that live.
func (a *Allocation) Flows(now time.Time) []Flow {
	at, all := a.table.Instant(now), a.peers.Load().channels
	live := make([]Flow, 0, len(all))
	for _, b := range all {
		if b.live(at) {
			live = append(live, Flow{FiveTuple: a.FiveTuple, Channel: b.channel, Relayed: a.Relayed, Peer: b.peer})
		}
	}
	return live
}

// Counts returns what has been relayed in one direction so far, by the Offload too.
func (a *Allocation) Counts(d Direction) Counts {
	sum := Counts{Packets: a.counts[d].packets.Load(), Bytes: a.counts[d].bytes.Load()}
	a.mu.Lock()
	defer a.mu.Unlock()
	sum.add(a.gone[d])
	for _, b := range a.peers.Load().channels {
		sum.add(b.offload.counts(d))
	}
	return sum
}

// Close withdraws the allocation from the table and closes its relay socket. Packets
// that are being relayed at that moment may still go out; none arrive afterwards.
func (a *Allocation) Close() {
	if a.closed.Swap(true) {
		return
	}
	a.SetExpires(a.table.epoch) // the Offload ends before the port is anyone else's
	a.table.withdraw(a)
	_ = a.socket.Close() // a relay socket has nothing to flush
}

// live reports whether the allocation's lifetime lasts.
func (a *Allocation) live(now Instant) bool { return Instant(a.expires.Load()) > now }

// reader is an Allocation as its relay socket sees it.
type reader struct{ *Allocation }

// Borrow implements [udp.Borrower].
func (r reader) Borrow() *udp.Batch { return r.table.batches.Get().(*udp.Batch) }

// Return implements [udp.Borrower].
func (r reader) Return(b *udp.Batch) { r.table.batches.Put(b) }

// Handle implements [udp.Borrower]: what peers sent goes to the client.
func (r reader) Handle(b *udp.Batch) {
	w := r.table.Borrow()
	now := r.table.Now()
	for i := range b.Packets {
		w.fromPeer(now, r.Allocation, &b.Packets[i])
	}
	w.Flush()
	r.table.Return(w)
}
