//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The flows of these benchmarks form rings: what one makes of a frame is what another
// relays back into the first frame. The kernel runs a program many times on one frame
// and puts nothing back in between, so anything else would measure misses after the
// first time.

// ringOfTwo relays to a peer and then to a client.
func ringOfTwo(w *world, f families) datagram {
	there := flowOf(f, 1)
	back := Flow{
		Client: there.Server, Server: there.Client, Relayed: there.Peer, Peer: there.Relayed, Channel: there.Channel,
	}
	w.bind(0, there)
	w.bind(1, back)
	return fromClient(&there, nil)
}

// ringOfHairpins takes two hairpin turns.
func ringOfHairpins(w *world, f families) datagram {
	relay := func(n int) *Flow { f := flowOf(families{4, f.peer}, n); return &f }
	a, b := flowOf(families{f.client, f.peer}, 1), flowOf(families{f.client, f.peer}, 2)
	a.Peer, b.Peer = b.Relayed, a.Relayed
	c := Flow{Client: b.Server, Server: b.Client, Channel: b.Channel, Relayed: relay(3).Relayed, Peer: relay(4).Relayed}
	d := Flow{Client: a.Server, Server: a.Client, Channel: a.Channel, Relayed: c.Peer, Peer: c.Relayed}
	for slot, flow := range []*Flow{&a, &b, &c, &d} {
		flow.Hairpin = true
		w.bind(uint32(slot), *flow)
	}
	return fromClient(&a, nil)
}

func BenchmarkProgram(b *testing.B) {
	for name, ring := range map[string]func(*world, families) datagram{"hairpin": ringOfHairpins, "relay": ringOfTwo} {
		for _, f := range allFamilies {
			for _, size := range []int{160, 1200} {
				b.Run(fmt.Sprintf("%s/%v/%d", name, f, size), func(b *testing.B) { benchmarkRing(b, ring, f, size) })
			}
		}
	}
}

// benchmarkRing reports the time of one run, by the kernel's own clock around b.N.
func benchmarkRing(b *testing.B, ring func(*world, families) datagram, f families, size int) {
	w := newWorld(b)
	in := ring(w, f)
	for slot := range w.flows {
		for d := range directions {
			w.p.SetHop(slot, d, Hop{Destination: ownMAC, Source: clientMAC, Interface: device, Limit: w.limit})
		}
	}
	in.payload = channelData(w.flows[0].Channel, data(size))
	before := w.totals()
	_, each, err := w.p.objects.Hairpin.Benchmark(in.frame(), b.N, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(each.Nanoseconds()), "ns/run")
	for why, c := range w.totals() {
		if n := c.Packets - before[why].Packets; n != 0 && Reason(why) > RelayedHairpin {
			b.Fatalf("%d runs ended with %v", n, Reason(why))
		}
	}
}

// BenchmarkPending measures frames whose checksum was left to a device, by the kernel's
// statistics, since the first run of the program completes it.
func BenchmarkPending(b *testing.B) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Skip(err)
	}
	defer stats.Close()
	for _, sum := range []sumKind{wholeSum, pendingSum} {
		for _, size := range []int{160, 1200} {
			b.Run(fmt.Sprintf("%d/%d", sum, size), func(b *testing.B) { benchmarkStats(b, sum, size) })
		}
	}
}

func benchmarkStats(b *testing.B, sum sumKind, size int) {
	w := newWorld(b)
	w.populate()
	in := fromClient(w.flows[0], data(size))
	in.sum = sum
	frame := in.frame()
	for b.Loop() {
		if action, _, err := w.p.Run(device, frame); err != nil || action != Transmit {
			b.Fatal(action, err)
		}
	}
	s, err := w.p.objects.Hairpin.Stats()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(s.Runtime/time.Nanosecond)/float64(s.RunCount), "ns/run")
}
