package relay

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hairpin/turnserver/udp"
)

// ErrTaken says that the five-tuple or the relayed address has an allocation already.
var ErrTaken = errors.New("five-tuple or relayed transport address is taken")

// Config says what a Table is made of.
type Config struct {
	// Addresses are the addresses that relayed transport addresses are opened on.
	Addresses []Address

	// Epoch is the instant zero; the zero time means now.
	Epoch time.Time

	// Now is the data plane's clock; nil means time since Epoch.
	Now func() Instant

	// OwnPeer says whether a peer at one of Addresses that is no live relayed transport
	// address may be sent to and heard from like any other; nil means none may. It is
	// called from many goroutines.
	OwnPeer func(netip.AddrPort) bool

	// Offload relays what it takes below this process; nil means that there is none.
	Offload Offload

	// RelayBatch is how many packets are read from a relay socket at once;
	// zero means 16.
	RelayBatch int
}

// Address is an IP address relayed transport addresses are opened on, and the one that
// clients and peers know it by. They differ behind a 1:1 NAT.
type Address struct{ Local, Advertised netip.Addr }

// Table is the relay table: every live allocation, by five-tuple and by relayed
// transport address. Reading it takes no lock.
type Table struct {
	epoch time.Time
	clock func() Instant
	own   func(netip.AddrPort) bool

	offload Offload // nil if there is none

	byTuple   *index[tupleKey, Allocation]
	byRelayed *index[addrKey, Allocation]
	advertise map[netip.Addr]netip.Addr // local and advertised addresses to the advertised one
	local     map[netip.Addr]netip.Addr // and to the local one

	batches sync.Pool
	workers sync.Pool
	readers sync.WaitGroup

	shards     [shards]shard
	nextWorker atomic.Uint32
}

// tupleKey and addrKey are a five-tuple and a transport address without pointers.
type tupleKey struct {
	client, server addrKey
	transport      Transport
}

type addrKey struct {
	ip   [16]byte
	port uint16
}

func keyOf(a netip.AddrPort) addrKey { return addrKey{a.Addr().As16(), a.Port()} }

func (ft *FiveTuple) key() tupleKey {
	return tupleKey{keyOf(ft.Client), keyOf(ft.Server), ft.Transport}
}

// NewTable returns an empty table.
func NewTable(c Config) *Table {
	if c.Epoch.IsZero() {
		c.Epoch = time.Now()
	}
	if c.RelayBatch == 0 {
		c.RelayBatch = 16
	}
	t := &Table{
		epoch:     c.Epoch,
		clock:     c.Now,
		own:       c.OwnPeer,
		byTuple:   newIndex[tupleKey, Allocation](),
		byRelayed: newIndex[addrKey, Allocation](),
		advertise: make(map[netip.Addr]netip.Addr),
		local:     make(map[netip.Addr]netip.Addr),
		offload:   c.Offload,
	}
	if t.clock == nil {
		t.clock = func() Instant { return Instant(time.Since(t.epoch)) }
	}
	for _, a := range c.Addresses {
		t.advertise[a.Local], t.advertise[a.Advertised] = a.Advertised, a.Advertised
		t.local[a.Local], t.local[a.Advertised] = a.Local, a.Local
	}
	t.batches.New = func() any { return udp.NewBatch(c.RelayBatch) }
	t.workers.New = func() any { return t.newWorker() }
	return t
}

// Instant converts a point in time to the table's monotonic time.
func (t *Table) Instant(at time.Time) Instant { return instant(t.epoch, at) }

// Now returns the present on the data plane's clock.
func (t *Table) Now() Instant { return t.clock() }

// Opening is what a new allocation is made of.
type Opening struct {
	FiveTuple
	Path    Path           // the way back to the client
	Socket  Socket         // bound; Add takes it over
	Relayed netip.AddrPort // the address advertised for it
	Expires time.Time
}

// Add publishes a new allocation, with no permissions and no channels, and begins to
// read its relay socket. On ErrTaken the socket stays the caller's.
func (t *Table) Add(o Opening) (*Allocation, error) {
	a := &Allocation{
		FiveTuple: o.FiveTuple, Relayed: o.Relayed,
		table: t, path: o.Path, socket: o.Socket, local: o.Socket.LocalAddr(),
	}
	a.peers.Store(noPeers)
	a.SetExpires(o.Expires)
	if !t.byRelayed.put(keyOf(a.Relayed), a) {
		return nil, ErrTaken
	}
	if !t.byTuple.put(a.key(), a) {
		t.byRelayed.remove(keyOf(a.Relayed), a)
		return nil, ErrTaken
	}
	t.readers.Add(1)
	go func() {
		defer t.readers.Done()
		_ = a.socket.Serve(reader{a}) // ends by Close, and with nothing to add
	}()
	return a, nil
}

func (t *Table) withdraw(a *Allocation) {
	t.byTuple.remove(a.key(), a)
	t.byRelayed.remove(keyOf(a.Relayed), a)
}

// Lookup returns the allocation of a five-tuple, or nil. It may have expired without
// having been closed yet.
func (t *Table) Lookup(ft FiveTuple) *Allocation { return t.byTuple.get(ft.key()) }

// Own reports whether an IP address is one that relayed transport addresses are
// opened on or advertised by. Peers there are only reached by the hairpin turn.
func (t *Table) Own(ip netip.Addr) bool {
	_, own := t.advertise[ip]
	return own
}

// Reachable reports whether the data plane would send to a transport address now:
// towards the server's own addresses, only to live relayed transport addresses and to
// what [Config.OwnPeer] says.
func (t *Table) Reachable(at netip.AddrPort) bool {
	return !t.Own(at.Addr()) || t.relayed(at) != nil || t.ownPeer(at)
}

func (t *Table) ownPeer(at netip.AddrPort) bool { return t.own != nil && t.own(at) }

// relayed returns the allocation that has a relayed transport address, given in its
// local or its advertised form.
func (t *Table) relayed(at netip.AddrPort) *Allocation {
	return t.byRelayed.get(keyOf(netip.AddrPortFrom(t.advertise[at.Addr()], at.Port())))
}

// Each calls f with every allocation until it returns false.
func (t *Table) Each(f func(*Allocation) bool) { t.byTuple.each(f) }

// Len returns the number of allocations.
func (t *Table) Len() int { return t.byTuple.size() }

// Close closes every allocation and waits until no relay socket is read any more.
// Nothing may be added meanwhile.
func (t *Table) Close() {
	t.Each(func(a *Allocation) bool { a.Close(); return true })
	t.readers.Wait()
}
