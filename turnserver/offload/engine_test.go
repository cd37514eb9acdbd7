package offload

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"hairpin/turnserver/offload/xdp"
	"hairpin/turnserver/relay"
)

// fake is a program without a kernel.
type fake struct {
	t      *testing.T
	now    xdp.Time
	flows  map[uint32]*fakeFlow
	rested map[uint32]xdp.Time // when slots were cleared
	fail   error               // what Set returns
	totals []xdp.Counts
}

type fakeFlow struct {
	xdp.Flow
	expires xdp.Time
	hops    [2]xdp.Hop
	counts  [2]xdp.Counts
}

func (p *fake) Set(slot uint32, f xdp.Flow, expires xdp.Time) error {
	if old := p.flows[slot]; old != nil && old.Channel != 0 {
		p.t.Errorf("slot %d is set twice", slot)
	}
	if cleared, used := p.rested[slot]; used && p.now-cleared < xdp.Time(time.Second) {
		p.t.Errorf("slot %d is set %v after it was cleared", slot, p.now-cleared)
	}
	if p.fail != nil {
		return p.fail
	}
	p.flows[slot] = &fakeFlow{Flow: f, expires: expires}
	return nil
}

func (p *fake) Renew(slot uint32, expires xdp.Time)                { p.flows[slot].expires = expires }
func (p *fake) SetHop(slot uint32, d xdp.Direction, h xdp.Hop)     { p.flows[slot].hops[d] = h }
func (p *fake) Counts(slot uint32, d xdp.Direction) (c xdp.Counts) { return p.flows[slot].counts[d] }

func (p *fake) Totals() ([]xdp.Counts, error) { return append([]xdp.Counts(nil), p.totals...), nil }

func (p *fake) Clear(slot uint32) error {
	p.rested[slot] = p.now
	if p.flows[slot].expires != 0 {
		p.t.Errorf("slot %d is cleared while it relays", slot)
	}
	p.flows[slot] = &fakeFlow{counts: p.flows[slot].counts} // which stay until it is set again
	return nil
}

// fakeHost is a network with a default route and some neighbours.
type fakeHost struct {
	own        netip.Addr
	gateway    netip.Addr
	neighbours map[netip.Addr]xdp.MAC
	devices    map[int]device
	kind       routeKind
	mtu        int
	fail       error
	used       []neighbour
	asked      int
	during     func() // called while a route is asked for
}

func (h *fakeHost) local(a netip.Addr) bool { return a == h.own }

func (h *fakeHost) route(_, _ netip.Addr) (route, error) {
	h.asked++
	if h.during != nil {
		h.during()
	}
	return route{kind: h.kind, index: 2, gateway: h.gateway, mtu: h.mtu}, h.fail
}

func (h *fakeHost) device(index int) (device, bool) {
	d, ok := h.devices[index]
	return d, ok
}

func (h *fakeHost) resolved(n neighbour) (xdp.MAC, bool) {
	mac, ok := h.neighbours[n.ip]
	return mac, ok
}
func (h *fakeHost) use(n neighbour) { h.used = append(h.used, n) }

var (
	ownMAC     = xdp.MAC{2, 0, 0, 0, 0, 1}
	gatewayMAC = xdp.MAC{2, 0, 0, 0, 0, 2}
	otherMAC   = xdp.MAC{2, 0, 0, 0, 0, 3}
	own        = netip.MustParseAddr("192.0.2.1")
	gateway    = netip.MustParseAddr("192.0.2.254")
	gatewayHop = xdp.Hop{Destination: gatewayMAC, Source: ownMAC, Interface: 2, Limit: 1500}
)

