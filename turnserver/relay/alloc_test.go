//go:build !race

package relay

import (
	"testing"

	"hairpin/turnserver/udp"
)

// discard is a socket that keeps nothing.
type discard struct{ *socket }

func (discard) WriteBatch(_ *udp.Writer, ps []udp.Packet) (int, error) { return len(ps), nil }

func TestRelayingAllocatesNothing(t *testing.T) {
	r := newRig(t)
	listen := discard{r.listen}
	a, _ := r.addPath("192.0.2.7:7000", 50000, UDP, Path{Packets: listen}, "10.0.0.1", "203.0.113.1")
	b, _ := r.addPath("192.0.2.8:8000", 50001, UDP, Path{Packets: listen}, "10.0.0.1", "203.0.113.1")
	a.socket = discard{newSocket("10.0.0.1:50000")}
	r.bind(a, 0x4000, peer)
	r.bind(a, 0x4001, "203.0.113.1:50001")
	r.bind(b, 0x4001, "203.0.113.1:50000")
	a.Permit(r.now, addr("192.0.2.10"), r.now.Add(1<<40))
	cases := map[string]struct {
		template udp.Packet
		relay    func(p *udp.Packet) Verdict
	}{
		"to peer":         {packet(channelData(0x4000, "data", 0), "192.0.2.7:7000"), func(p *udp.Packet) Verdict { return r.worker.FromClient(r.table.Now(), &a.FiveTuple, p) }},
		"send indication": {packet(sendIndication(t, "192.0.2.10:5", "data"), "192.0.2.7:7000"), func(p *udp.Packet) Verdict { return r.worker.FromClient(r.table.Now(), &a.FiveTuple, p) }},
		"hairpin":         {packet(channelData(0x4001, "data", 0), "192.0.2.7:7000"), func(p *udp.Packet) Verdict { return r.worker.FromClient(r.table.Now(), &a.FiveTuple, p) }},
		"to client":       {packet([]byte("data"), peer), func(p *udp.Packet) Verdict { return r.worker.fromPeer(r.table.Now(), a, p) }},
		"data indication": {packet([]byte("data"), "192.0.2.10:5"), func(p *udp.Packet) Verdict { return r.worker.fromPeer(r.table.Now(), a, p) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var p udp.Packet
			allocs := testing.AllocsPerRun(1000, func() {
				p = c.template
				if c.relay(&p) != Relayed {
					t.Fatal("not relayed")
				}
				r.worker.Flush()
			})
			if allocs != 0 {
				t.Errorf("%v allocations per packet", allocs)
			}
		})
	}
}
