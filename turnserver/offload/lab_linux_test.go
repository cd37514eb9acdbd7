//go:build amd64 || arm64 || loong64 || riscv64

package offload

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/limit"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/wire"

	"golang.org/x/sys/unix"
)

// loopbackBack is the relay address where all is on one loopback.
var loopbackBack = netip.MustParseAddr("127.0.0.3")

var families = [2]string{"IPv4", "IPv6"}

// TestNativeOverVeth relays between two networks. That the packets went through the
// program and not through sockets is told by both counters.
func TestNativeOverVeth(t *testing.T) {
	r := newRig(t, true)
	r.serve(Native, frontIP, backIP)
	for client := range families {
		for relayed := range families {
			r.run(families[client]+" to "+families[relayed], func() {
				c := r.call(client, relayed)
				c.bind(peerIP[relayed], time.Minute, time.Minute)
				r.checkBothWays(c)
			})
		}
	}
	r.checkHairpin()
}

// checkBothWays has the kernel, and only it, relay datagrams of many sizes both ways.
func (r *rig) checkBothWays(c *call) {
	r.t.Helper()
	r.warm(relay.ToPeer, func() {
		c.toPeer([]byte("warm"))
		r.receive(c.peer)
	})
	r.warm(relay.ToClient, func() {
		_, _ = c.peer.Write([]byte("warm"))
		r.receive(c.client)
	})
	sizes := []int{0, 1, 2, 3, 13, 14, 15, 16, 17, 160, 231, 999, 1200, 1400}
	all, kernel := r.relayed(relay.ToPeer)
	for _, size := range sizes {
		payload := bytes.Repeat([]byte{byte(size), 0xA5, 0xFF}, size/3+1)[:size]
		c.toPeer(payload)
		if got := r.receive(c.peer); !bytes.Equal(got, payload) {
			r.t.Errorf("the peer got %d bytes of %d: % x", len(got), size, got)
		}
		if _, err := c.peer.Write(payload); err != nil {
			r.t.Fatal(err)
		}
		if got := r.receive(c.client); !bytes.Equal(got, channelData(c.channel, payload)) {
			r.t.Errorf("the client got %d bytes for %d: % x", len(got), size, got)
		}
	}
	allNow, kernelNow := r.relayed(relay.ToPeer)
	if sent := uint64(len(sizes)); allNow-all != sent || kernelNow-kernel != sent {
		r.t.Errorf("of %d packets to the peer %d were relayed, and %d in the kernel: %v", sent, allNow-all, kernelNow-kernel, r.frames())
	}
	for _, d := range relay.Directions() {
		if counts := c.allocation.Counts(d); counts.Packets < uint64(len(sizes)) {
			r.t.Errorf("the allocation counts %v %v", counts, d)
		}
	}
}

// checkHairpin joins two allocations of every family by the hairpin turn.
func (r *rig) checkHairpin() {
	for _, families := range [][3]int{{four, four, four}, {four, six, four}, {six, six, six}, {four, four, six}} {
		r.run(fmt.Sprint("hairpin ", families), func() {
			a, b := r.call(families[0], families[2]), r.call(families[1], families[2])
			b.channel = 0x4FFF
			a.bindTo(b.allocation.Relayed, time.Minute, time.Minute)
			b.bindTo(a.allocation.Relayed, time.Minute, time.Minute)
			r.untilKernel(relay.ToPeer, func() {
				a.toPeer([]byte("hairpin"))
				if got := r.receive(b.client); !bytes.Equal(got, channelData(b.channel, []byte("hairpin"))) {
					r.t.Fatalf("the other client got % x", got)
				}
			})
			if a.allocation.Counts(relay.ToPeer).Packets != b.allocation.Counts(relay.ToClient).Packets {
				r.t.Error("the two sides count differently")
			}
		})
	}
}

