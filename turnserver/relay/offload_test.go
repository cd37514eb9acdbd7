package relay

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// below is an Offload that relays nothing, and knows until when it would.
type below struct {
	r      *rig
	flows  map[string]*belowFlow // by client and channel
	refuse bool
	totals [directions]Counts
	log    []string
}

type belowFlow struct {
	below *below
	LocalFlow
	until   time.Time
	lost    bool // given up by the Offload itself
	removed bool
	counts  Counts
}

func (o *below) Install(f LocalFlow, left time.Duration) Offloaded {
	key := fmt.Sprint(f.FiveTuple, f.Channel)
	if o.refuse {
		return nil
	}
	if left <= 0 {
		o.r.t.Errorf("%v is installed with %v left", f, left)
	}
	if old := o.flows[key]; old != nil && !old.lost {
		o.r.t.Errorf("%v is installed over %v", f, old.LocalFlow)
	}
	flow := &belowFlow{below: o, LocalFlow: f, until: o.r.now.Add(left)}
	o.flows[key] = flow
	return flow
}

func (o *below) Totals(d Direction) Counts { return o.totals[d] }

func (f *belowFlow) Renew(left time.Duration) bool {
	if f.removed || left <= 0 {
		f.below.r.t.Errorf("%v is renewed for %v, removed %v", f.LocalFlow, left, f.removed)
	}
	f.until = f.below.r.now.Add(left)
	return !f.lost
}

func (f *belowFlow) Remove() {
	f.removed = true
	key := fmt.Sprint(f.FiveTuple, f.Channel)
	if f.below.flows[key] == f {
		delete(f.below.flows, key)
	}
	f.below.log = append(f.below.log, "remove")
}

func (f *belowFlow) Counts(Direction) Counts { return f.counts }

// only returns the one flow there is.
func (o *below) only() *belowFlow {
	o.r.t.Helper()
	for _, f := range o.flows {
		if len(o.flows) == 1 {
			return f
		}
	}
	o.r.t.Fatalf("there are %d flows, want one", len(o.flows))
	return nil
}

func newOffloadRig(t *testing.T) (*rig, *below) {
	r := newRig(t)
	o := &below{r: r, flows: make(map[string]*belowFlow)}
	r.table.offload = o
	return r, o
}

func TestOffloadGetsTheFlowAsItsPacketsAre(t *testing.T) {
	for name, c := range map[string]struct {
		peer, local string
		hairpin     bool
	}{
		"a peer elsewhere":     {peer, peer, false},
		"this server, as told": {"203.0.113.1:50001", "10.0.0.1:50001", true},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := newOffloadRig(t)
			a, _ := r.add("192.0.2.7:7000", 50000)
			r.bind(a, 0x4000, c.peer)
			want := LocalFlow{Flow{a.FiveTuple, 0x4000, addrPort("10.0.0.1:50000"), addrPort(c.local)}, c.hairpin}
			if got := o.only().LocalFlow; got != want {
				t.Errorf("the offload got %v, want %v", got, want)
			}
		})
	}
}

// A turn by the local form of a relay address is user space's, which tells it from one by
// the form that clients are told.
func TestLocalFormOfARelayAddressStays(t *testing.T) {
	r, o := newOffloadRig(t)
	a, _ := r.add("192.0.2.7:7000", 50000)
	r.bind(a, 0x4000, "10.0.0.1:50001")
	if len(o.flows) != 0 {
		t.Errorf("the offload got %v", o.flows)
	}
}

func TestOffloadEndsWithTheFirstLifetime(t *testing.T) {
	const long = 3 * time.Hour
	for name, c := range map[string]struct{ channel, permission, allocation time.Duration }{
		"channel":    {time.Minute, long, long},
		"permission": {long, time.Minute, long},
		"allocation": {long, long, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := newOffloadRig(t)
			a, _ := r.add("192.0.2.7:7000", 50000)
			a.SetExpires(r.now.Add(c.allocation))
			a.Bind(r.now, 0x4000, addrPort(peer), r.now.Add(c.channel), r.now.Add(c.permission))
			if left := o.only().until.Sub(r.now); left != time.Minute {
				t.Errorf("the flow has %v left", left)
			}
		})
	}
}

