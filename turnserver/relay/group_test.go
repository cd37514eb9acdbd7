package relay

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hairpin/turnserver/udp"
)

// batches keeps the sizes of the batches it is given.
type batches struct {
	*socket
	sizes []int
}

func (b *batches) WriteBatch(w *udp.Writer, ps []udp.Packet) (int, error) {
	b.sizes = append(b.sizes, len(ps))
	return b.socket.WriteBatch(w, ps)
}

func TestPacketsOfOneAllocationLeaveTogether(t *testing.T) {
	r := newRig(t)
	var allocations []*Allocation
	var sockets []*batches
	for i := range uint16(40) {
		s := &batches{socket: newSocket(netip.AddrPortFrom(addr("10.0.0.1"), 50000+i).String())}
		a, err := r.table.Add(Opening{
			FiveTuple: FiveTuple{netip.AddrPortFrom(addr("192.0.2.7"), 7000+i), r.listen.local, UDP},
			Path:      Path{Packets: r.listen}, Socket: s,
			Relayed: netip.AddrPortFrom(addr("203.0.113.1"), 50000+i),
			Expires: r.now.Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		r.bind(a, 0x4000, peer)
		allocations, sockets = append(allocations, a), append(sockets, s)
	}
	for range 3 {
		for range 2 {
			for _, a := range allocations {
				p := packet(channelData(0x4000, "x", 0), a.Client.String())
				r.worker.FromClient(0, &a.FiveTuple, &p)
			}
		}
		r.worker.Flush()
		slices.Reverse(allocations) // so that what they remember of their groups is wrong
	}
	for i, s := range sockets {
		if !slices.Equal(s.sizes, []int{2, 2, 2}) {
			t.Errorf("allocation %d sent batches of %v, want three of 2", i, s.sizes)
		}
	}
}

func TestWorkersThatShareAnAllocationKeepOrder(t *testing.T) {
	r := newRig(t)
	other := r.table.Borrow()
	a, s := r.add("192.0.2.7:7000", 50000)
	b, _ := r.add("192.0.2.8:7000", 50001)
	r.bind(a, 0x4000, peer)
	r.bind(b, 0x4000, peer)
	send := func(w *Worker, from *Allocation, data string) {
		p := packet(channelData(0x4000, data, 0), from.Client.String())
		w.FromClient(0, &from.FiveTuple, &p)
	}
	send(other, b, "first of the other's groups")
	for i := range 8 {
		send(r.worker, a, fmt.Sprint(i))
		send(other, a, fmt.Sprint(100+i))
	}
	r.worker.Flush()
	other.Flush()
	var want []string
	for _, first := range []int{0, 100} {
		for i := range 8 {
			want = append(want, fmt.Sprint(first+i))
		}
	}
	var got []string
	for _, p := range s.take() {
		got = append(got, string(p.data))
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}