// TestEndsUnderLoad ends flows in every way while packets go as fast as they can, both
// ways. Nothing that was sent after the end may arrive.
func TestEndsUnderLoad(t *testing.T) {
	for name, end := range map[string]func(c *call){
		"revoked":   func(c *call) { c.allocation.Revoke(c.peerAt.Addr()) },
		"unbound":   func(c *call) { c.allocation.Unbind(c.channel); c.allocation.Revoke(c.peerAt.Addr()) },
		"closed":    func(c *call) { c.allocation.Close() },
		"shortened": func(c *call) { c.allocation.SetExpires(time.Now()) },
		"lapsed":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true)
			r.serve(Native, frontIP, backIP)
			c, fence := r.call(four, four), r.call(four, four)
			lifetime := time.Minute
			if end == nil {
				lifetime = time.Second
			}
			c.bind(peerIP[four], time.Minute, lifetime)
			lapses := time.Now().Add(lifetime)
			fence.bind(peerIP[four], time.Minute, time.Minute)
			out := r.load(c.toPeer, c.peer, 0)
			in := r.load(func(p []byte) { _, _ = c.peer.Write(p) }, c.client, 4)
			r.untilKernel(relay.ToPeer, func() { out.wait(t, 100) })
			r.untilKernel(relay.ToClient, func() { in.wait(t, 100) })
			if end != nil {
				end(c)
				lapses = time.Now()
			}
			waitFor(t, "the lifetime to pass", func() bool { return time.Now().After(lapses) })
			fence.through()
			for direction, l := range map[string]*load{"to the peer": out, "to the client": in} {
				if latest := l.begun.Add(time.Duration(l.latest.Load())); latest.After(lapses) {
					t.Errorf("%s came what was sent %v after the end", direction, latest.Sub(lapses))
				}
			}
		})
	}
}

// through sends packets both ways until many have come through, so that what was sent
// before them has too, or never will. Under load some are lost.
func (c *call) through() {
	for range 200 {
		c.exchange()
	}
}

func TestRebindingMovesTheFlow(t *testing.T) {
	r := newRig(t, true)
	r.serve(Native, frontIP, backIP)
	c := r.call(four, four)
	c.bind(peerIP[four], 500*time.Millisecond, time.Minute)
	first, old := c.peer, r.load(c.toPeer, c.peer, 0)
	r.untilKernel(relay.ToPeer, func() { old.wait(t, 100) })
	waitFor(t, "the binding to lapse", func() bool {
		_, bound := c.allocation.Bound(time.Now(), c.channel)
		return !bound
	})
	rebound := time.Now()
	c.bind(peerIP[four], time.Minute, time.Minute)
	fresh := r.load(func([]byte) {}, c.peer, 0) // which the old load's packets now reach
	r.untilKernel(relay.ToPeer, func() { fresh.wait(t, 100) })
	old.end(first)
	if latest := old.begun.Add(time.Duration(old.latest.Load())); latest.After(rebound) {
		t.Errorf("the old peer got what was sent %v after the channel was bound to another", latest.Sub(rebound))
	}
}

// TestGenericOverLoopback has all on one loopback, whose checksums are left to nobody.
func TestGenericOverLoopback(t *testing.T) {
	for _, merging := range []bool{false, true} {
		t.Run(fmt.Sprintf("merging=%v", merging), func(t *testing.T) {
			r := alone(t)
			if !merging {
				r.must(r.server, "ethtool", "-K", "lo", "tx-udp-segmentation", "off")
			}
			r.serve(Generic, [2]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}, [2]netip.Addr{loopbackBack, netip.IPv6Loopback()})
			for client := range families {
				r.run(families[client], func() {
					c := r.call(client, four)
					c.bind(netip.MustParseAddr("127.0.0.2"), time.Minute, time.Minute)
					if client == six {
						c.exchange()
						if r.frames()["other-family"] == 0 {
							r.t.Errorf("frames are %v", r.frames())
						}
						return
					}
					if !merging {
						r.checkBothWays(c)
						return
					}
					// What may have been several datagrams goes up, and arrives all the same.
					r.untilKernel(relay.ToPeer, func() { c.exchange() })
					if merged := r.frames()["merged"]; merged == 0 || r.frames()["to-client"] > 0 {
						t.Errorf("frames are %v", r.frames())
					}
				})
			}
		})
	}
}