func TestEveryChangeReachesTheOffload(t *testing.T) {
	const gone = -1
	ago := func(r *rig) { r.now = r.now.Add(4 * time.Minute) }
	for name, c := range map[string]struct {
		change func(*rig, *Allocation)
		left   time.Duration // of what began with 5 minutes, 4 minutes ago
	}{
		"nothing":        {func(*rig, *Allocation) {}, time.Minute},
		"bind again":     {func(r *rig, a *Allocation) { r.bind(a, 0x4000, peer) }, 5 * time.Minute},
		"permit":         {func(r *rig, a *Allocation) { a.Permit(r.now, addr("192.0.2.9"), r.now.Add(2*time.Minute)) }, 2 * time.Minute},
		"permit another": {func(r *rig, a *Allocation) { a.Permit(r.now, addr("192.0.2.8"), r.now.Add(2*time.Minute)) }, time.Minute},
		"revoke":         {func(_ *rig, a *Allocation) { a.Revoke(addr("192.0.2.9")) }, gone},
		"revoke another": {func(_ *rig, a *Allocation) { a.Revoke(addr("192.0.2.8")) }, time.Minute},
		"unbind":         {func(_ *rig, a *Allocation) { a.Unbind(0x4000) }, gone},
		"unbind another": {func(_ *rig, a *Allocation) { a.Unbind(0x4001) }, time.Minute},
		"shorter life":   {func(r *rig, a *Allocation) { a.SetExpires(r.now.Add(time.Second)) }, time.Second},
		"life over":      {func(r *rig, a *Allocation) { a.SetExpires(r.now) }, gone},
		"close":          {func(_ *rig, a *Allocation) { a.Close() }, gone},
		"permit after close": {func(r *rig, a *Allocation) {
			a.Close()
			a.Permit(r.now, addr("192.0.2.9"), r.now.Add(time.Hour))
			a.SetExpires(r.now.Add(time.Hour))
		}, gone},
		"revoke, then permit": {func(r *rig, a *Allocation) {
			a.Revoke(addr("192.0.2.9"))
			a.Permit(r.now, addr("192.0.2.9"), r.now.Add(2*time.Minute))
		}, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := newOffloadRig(t)
			a, _ := r.add("192.0.2.7:7000", 50000)
			r.bind(a, 0x4000, peer)
			ago(r)
			c.change(r, a)
			switch {
			case c.left == gone && len(o.flows) > 0:
				t.Errorf("still there: %v", o.only().LocalFlow)
			case c.left != gone && o.only().until.Sub(r.now) != c.left:
				t.Errorf("the flow has %v left, want %v", o.only().until.Sub(r.now), c.left)
			}
		})
	}
}

func TestPermissionGrantedAnewBringsTheFlowBack(t *testing.T) {
	r, o := newOffloadRig(t)
	a, _ := r.add("192.0.2.7:7000", 50000)
	r.bind(a, 0x4000, peer)
	r.now = r.now.Add(6 * time.Minute) // the channel lives for 10, the permission for 5
	a.Permit(r.now, addr("192.0.2.8"), r.now.Add(time.Minute))
	a.Permit(r.now, addr("192.0.2.9"), r.now.Add(time.Minute))
	if left := o.only().until.Sub(r.now); left != time.Minute {
		t.Errorf("the flow has %v left", left)
	}
}

func TestChannelBoundToAnotherPeerReplacesTheFlow(t *testing.T) {
	r, o := newOffloadRig(t)
	a, _ := r.add("192.0.2.7:7000", 50000)
	r.bind(a, 0x4000, peer)
	o.only().counts = Counts{3, 30}
	r.now = r.now.Add(11 * time.Minute)
	r.bind(a, 0x4000, "192.0.2.10:1000") // fails in Install if the old one is there
	if got := o.only().Peer; got != addrPort("192.0.2.10:1000") {
		t.Errorf("the flow's peer is %v", got)
	}
	o.only().counts = Counts{1, 10}
	if got := a.Counts(ToPeer); got != (Counts{4, 40}) {
		t.Errorf("counts are %v", got)
	}
}

func TestFlowGivenUpIsOfferedAgain(t *testing.T) {
	r, o := newOffloadRig(t)
	a, _ := r.add("192.0.2.7:7000", 50000)
	o.refuse = true
	r.bind(a, 0x4000, peer)
	o.refuse = false
	r.bind(a, 0x4000, peer)
	first := o.only()
	first.counts, first.lost = Counts{3, 30}, true
	r.bind(a, 0x4000, peer)
	if o.only() == first {
		t.Error("the flow was not installed again")
	}
	if got := a.Counts(ToClient); got != (Counts{3, 30}) {
		t.Errorf("counts are %v", got)
	}
}

