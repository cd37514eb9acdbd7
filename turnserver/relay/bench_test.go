package relay

import (
	"testing"

	"hairpin/turnserver/udp"
)

func BenchmarkRelay(b *testing.B) {
	r := newRig(&testing.T{})
	defer r.table.Close()
	listen := &countingSocket{socket: r.listen}
	a, _ := r.addPath("192.0.2.7:7000", 50000, UDP, Path{Packets: listen}, "10.0.0.1", "203.0.113.1")
	a.socket = &countingSocket{socket: newSocket("10.0.0.1:50000")}
	r.bind(a, 0x4000, peer)
	out := packet(channelData(0x4000, "0123456789", 0), "192.0.2.7:7000")
	in := packet([]byte("0123456789"), peer)
	b.Run("to-peer", func(b *testing.B) {
		b.ReportAllocs()
		var p udp.Packet
		for b.Loop() {
			p = out
			r.worker.FromClient(0, &a.FiveTuple, &p)
			r.worker.Flush()
		}
	})
	b.Run("to-client", func(b *testing.B) {
		b.ReportAllocs()
		var p udp.Packet
		for b.Loop() {
			p = in
			r.worker.fromPeer(0, a, &p)
			r.worker.Flush()
		}
	})
}

// countingSocket takes everything.
type countingSocket struct {
	*socket
	n int
}

func (s *countingSocket) WriteBatch(_ *udp.Writer, ps []udp.Packet) (int, error) {
	s.n += len(ps)
	return len(ps), nil
}