// TestNothingLeavesLoopback has a client on the server's own machine: what it sends is not
// redirected, since the next device would put a checksum at the wrong place.
func TestNothingLeavesLoopback(t *testing.T) {
	r := newRig(t, true)
	r.client = r.server
	r.serve(Generic, [2]netip.Addr{loopbackBack, netip.IPv6Loopback()}, backIP)
	c := r.call(four, four)
	c.bind(peerIP[four], time.Minute, time.Minute)
	waitFor(t, "a frame that may not leave", func() bool { c.exchange(); return r.frames()["no-egress"] > 0 })
	if n := r.frames()["to-peer"]; n > 0 {
		t.Errorf("%d frames have left", n)
	}
}

// TestNothingEntersLoopback has a hairpin turn to a client on the server's own machine:
// the network stack would drop what is redirected to it.
func TestNothingEntersLoopback(t *testing.T) {
	r := newRig(t, true)
	r.must(r.client, "ethtool", "-K", r.clientEnd, "tx", "off")
	r.serve(Generic, frontIP, [2]netip.Addr{loopbackBack, netip.IPv6Loopback()})
	far := r.call(four, four)
	r.client = r.server
	near := r.call(four, four)
	far.bindTo(near.allocation.Relayed, time.Minute, time.Minute)
	near.bindTo(far.allocation.Relayed, time.Minute, time.Minute)
	waitFor(t, "a frame that may not enter", func() bool {
		r.insist("hairpin turn", func() { far.toPeer([]byte("ping")) }, near.client)
		return r.frames()["no-egress"] > 0
	})
	if n := r.frames()["hairpin"]; n > 0 {
		t.Errorf("%d frames were made to vanish", n)
	}
}

// exchange sends a datagram each way, again and again until it arrives.
func (c *call) exchange() {
	c.rig.t.Helper()
	c.rig.insist("to the peer", func() { c.toPeer([]byte("ping")) }, c.peer)
	c.rig.insist("to the client", func() { _, _ = c.peer.Write([]byte("pong")) }, c.client)
}

// TestHopsFollowTheRealNetwork changes the network under a flow: in the meantime user
// space has it, and then the kernel again.
func TestHopsFollowTheRealNetwork(t *testing.T) {
	r := newRig(t, true)
	r.serve(Native, frontIP, backIP)
	c := r.call(four, four)
	c.bind(peerIP[four], time.Hour, time.Hour)
	back := func() {
		r.t.Helper()
		r.untilKernel(relay.ToPeer, c.exchange)
		r.untilKernel(relay.ToClient, c.exchange)
	}
	back()
	r.run("the peer has another Ethernet address", func() {
		r.must(r.peer, "ip", "link", "set", r.peerEnd, "address", "02:00:00:00:77:77")
		r.untilKernel(relay.ToClient, func() { r.insist("", func() { _, _ = c.peer.Write([]byte("here")) }, c.client) })
		back()
	})
	r.run("the link flaps", func() {
		r.must(r.peer, "ip", "link", "set", r.peerEnd, "down")
		waitFor(r.t, "the hop to be withdrawn", func() bool { return !r.engine.knows(way{backIP[four], peerIP[four], frontIP[four]}) })
		r.must(r.peer, "ip", "link", "set", r.peerEnd, "up")
		back()
	})
	r.run("the server's interface has another Ethernet address", func() {
		r.must(r.server, "ip", "link", "set", r.back, "address", "02:00:00:00:66:66")
		back()
	})
	r.run("the relay address goes and comes", func() {
		// The peer would forget the Ethernet address with it.
		r.must(r.peer, "ip", "neigh", "replace", backIP[four].String(), "lladdr", "02:00:00:00:66:66", "dev", r.peerEnd, "nud", "permanent")
		r.must(r.server, "ip", "address", "del", backIP[four].String()+"/24", "dev", r.back)
		waitFor(r.t, "the hop to be withdrawn", func() bool { return !r.engine.knows(way{backIP[four], peerIP[four], frontIP[four]}) })
		_, before := r.relayed(relay.ToPeer)
		noHop := r.frames()["no-hop"]
		c.toPeer([]byte("nowhere"))
		waitFor(r.t, "the frame to pass", func() bool { return r.frames()["no-hop"] > noHop })
		waitFor(r.t, "the peer's frame to pass", func() bool {
			_, _ = c.peer.Write([]byte("nobody")) // by the neighbour's entry, to who is not there
			return r.frames()["no-hop"] > noHop+1
		})
		if _, now := r.relayed(relay.ToPeer); now != before {
			r.t.Error("the kernel relayed from an address that is gone")
		}
		r.must(r.server, "ip", "address", "add", backIP[four].String()+"/24", "dev", r.back)
		back()
	})
	r.run("a smaller MTU", func() {
		r.must(r.server, "ip", "link", "set", r.back, "mtu", "1000")
		tooLong := r.frames()["too-long"]
		waitFor(r.t, "a long packet to pass", func() bool {
			c.toPeer(make([]byte, 1200))
			return r.frames()["too-long"] > tooLong
		})
	})
}