func newFake(t *testing.T, size uint32) (*Engine, *fake, *fakeHost) {
	p := &fake{t: t, now: xdp.Time(time.Hour), flows: make(map[uint32]*fakeFlow), rested: make(map[uint32]xdp.Time)}
	p.totals = make([]xdp.Counts, len(xdp.Reasons()))
	h := &fakeHost{
		own: own, gateway: gateway, kind: routeUnicast,
		neighbours: map[netip.Addr]xdp.MAC{gateway: gatewayMAC},
		devices:    map[int]device{2: {mac: ownMAC, mtu: 1500, ethernet: true}},
	}
	e := newEngine(p, func() xdp.Time { return p.now }, size, slog.New(slog.DiscardHandler))
	e.host, e.closer = h, func() {}
	return e, p, h
}

func localFlow(channel uint16) relay.LocalFlow {
	at := netip.MustParseAddrPort
	return relay.LocalFlow{Flow: relay.Flow{
		FiveTuple: relay.FiveTuple{Client: at("203.0.113.7:7000"), Server: at("192.0.2.1:3478")},
		Channel:   channel, Relayed: at("192.0.2.1:50000"), Peer: at("203.0.113.9:9000"),
	}}
}

// install installs a flow and fails the test if that fails.
func install(t *testing.T, e *Engine, l relay.LocalFlow) *flow {
	t.Helper()
	f, ok := e.Install(l, time.Minute).(*flow)
	if !ok {
		t.Fatal("the flow was not taken")
	}
	return f
}

func TestFlowGetsItsHopsOnceTheyAreFound(t *testing.T) {
	e, p, _ := newFake(t, 8)
	f := install(t, e, localFlow(0x4000))
	if got := p.flows[f.slot]; got.hops != ([2]xdp.Hop{}) || got.expires != p.now+xdp.Time(time.Minute) {
		t.Errorf("the flow begins as %v", got)
	}
	e.find()
	if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{gatewayHop, gatewayHop}) {
		t.Errorf("its hops are %v", got)
	}
	again := install(t, e, localFlow(0x4001))
	if got := p.flows[again.slot].hops; got != ([2]xdp.Hop{gatewayHop, gatewayHop}) {
		t.Errorf("another on the same ways has %v", got)
	}
}

func TestHairpinFlowHasNoHopToItsPeer(t *testing.T) {
	e, p, _ := newFake(t, 8)
	first := install(t, e, localFlow(0x4000)) // in slot 0
	l := localFlow(0x4001)
	l.Hairpin, l.Peer = true, netip.MustParseAddrPort("192.0.2.1:50001")
	f := install(t, e, l)
	e.find()
	if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{xdp.ToClient: gatewayHop}) {
		t.Errorf("its hops are %v", got)
	}
	f.Remove()
	e.changed(change{})
	e.find()
	if got := p.flows[first.slot].hops[xdp.ToPeer]; got != gatewayHop {
		t.Errorf("with it another's hop went: %v", got)
	}
}