func TestCountsOfBothPathsAddUp(t *testing.T) {
	r, o := newOffloadRig(t)
	a, _ := r.add("192.0.2.7:7000", 50000)
	r.bind(a, 0x4000, peer)
	o.only().counts = Counts{10, 1000}
	o.totals[ToPeer] = Counts{12, 1200}
	r.fromClient(a, channelData(0x4000, "12345", 0))
	if got := a.Counts(ToPeer); got != (Counts{11, 1005}) {
		t.Errorf("counts are %v", got)
	}
	if got := r.table.Totals().Relayed[UDP][ToPeer]; got != (Counts{13, 1205}) {
		t.Errorf("totals are %v", got)
	}
	a.Close()
	if got := a.Counts(ToPeer); got != (Counts{11, 1005}) {
		t.Errorf("counts are %v after Close", got)
	}
}

// orderedSocket notes when it is closed.
type orderedSocket struct {
	*socket
	o *below
}

func (s orderedSocket) Close() error {
	s.o.log = append(s.o.log, "close")
	return s.socket.Close()
}

func TestFlowIsRemovedBeforeTheSocketCloses(t *testing.T) {
	r, o := newOffloadRig(t)
	a, err := r.table.Add(Opening{
		FiveTuple: FiveTuple{addrPort("192.0.2.7:7000"), r.listen.local, UDP}, Path: Path{Packets: r.listen},
		Socket: orderedSocket{newSocket("10.0.0.1:50000"), o}, Relayed: addrPort("203.0.113.1:50000"),
		Expires: r.now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.bind(a, 0x4000, peer)
	a.Close()
	if got := fmt.Sprint(o.log); got != "[remove close]" {
		t.Errorf("the order was %v", got)
	}
}

func TestStreamClientsAreNotOffloaded(t *testing.T) {
	for _, transport := range []Transport{TCP, TLS, DTLS} {
		r, o := newOffloadRig(t)
		a, _ := r.addPath("192.0.2.7:7000", 50000, transport, Path{Frames: &stream{}}, "10.0.0.1", "203.0.113.1")
		r.bind(a, 0x4000, peer)
		if len(o.flows) > 0 {
			t.Errorf("%v: %v", transport, o.only().LocalFlow)
		}
	}
}

// TestOffloadRelaysWhatTheTableDoes makes random changes: after each, the flows that the
// Offload would relay are those that the worker relays, until the same instant.
func TestOffloadRelaysWhatTheTableDoes(t *testing.T) {
	r, o := newOffloadRig(t)
	random := rand.New(rand.NewPCG(1, 2))
	var all []*Allocation
	for i := range 3 {
		a, _ := r.add(fmt.Sprintf("192.0.2.7:%d", 7000+i), uint16(50000+i))
		all = append(all, a)
	}
	for step := range 5000 {
		a := all[random.IntN(len(all))]
		peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + random.IntN(2))}), uint16(9000+random.IntN(2)))
		channel := uint16(0x4000 + random.IntN(3))
		until := func() time.Time { return r.now.Add(time.Duration(random.IntN(600)) * time.Second) }
		switch random.IntN(7) {
		case 0, 1:
			bound, taken := a.Bound(r.now, channel)
			other, used := a.ChannelOf(r.now, peer)
			if (!taken || bound == peer) && (!used || other == channel) {
				a.Bind(r.now, channel, peer, until(), until())
			}
		case 2:
			a.Permit(r.now, peer.Addr(), until())
		case 3:
			a.Revoke(peer.Addr())
		case 4:
			a.Unbind(channel)
		case 5:
			a.SetExpires(until())
		case 6:
			r.now = r.now.Add(time.Duration(random.IntN(200)) * time.Second)
		}
		o.compare(step, all)
	}
}

func (o *below) compare(step int, all []*Allocation) {
	o.r.t.Helper()
	want := make(map[string]bool)
	for _, a := range all {
		for _, f := range a.Flows(o.r.now) {
			if a.live(o.r.table.Now()) && a.Permitted(o.r.now, f.Peer.Addr()) {
				want[fmt.Sprint(f.FiveTuple, f.Channel, f.Peer)] = true
			}
		}
	}
	for _, f := range o.flows {
		key := fmt.Sprint(f.FiveTuple, f.Channel, f.Peer)
		if live := f.until.After(o.r.now); live != want[key] {
			o.r.t.Fatalf("step %d: %s is live in the offload: %v", step, key, live)
		}
		delete(want, key)
	}
	if len(want) > 0 {
		o.r.t.Fatalf("step %d: not in the offload: %v", step, want)
	}
}
