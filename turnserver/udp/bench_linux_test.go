package udp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
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

// BenchmarkReadBatch times the reads only, of datagrams that are there.
func BenchmarkReadBatch(b *testing.B) {
	for _, size := range []int{1, 32} {
		for _, backend := range backends {
			b.Run(fmt.Sprintf("%s, %d packets", backend.name, size), func(b *testing.B) {
				server := backend.open(b, "127.0.0.1:0", Options{ReceiveBuffer: 1 << 20, PacketInfo: true})
				client := backends[0].open(b, "127.0.0.1:0", Options{})
				ps := make([]Packet, size)
				for i := range ps {
					ps[i] = packet(server.LocalAddr(), make([]byte, benchPayload))
				}
				w, batch := NewWriter(), NewBatch(size)
				var reading time.Duration
				b.ReportAllocs()
				for b.Loop() {
					if sent, err := client.WriteBatch(w, ps); sent != size {
						b.Fatal(sent, err)
					}
					start := time.Now()
					for got := 0; got < size; got += len(batch.Packets) {
						if err := server.ReadBatch(batch); err != nil {
							b.Fatal(err)
						}
					}
					reading += time.Since(start)
				}
				b.ReportMetric(float64(reading.Nanoseconds())/float64(b.N*size), "ns/packet")
			})
		}
	}
}

// BenchmarkServe times a datagram's way through a sleeping Serve and back.
func BenchmarkServe(b *testing.B) {
	for _, backend := range backends {
		b.Run(backend.name, func(b *testing.B) {
			server, client := backend.open(b, "127.0.0.1:0", Options{}), backend.open(b, "127.0.0.1:0", Options{})
			w, batch := NewWriter(), NewBatch(1)
			ended := serve(server, func(b *Batch) { _, _ = server.WriteBatch(w, b.Packets) })
			clientWriter, ps := NewWriter(), []Packet{packet(server.LocalAddr(), make([]byte, benchPayload))}
			b.ReportAllocs()
			for b.Loop() {
				if sent, err := client.WriteBatch(clientWriter, ps); sent != 1 {
					b.Fatal(err)
				}
				if err := client.ReadBatch(batch); err != nil {
					b.Fatal(err)
				}
			}
			server.Close()
			await(b, "the end of Serve", ended)
		})
	}
}

func perPacket(b *testing.B, packets int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packets), "ns/packet")
}