func TestHopsFollowTheNetwork(t *testing.T) {
	gatewayIs := func(mac xdp.MAC, usable bool) change {
		return change{neighbour: neighbour{2, gateway}, mac: mac, usable: usable}
	}
	routes := func(to string) change {
		return change{routes: map[netip.Prefix]bool{netip.MustParsePrefix(to): true}}
	}
	moved := gatewayHop
	moved.Destination = otherMAC
	for name, c := range map[string]struct {
		change    change
		host      func(*fakeHost)
		withdrawn bool
		after     xdp.Hop
	}{
		"the gateway is confirmed":  {gatewayIs(gatewayMAC, true), nil, false, gatewayHop},
		"the gateway moves":         {gatewayIs(otherMAC, true), func(h *fakeHost) { h.neighbours[gateway] = otherMAC }, true, moved},
		"the gateway is silent":     {gatewayIs(xdp.MAC{}, false), func(h *fakeHost) { clear(h.neighbours) }, true, xdp.Hop{}},
		"another neighbour moves":   {change{neighbour: neighbour{2, own}, mac: otherMAC, usable: true}, nil, false, gatewayHop},
		"another link's neighbour":  {change{neighbour: neighbour{3, gateway}, mac: otherMAC, usable: true}, nil, false, gatewayHop},
		"routes elsewhere":          {routes("198.51.100.0/24"), nil, false, gatewayHop},
		"another family's routes":   {routes("::/0"), nil, false, gatewayHop},
		"a route to both":           {routes("203.0.113.0/24"), nil, true, gatewayHop},
		"the default route":         {routes("0.0.0.0/0"), nil, true, gatewayHop},
		"another link":              {change{link: 3}, nil, false, gatewayHop},
		"this link":                 {change{link: 2}, nil, true, gatewayHop},
		"another address":           {change{address: gateway}, nil, false, gatewayHop},
		"this address":              {change{address: own}, nil, true, gatewayHop},
		"anything, and all is well": {change{}, nil, true, gatewayHop},
		"the address is removed":    {change{}, func(h *fakeHost) { h.own = netip.Addr{} }, true, xdp.Hop{}},
		"the route is withdrawn":    {change{}, func(h *fakeHost) { h.fail = errors.New("unreachable") }, true, xdp.Hop{}},
		"the route is refused":      {change{}, func(h *fakeHost) { h.kind = routeOther }, true, xdp.Hop{}},
		"the interface goes down":   {change{}, func(h *fakeHost) { clear(h.devices) }, true, xdp.Hop{}},
	} {
		t.Run(name, func(t *testing.T) {
			e, p, h := newFake(t, 8)
			f := install(t, e, localFlow(0x4000))
			e.find()
			if c.host != nil {
				c.host(h)
			}
			e.changed(c.change)
			if withdrawn := p.flows[f.slot].hops == ([2]xdp.Hop{}); withdrawn != c.withdrawn {
				t.Errorf("withdrawn: %v", withdrawn)
			}
			e.find()
			if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{c.after, c.after}) {
				t.Errorf("hops are %v, want %v", got, c.after)
			}
		})
	}
}

func TestHopComesWithTheNeighbour(t *testing.T) {
	e, p, h := newFake(t, 8)
	clear(h.neighbours)
	f := install(t, e, localFlow(0x4000))
	e.find()
	if len(h.used) == 0 || h.used[0] != (neighbour{2, gateway}) {
		t.Errorf("the kernel was asked for %v", h.used)
	}
	h.neighbours[gateway] = gatewayMAC
	e.changed(change{neighbour: neighbour{2, gateway}, mac: gatewayMAC, usable: true})
	e.find()
	if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{gatewayHop, gatewayHop}) {
		t.Errorf("hops are %v", got)
	}
}

func TestAnswerThatIsOutdatedDoesNotCount(t *testing.T) {
	e, p, h := newFake(t, 8)
	f := install(t, e, localFlow(0x4000))
	h.during = func() { // the gateway moves while the route is asked for
		h.during = nil
		e.changed(change{})
	}
	e.find()
	if h.asked < 3 { // one of the two ways twice
		t.Errorf("ways were asked for %d times", h.asked)
	}
	if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{gatewayHop, gatewayHop}) {
		t.Errorf("hops are %v", got)
	}
	h.during = func() { // the flow leaves its ways, and another joins them
		h.during = nil
		f.Remove()
		f = install(t, e, localFlow(0x4001))
		e.changed(change{})
		h.fail = errors.New("no route any more")
	}
	e.changed(change{})
	e.find()
	if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{}) {
		t.Errorf("hops are %v", got)
	}
}