func (e *Engine) knows(w way) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.ways.all[w]
	return p != nil && p.hop.Limit > 0
}

// TestChangesElsewhereLeaveFlowsAlone changes all that is not on the ways of a flow: the
// kernel keeps each of its packets.
func TestChangesElsewhereLeaveFlowsAlone(t *testing.T) {
	r := newRig(t, true)
	r.must(r.server, "ip", "link", "add", "elsewhere", "type", "veth", "peer", "name", "nowhere")
	r.serve(Native, frontIP, backIP)
	c := r.call(four, four)
	c.bind(peerIP[four], time.Hour, time.Hour)
	r.untilKernel(relay.ToPeer, c.exchange)
	r.untilKernel(relay.ToClient, c.exchange)
	before, took := r.frames(), r.engine.host.(*network).looked.Load()
	for i := range 50 {
		r.must(r.server, "ip", "route", "add", fmt.Sprintf("10.200.0.%d/32", i), "via", peerIP[four].String())
		r.must(r.server, "ip", "address", "add", fmt.Sprintf("10.201.%d.1/24", i), "dev", "elsewhere")
		r.must(r.server, "ip", "link", "set", "elsewhere", []string{"up", "down"}[i%2])
		r.must(r.server, "ip", "address", "change", "fd02::1/64", "dev", r.back, "preferred_lft", fmt.Sprint(1000+i), "valid_lft", "5000")
		c.exchange()
	}
	now := r.frames()
	if now["no-hop"] != before["no-hop"] {
		t.Errorf("%d frames passed for want of a hop", now["no-hop"]-before["no-hop"])
	}
	if again := r.engine.host.(*network).looked.Load(); again != took {
		t.Errorf("all was read anew %d times", again-took)
	}
}

// TestPathMTUBeyondARouter has a way of IPv6 that takes less than its first link, which
// only the sockets learn.
func TestPathMTUBeyondARouter(t *testing.T) {
	r := newRig(t, true)
	far := r.lab.Host("far")
	routerEnd, farEnd := r.lab.Link(
		labtest.End{Host: r.peer, Address: netip.MustParsePrefix("fd03::1/64")},
		labtest.End{Host: far, Address: netip.MustParsePrefix("fd03::2/64")},
	)
	r.peer.Sysctl("net/ipv6/conf/all/forwarding", "1")
	r.must(r.server, "ip", "route", "add", "fd03::/64", "via", peerIP[six].String())
	r.must(far, "ip", "route", "add", "fd02::/64", "via", "fd03::1")
	r.must(r.peer, "ip", "link", "set", routerEnd, "mtu", "1300")
	r.must(far, "ip", "link", "set", farEnd, "mtu", "1300")
	r.serve(Native, frontIP, backIP)
	c := r.call(four, six)
	r.peer = far
	c.bind(netip.MustParseAddr("fd03::2"), time.Minute, time.Minute)
	r.untilKernel(relay.ToPeer, func() { r.insist("short", func() { c.toPeer([]byte("short")) }, c.peer) })
	long := make([]byte, 1350)
	r.insist("long", func() { c.toPeer(long) }, c.peer, long...)
}

