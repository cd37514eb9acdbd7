package udp

import (
	"net/netip"
	"testing"
)

// noAllocs fails the test if f allocates.
func noAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f()
	if n := testing.AllocsPerRun(200, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

func TestReadAndWriteAllocateNothing(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, shared := range []bool{false, true} {
			server := backends[0].open(t, addr, Options{Shared: shared, PacketInfo: true})
			client := backends[0].open(t, addr, Options{Shared: shared})
			other := backends[0].open(t, addr, Options{ReceiveBuffer: 1})
			w, batch := NewWriter(), NewBatch(8)
			var ps []Packet
			for i, size := range []int{100, 100, 50, 0, 200} {
				ps = append(ps, packet(server.LocalAddr(), pattern(size, i)), packet(other.LocalAddr(), nil))
				ps = append(ps, packet(server.LocalAddr(), pattern(size, i)))
				ps[i].Local = client.LocalAddr().Addr()
			}
			refused := []Packet{packet(netip.AddrPort{}, nil)}
			noAllocs(t, addr, func() {
				if sent, _ := client.WriteBatch(w, ps); sent != len(ps) {
					t.Fatal("not all were sent")
				}
				for got := 0; got < 10; got += len(batch.Packets) {
					if err := server.ReadBatch(batch); err != nil {
						t.Fatal(err)
					}
				}
				_, _ = server.WriteBatch(w, batch.Packets) // nobody reads the replies
				if !shared {
					_ = client.WriteDontFragment(w, &ps[1])
				}
				_, _ = client.WriteBatch(w, refused)
			})
		}
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	server := backends[0].open(t, "127.0.0.1:0", Options{})
	client := backends[0].open(t, "127.0.0.1:0", Options{})
	got := make(chan struct{})
	ended := serve(server, func(*Batch) { got <- struct{}{} })
	w, ps := NewWriter(), []Packet{packet(server.LocalAddr(), []byte("x"))}
	noAllocs(t, "a wake-up", func() {
		if sent, err := client.WriteBatch(w, ps); sent != 1 {
			t.Fatal(err)
		}
		<-got
	})
	server.Close()
	await(t, "the end of Serve", ended)
}
