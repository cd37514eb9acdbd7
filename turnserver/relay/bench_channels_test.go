package relay

import (
	"fmt"
	"net/netip"
	"testing"

	"hairpin/turnserver/udp"
)

// maxChannels is the number of channels that an allocation may have bound (SEC-34).
const maxChannels = 64

// BenchmarkChannels has the packets of all of an allocation's channels in turn: what
// one costs is not to depend on how many channels are bound.
func BenchmarkChannels(b *testing.B) {
	for _, channels := range []int{1, maxChannels} {
		r := newRig(&testing.T{})
		listen := &countingSocket{socket: r.listen}
		a, _ := r.addPath("192.0.2.7:7000", 50000, UDP, Path{Packets: listen}, "10.0.0.1", "203.0.113.1")
		a.socket = &countingSocket{socket: newSocket("10.0.0.1:50000")}
		// As many packets whatever the channels, so that they are as often in the cache.
		var out, in [maxChannels]udp.Packet
		for i := range maxChannels {
			channel := uint16(0x4000 + i%channels)
			peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i%channels)}), 9000).String()
			r.bind(a, channel, peer)
			out[i] = packet(channelData(channel, "0123456789", 0), a.Client.String())
			in[i] = packet([]byte("0123456789"), peer)
		}
		b.Run(fmt.Sprintf("to-peer/channels=%d", channels), func(b *testing.B) {
			benchmarkInTurn(b, r.worker, &out, func(p *udp.Packet) { r.worker.FromClient(0, &a.FiveTuple, p) })
		})
		b.Run(fmt.Sprintf("to-client/channels=%d", channels), func(b *testing.B) {
			benchmarkInTurn(b, r.worker, &in, func(p *udp.Packet) { r.worker.fromPeer(0, a, p) })
		})
		r.table.Close()
	}
}

// benchmarkInTurn has copies of the packets relayed one after the other.
func benchmarkInTurn(b *testing.B, w *Worker, packets *[maxChannels]udp.Packet, relay func(*udp.Packet)) {
	b.ReportAllocs()
	var p udp.Packet
	for i := 0; b.Loop(); i++ {
		p = packets[i%maxChannels]
		relay(&p)
		w.Flush()
	}
}
