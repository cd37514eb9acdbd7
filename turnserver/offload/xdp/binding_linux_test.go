//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hairpin/turnserver/limit"
)

// request returns a Binding request of the plainest kind to a service.
func request(family int) datagram {
	message := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, data(12)...)
	return datagram{
		destination: ownMAC, source: clientMAC, ttl: 60, id: 7, payload: message,
		from: address(family, 77, 0xABCD), to: address(family, 1, 3478),
	}
}

// serve makes the world's device answer Binding requests.
func (w *world) serve() {
	w.t.Helper()
	w.services = make(map[netip.AddrPort]bool)
	for _, family := range []int{4, 6} {
		at := address(family, 1, 3478)
		w.must(w.p.SetBinding(at, true))
		w.services[at] = true
	}
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC, Flags: Symmetric}))
}

func TestBindingIsAnsweredAsInUserSpace(t *testing.T) {
	w := newWorld(t)
	w.serve()
	for _, family := range []int{4, 6} {
		for _, sum := range []sumKind{wholeSum, pendingSum, noSum} {
			want := Binding
			if family == 6 && sum == noSum {
				want = Checksum
			}
			for n := range 300 {
				in := request(family)
				in.sum = sum
				in.from = netip.AddrPortFrom(in.from.Addr(), uint16(1+n*211))
				in.payload[8+n%12] ^= byte(n)
				if got := w.reasonFor(in.frame()); got != want {
					t.Fatalf("IPv%d, checksum %d, from %v: %v, want %v", family, sum, in.from, got, want)
				}
			}
		}
	}
}

var badRequests = []mutation{
	{"indication", inUDP(8, 0x00, 0x11), NoFlow},
	{"answer", inUDP(8, 0x01, 0x01), NoFlow},
	{"Allocate request", inUDP(8, 0x00, 0x03), NoFlow},
	{"length four", inUDP(10, 0, 4), NoFlow},
	{"length not of whole words", inUDP(10, 0, 1), NoFlow},
	{"no magic cookie", inUDP(12, 0x21, 0x12, 0xA4, 0x43), NoFlow},
	{"damaged transaction", inUDP(20, 0xEE, 0xEE), Checksum},
	{"wrong checksum", inUDP(6, 0x12, 0x34), Checksum},
	{"other port", inUDP(2, 0x0D, 0x97), NoFlow},
	{"no port to answer to", inUDP(0, 0, 0), NoFlow},
	{"from many machines", at(6, 0x01), NoFlow},
}

var badRequests4 = []mutation{
	{"from broadcast", ip4(12, 255, 255, 255, 255), NoFlow},
	{"from multicast", ip4(12, 224, 0, 0, 1), NoFlow},
	{"from nowhere", ip4(12, 0, 0, 0, 0), NoFlow},
	{"from loopback", ip4(12, 127, 0, 0, 1), NoFlow},
	{"from itself", ip4(12, 192, 0, 2, 1), NoFlow},
}

var badRequests6 = []mutation{
	{"from multicast", at(ethernetLen+8, 0xFF), NoFlow},
	{"from nowhere", at(ethernetLen+8, make([]byte, 16)...), NoFlow},
	{"from loopback", at(ethernetLen+8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), NoFlow},
	{"from an IPv4 address", at(ethernetLen+8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 9), NoFlow},
}

// requests returns mutations with the verdicts they have for requests: there, another
// source is not a stranger but a wrong checksum.
func requests(all ...[]mutation) []mutation {
	m := slices.Concat(all...)
	for i := range m {
		switch m[i].name {
		case "other source", "other source's network", "source port's bytes exchanged":
			m[i].want = Checksum
		}
	}
	return m
}

func TestBadBindingRequestsPass(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.mutate(t, "IPv4", request(4), requests(anyFamily, family4, badRequests, badRequests4), Binding)
	w.mutate(t, "IPv6", request(6), requests(anyFamily, family6, badRequests, badRequests6), Binding)
	w.t = t
	for _, family := range []int{4, 6} {
		in := request(family)
		in.payload = append(in.payload, 0x80, 0x28, 0, 4, 1, 2, 3, 4)
		in.payload[3] = 8
		if got := w.reasonFor(in.frame()); got != NoFlow {
			t.Errorf("IPv%d with an attribute: %v", family, got)
		}
	}
}