func TestResolve(t *testing.T) {
	peer := netip.MustParseAddr("203.0.113.9")
	short := gatewayHop
	short.Limit = 1400
	long := gatewayHop
	long.Limit = maxPacket
	for name, c := range map[string]struct {
		host func(*fakeHost)
		want answer
	}{
		"through a gateway": {func(*fakeHost) {}, answer{gatewayHop, neighbour{2, gateway}}},
		"on the link": {
			func(h *fakeHost) { h.gateway, h.neighbours = netip.Addr{}, map[netip.Addr]xdp.MAC{peer: gatewayMAC} },
			answer{gatewayHop, neighbour{2, peer}},
		},
		"a route's own MTU":       {func(h *fakeHost) { h.mtu = 1400 }, answer{short, neighbour{2, gateway}}},
		"longer than packets are": {func(h *fakeHost) { h.devices[2] = device{mac: ownMAC, mtu: 1 << 17, ethernet: true} }, answer{long, neighbour{2, gateway}}},
		"no Ethernet":             {func(h *fakeHost) { h.devices[2] = device{mtu: 1500} }, answer{}},
		"to this machine":         {func(h *fakeHost) { h.kind = routeLocal }, answer{}},
		"loopback": {
			func(h *fakeHost) { h.kind, h.devices[2] = routeLocal, device{mtu: 65536, loopback: true} },
			answer{hop: xdp.Hop{Interface: 2, Limit: maxPacket}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, h := newFake(t, 1)
			c.host(h)
			if got := resolve(h, way{own, peer, own}); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestSlotsRestBeforeTheyAreUsedAgain(t *testing.T) {
	e, p, _ := newFake(t, 2)
	a, b := install(t, e, localFlow(0x4000)), install(t, e, localFlow(0x4001))
	if e.Install(localFlow(0x4002), time.Minute) != nil {
		t.Error("a third flow was taken")
	}
	a.Remove()
	p.now += xdp.Time(rest) - 1
	if e.Install(localFlow(0x4002), time.Minute) != nil {
		t.Error("a flow was taken into a slot that rests")
	}
	p.now++
	if c := install(t, e, localFlow(0x4002)); c.slot != a.slot || c.slot == b.slot {
		t.Errorf("slots are %d, %d and then %d", a.slot, b.slot, c.slot)
	}
	if got := e.Stats().Stayed[StayFull]; got != 2 {
		t.Errorf("%d flows stayed", got)
	}
}

func TestFlowThatTheKernelRefusesStays(t *testing.T) {
	for err, why := range map[error]Stay{xdp.ErrFull: StayFull, errors.New("no memory"): StayFailed} {
		e, p, _ := newFake(t, 8)
		p.fail = err
		if e.Install(localFlow(0x4000), time.Minute) != nil {
			t.Error("the flow was taken")
		}
		if s := e.Stats(); s.Stayed[why] != 1 || s.Flows != 0 {
			t.Errorf("%v: figures are %v", err, s)
		}
	}
}

func TestLapsedFlowIsGivenUp(t *testing.T) {
	e, p, _ := newFake(t, 8)
	f := install(t, e, localFlow(0x4000))
	p.flows[f.slot].counts[xdp.ToPeer] = xdp.Counts{Packets: 3, Bytes: 30}
	p.now += xdp.Time(59 * time.Second)
	e.sweep()
	if !f.Renew(time.Minute) {
		t.Fatal("the flow was given up early")
	}
	p.now += xdp.Time(time.Minute)
	e.sweep()
	if f.Renew(time.Minute) || e.Stats().Flows != 0 || len(e.ways.all) != 0 {
		t.Errorf("the flow is still there: %v", e.Stats())
	}
	if got := f.Counts(relay.ToPeer); got != (relay.Counts{Packets: 3, Bytes: 30}) {
		t.Errorf("counts are %v", got)
	}
	f.Remove() // again does nothing
}

func TestTotalsAddUpHairpinOnBothSides(t *testing.T) {
	e, p, _ := newFake(t, 8)
	e.base = make([]xdp.Counts, len(p.totals))
	e.base[xdp.RelayedToPeer] = xdp.Counts{Packets: 2, Bytes: 20} // the self-test
	p.totals[xdp.RelayedToPeer] = xdp.Counts{Packets: 12, Bytes: 120}
	p.totals[xdp.RelayedToClient] = xdp.Counts{Packets: 5, Bytes: 50}
	p.totals[xdp.RelayedHairpin] = xdp.Counts{Packets: 100, Bytes: 1000}
	p.totals[xdp.Binding] = xdp.Counts{Packets: 7}
	check := func() {
		t.Helper()
		if got := e.Totals(relay.ToPeer); got != (relay.Counts{Packets: 110, Bytes: 1100}) {
			t.Errorf("to peers: %v", got)
		}
		if got := e.Totals(relay.ToClient); got != (relay.Counts{Packets: 105, Bytes: 1050}) {
			t.Errorf("to clients: %v", got)
		}
		if e.Bindings() != 7 {
			t.Errorf("bindings: %d", e.Bindings())
		}
	}
	check()
	install(t, e, localFlow(0x4000))
	e.Close()
	e.Close()
	p.totals = nil
	check()
	if e.Stats().Flows != 0 {
		t.Error("flows are left after Close")
	}
}

func TestEngineWithoutProgram(t *testing.T) {
	e, err := Start(Config{Mode: Off})
	if err != nil || e.Active() || e.Bindings() != 0 || e.Totals(relay.ToPeer) != (relay.Counts{}) {
		t.Errorf("got %v: %v", e, err)
	}
	e.Close()
}

// TestIPv6ThroughAGatewayTakesWhatEveryWayTakes: of what a router further on takes, no
// event tells.
func TestIPv6ThroughAGatewayTakesWhatEveryWayTakes(t *testing.T) {
	_, _, h := newFake(t, 1)
	peer, router := netip.MustParseAddr("2001:db8::9"), netip.MustParseAddr("fe80::1")
	h.own, h.gateway = netip.MustParseAddr("2001:db8::1"), router
	h.neighbours = map[netip.Addr]xdp.MAC{router: gatewayMAC, peer: otherMAC}
	w := way{h.own, peer, h.own}
	if got := resolve(h, w).hop; got.Destination != gatewayMAC || got.Limit != 1280 {
		t.Errorf("through a gateway: %v", got)
	}
	h.gateway = netip.Addr{}
	if got := resolve(h, w).hop; got.Destination != otherMAC || got.Limit != 1500 {
		t.Errorf("on the link: %v", got)
	}
}

// TestBothAddressesOfAFlowAreNeeded removes one of a flow's two local addresses.
func TestBothAddressesOfAFlowAreNeeded(t *testing.T) {
	at := netip.MustParseAddrPort
	for name, l := range map[string]relay.LocalFlow{
		"the relayed": {Flow: relay.Flow{FiveTuple: localFlow(0x4000).FiveTuple, Channel: 0x4000, Relayed: at("192.0.2.2:50000"), Peer: at("203.0.113.9:9000")}},
		"the server's": {Flow: relay.Flow{
			FiveTuple: relay.FiveTuple{Client: at("203.0.113.7:7000"), Server: at("192.0.2.2:3478")},
			Channel:   0x4000, Relayed: at("192.0.2.1:50000"), Peer: at("203.0.113.9:9000"),
		}},
	} {
		e, p, _ := newFake(t, 8)
		f := install(t, e, l)
		e.find()
		if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{}) {
			t.Errorf("without %s address the hops are %v", name, got)
		}
	}
}

// TestDoubtLeavesHopsStand asks for ways again; flows go on meanwhile.
func TestDoubtLeavesHopsStand(t *testing.T) {
	e, p, h := newFake(t, 8)
	f := install(t, e, localFlow(0x4000))
	h.fail = errors.New("no memory")
	e.find()
	h.fail = nil
	e.doubt(false) // heals what failed for no reason of the network's
	e.find()
	if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{gatewayHop, gatewayHop}) {
		t.Fatalf("after a passing failure hops are %v", got)
	}
	asked := h.asked
	e.doubt(false)
	e.find()
	if h.asked != asked {
		t.Error("what is known was asked for")
	}
	h.mtu = 1400
	e.doubt(true)
	if got := p.flows[f.slot].hops; got != ([2]xdp.Hop{gatewayHop, gatewayHop}) {
		t.Errorf("meanwhile hops are %v", got)
	}
	e.find()
	if got := p.flows[f.slot].hops[xdp.ToPeer].Limit; got != 1400 {
		t.Errorf("then the limit is %d", got)
	}
}
