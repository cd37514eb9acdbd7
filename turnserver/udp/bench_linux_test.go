package udp

import (
	"net/netip"
	"testing"
)

const benchPayload = 160 // bytes, as a voice packet

// sinks returns sockets that nobody reads from: the kernel drops what they cannot hold,
// which costs the sender no less.
func sinks(b *testing.B, n int) []netip.AddrPort {
	var to []netip.AddrPort
	for range n {
		to = append(to, backends[0].open(b, "127.0.0.1:0", Options{ReceiveBuffer: 4096}).LocalAddr())
	}
	return to
}

func BenchmarkWriteBatch(b *testing.B) {
	tests := []struct {
		name         string
		size         int // packets a batch
		flows        int
		noGSO, share bool
	}{
		{"one packet", 1, 1, false, false},
		{"one packet, shared", 1, 1, false, true},
		{"32 packets, 1 flow", 32, 1, false, false},
		{"32 packets, 1 flow, no GSO", 32, 1, true, false},
		{"32 packets, 32 flows", 32, 32, false, false},
	}
	for _, test := range tests {
		b.Run(test.name, func(b *testing.B) {
			to := sinks(b, test.flows)
			c := backends[0].open(b, "127.0.0.1:0", Options{Shared: test.share})
			c.socket.(*linuxSocket).noGSO.Store(test.noGSO)
			var ps []Packet
			for i := range test.size {
				ps = append(ps, packet(to[i%len(to)], make([]byte, benchPayload)))
			}
			w := NewWriter()
			b.ReportAllocs()
			for b.Loop() {
				if sent, err := c.WriteBatch(w, ps); sent != len(ps) {
					b.Fatal(sent, err)
				}
			}
			perPacket(b, test.size)
		})
	}
}

func perPacket(b *testing.B, packets int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packets), "ns/packet")
}