// TestWildcardMeansAddresses leaves interfaces alone that have only the address that
// every interface has.
func TestWildcardMeansAddresses(t *testing.T) {
	r := newRig(t, true)
	other := r.lab.Host("container")
	link := func(h *labtest.Host, prefix string) labtest.End {
		return labtest.End{Host: h, Address: netip.MustParsePrefix(prefix)}
	}
	_, host := r.lab.Link(link(other, "10.9.0.2/24"), link(r.server, "10.9.0.1/24"))
	r.must(r.server, "ip", "address", "flush", "dev", host, "scope", "global")
	waitFor(t, "a link-local address", func() bool {
		out, err := r.server.Command("ip", "-6", "address", "show", "dev", host, "scope", "link", "-tentative").CombinedOutput()
		return err != nil || strings.Contains(string(out), "fe80:")
	})
	r.server.Do(func() {
		e, err := Start(Config{Mode: Generic, Serving: []netip.Addr{netip.IPv6Unspecified()}, Flows: 8, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for _, i := range e.Stats().Interfaces {
			if i.Name == host {
				t.Errorf("%s is used, or said not to be: %v", host, i)
			}
		}
	})
}

// TestWhereTheProgramCannotBe checks that the server works in user space, and says why.
func TestWhereTheProgramCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		far   bool
		mode  Mode
		busy  bool
		front Interface
		err   Why
	}{
		"all is well":                    {true, Auto, false, Interface{Mode: Native, Driver: "veth"}, ""},
		"somebody else's program":        {true, Auto, true, Interface{Mode: Off, Driver: "veth", Why: WhyBusy}, ""},
		"somebody else's, and insisting": {true, Native, true, Interface{Mode: Off, Driver: "veth", Why: WhyBusy}, ""},
		"nobody takes frames":            {false, Auto, false, Interface{Mode: Off, Driver: "veth", Why: WhyVethPeer}, ""},
		"nobody does, and insisting":     {false, Native, false, Interface{}, WhyVethPeer},
		"generic":                        {false, Generic, false, Interface{Mode: Generic, Driver: "veth"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.far)
			if c.busy {
				r.passAll(r.server, r.front)
			}
			if c.err != "" {
				r.refuses(c.mode, c.err)
				return
			}
			r.serve(c.mode, frontIP, backIP)
			c.front.Name = r.front
			if got := r.engine.Stats().Interfaces; len(got) != 2 || got[0] != c.front {
				t.Errorf("interfaces are %v, want %v first", got, c.front)
			}
			if lines := strings.Count(r.log.String(), "\n"); lines != 2 {
				t.Errorf("%d lines were logged:\n%s", lines, r.log)
			}
			call := r.call(four, four)
			call.bind(peerIP[four], time.Minute, time.Minute)
			call.exchange()
			if c.front.Mode == Native {
				r.untilKernel(relay.ToPeer, call.exchange)
			}
		})
	}
}

// refuses wants the engine not to start.
func (r *rig) refuses(mode Mode, why Why) {
	r.t.Helper()
	r.server.Do(func() {
		e, err := Start(Config{Mode: mode, Serving: frontIP[:], Flows: 8})
		var refused *Error
		if !errors.As(err, &refused) || refused.Why != why || refused.Hint() == "" || e != nil {
			r.t.Errorf("started with %v: %v", e, err)
		}
	})
}