func TestBindingIsAnsweredOnlyWhereToldTo(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC}))
	in := request(4)
	if got := w.reasonFor(in.frame()); got != NoFlow {
		t.Errorf("where the way back may be another: %v", got)
	}
	w.serve()
	w.must(w.p.SetBinding(in.to, false))
	w.must(w.p.SetBinding(in.to, false))
	if got := w.reasonFor(in.frame()); got != NoFlow {
		t.Errorf("an address that does not answer any more: %v", got)
	}
	in.from, in.to = request(6).from, request(6).to
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC, Flags: Symmetric | ChecksumsLater}))
	in.sum = pendingSum
	if got := w.reasonFor(in.frame()); got != ChecksumLeft {
		t.Errorf("a checksum for later: %v", got)
	}
}

// limited returns a world with a limit that user space shares, and the table. What is
// allowed at once comes back so slowly that no test sees it.
func limited(t *testing.T, c limit.Config) (*world, *limit.Table) {
	t.Helper()
	w := newWorld(t)
	w.serve()
	c.Slots = w.p.LimitSlots()
	table, err := limit.New(c)
	w.must(err)
	// One answer an hour.
	table.Tolerance, table.Interval = table.Tolerance/max(table.Interval, 1)*uint64(time.Hour), uint64(time.Hour)
	w.must(w.p.SetLimit(table.Parameters))
	return w, table
}

// ask runs n requests and returns how many were answered; no others may pass.
func (w *world) ask(in datagram, n int) (answered int) {
	w.t.Helper()
	for range n {
		in.from = netip.AddrPortFrom(in.from.Addr(), in.from.Port()+1)
		action, _, err := w.p.Run(device, in.frame())
		w.must(err)
		switch action {
		case Transmit:
			answered++
		case Drop:
		default:
			w.t.Fatalf("a request over the limit: %v", action)
		}
	}
	return answered
}

func TestLimitIsSharedWithUserSpace(t *testing.T) {
	for _, family := range []int{4, 6} {
		t.Run(fmt.Sprint(family), func(t *testing.T) {
			w, table := limited(t, limit.Config{Rate: 1, Burst: 5})
			in := request(family)
			key, now := limit.Key(in.from.Addr()), func() int64 { return int64(monotonic(t)) }
			for range 2 {
				if v := table.Take(key, now()); v != limit.Allowed {
					t.Fatalf("user space: %v", v)
				}
			}
			if n := w.ask(in, 10); n != 3 {
				t.Errorf("%d requests answered after user space answered 2 of 5", n)
			}
			if v := table.Take(key, now()); v != limit.Source {
				t.Errorf("user space, after the program: %v", v)
			}
			if n := w.totals()[BindingLimited].Packets; n != 7 {
				t.Errorf("%d requests counted as over the limit", n)
			}
		})
	}
}

func TestLimitOfAllSources(t *testing.T) {
	w, table := limited(t, limit.Config{Rate: 1, Burst: 100, Total: 1})
	table.TotalInterval, table.TotalTolerance = uint64(time.Hour), 3*uint64(time.Hour)
	w.must(w.p.SetLimit(table.Parameters))
	if n := w.ask(request(4), 3) + w.ask(request(6), 3); n != 4 {
		t.Errorf("%d requests answered of 4", n)
	}
	if v := table.Take(12345, int64(monotonic(t))); v != limit.Total {
		t.Errorf("user space: %v", v)
	}
}

// TestLimitSlots compares the hash with user space's.
func TestLimitSlots(t *testing.T) {
	w := &world{t: t, p: load(t, Config{Flows: 1, Sources: 1 << 14})}
	w.serve()
	slots := w.p.LimitSlots()
	table, err := limit.New(limit.Config{Rate: 1, Slots: slots})
	w.must(err)
	w.must(w.p.SetLimit(table.Parameters))
	for n := range 500 {
		in := request(4)
		in.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(n * 7), byte(n), byte(n >> 3)}), 99)
		if n%2 == 1 {
			in = request(6)
			in.from = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(n), byte(n >> 8), 7: byte(n * 3), 9: byte(n)}), 99)
		}
		slot := table.Slot(limit.Key(in.from.Addr()))
		slots[slot] = 0
		if n := w.ask(in, 1); n != 1 || slots[slot] == 0 {
			t.Fatalf("%v took nothing from slot %d", in.from, slot)
		}
	}
	if err := w.p.SetLimit(limit.Parameters{Mask: 1<<15 - 1}); err == nil {
		t.Error("a limit for more sources than there is memory for")
	}
}