func TestFarEndLosesItsProgram(t *testing.T) {
	r := newRig(t, false)
	far := r.passAll(r.client, r.clientEnd)
	r.passAll(r.peer, r.peerEnd)
	r.serve(Native, frontIP, backIP)
	c := r.call(four, four)
	c.bind(peerIP[four], time.Minute, time.Minute)
	r.untilKernel(relay.ToClient, c.exchange)
	far.Close()
	waitFor(t, "the program to be taken away", func() bool {
		c.toPeer([]byte("still there?"))
		_, _ = c.peer.Write([]byte("still there?"))
		return r.engine.Stats().Interfaces[0].Why == WhyVethPeer
	})
	if r.attached(r.front) {
		t.Error("the program is still attached")
	}
	c.exchange()
}

func TestCloseLeavesNothing(t *testing.T) {
	r := newRig(t, true)
	r.limit = limit.Config{Rate: 10}
	r.serve(Native, frontIP, backIP)
	c := r.call(four, four)
	c.bind(peerIP[four], time.Minute, time.Minute)
	r.untilKernel(relay.ToPeer, c.exchange)
	if !r.attached(r.front) || !r.attached(r.back) {
		t.Error("no program is attached")
	}
	r.engine.Close()
	if r.attached(r.front) || r.attached(r.back) {
		t.Error("a program is still attached")
	}
	c.exchange()
	r.engine.Limit().Take(limit.Key(clientIP[four]), 0) // crashes if its memory is gone
}

// TestBindingIsAnsweredInTheKernel compares the answers with those of user space, and
// has both spend one budget.
func TestBindingIsAnsweredInTheKernel(t *testing.T) {
	r := newRig(t, true)
	r.limit = limit.Config{Rate: 10}
	r.serve(Native, frontIP, backIP)
	for family := range families {
		r.run(families[family], func() {
			server := netip.AddrPortFrom(frontIP[family], listenPort)
			conn := r.dial(r.client, clientIP[family], server)
			from := conn.LocalAddr().(*net.UDPAddr).AddrPort()
			request := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, "transaction "...)
			want := make([]byte, wire.MaxBindingResponseLen)
			want = want[:wire.AnswerBinding(want, request, from)]
			before := r.engine.Bindings()
			r.insist("Binding", func() { _, _ = conn.Write(request) }, conn, want...)
			if r.engine.Bindings() == before {
				r.t.Errorf("the kernel did not answer: %v", r.frames())
			}
			key, now := limit.Key(from.Addr()), int64(time.Since(r.epoch))
			for r.engine.Limit().Take(key, now) == limit.Allowed { // user space spends the rest
			}
			withheld := r.engine.BindingsWithheld()
			if _, err := conn.Write(request); err != nil {
				r.t.Fatal(err)
			}
			waitFor(r.t, "a request to go without an answer", func() bool { return r.engine.BindingsWithheld() > withheld })
		})
	}
}

func TestCapabilities(t *testing.T) {
	for name, c := range map[string]struct {
		capabilities []uint
		why          Why
	}{
		"none":                   {nil, WhyPermission},
		"CAP_NET_ADMIN":          {[]uint{unix.CAP_NET_ADMIN}, WhyPermission},
		"CAP_BPF, CAP_NET_ADMIN": {[]uint{unix.CAP_NET_ADMIN, unix.CAP_BPF}, WhyNone},
	} {
		t.Run(name, func(t *testing.T) {
			r := alone(t)
			r.server.Do(func() {
				defer limitTo(t, c.capabilities...)()
				config := Config{Mode: Generic, Serving: []netip.Addr{netip.IPv6Loopback()}, Flows: 8}
				e, err := Start(config)
				if err == nil {
					e.Close()
				}
				var refused *Error
				if errors.As(err, &refused) != (c.why != WhyNone) || refused != nil && refused.Why != c.why {
					t.Errorf("started with %v: %v", e, err)
				}
			})
		})
	}
}

// limitTo takes all capabilities but some from the calling thread, until the returned
// function is called.
func limitTo(t *testing.T, capabilities ...uint) (restore func()) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, some [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	some = all
	some[0].Effective, some[1].Effective = 0, 0
	for _, c := range capabilities {
		some[c/32].Effective |= 1 << (c % 32)
	}
	if err := unix.Capset(&header, &some[0]); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Capset(&header, &all[0]); err != nil {
			t.Error(err)
		}
	}
}
