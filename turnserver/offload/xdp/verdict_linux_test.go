//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"encoding/binary"
	"slices"
	"testing"
)

// mutation makes something else of a good frame of 100 bytes of data, whose IP header
// begins after the Ethernet header and is n bytes long.
type mutation struct {
	name string
	to   func(f []byte, n int) []byte
	want Reason
}

// at sets bytes at an offset.
func at(offset int, b ...byte) func([]byte, int) []byte {
	return func(f []byte, _ int) []byte { copy(f[offset:], b); return f }
}

// add adds to the 16-bit number at an offset.
func add(offset, delta int) func([]byte, int) []byte {
	return func(f []byte, _ int) []byte {
		binary.BigEndian.PutUint16(f[offset:], binary.BigEndian.Uint16(f[offset:])+uint16(delta))
		return f
	}
}

// inUDP sets bytes at an offset from the UDP header.
func inUDP(offset int, b ...byte) func([]byte, int) []byte {
	return func(f []byte, n int) []byte { copy(f[ethernetLen+n+offset:], b); return f }
}

// ip4 sets bytes at an offset of an IPv4 header and makes its checksum right.
func ip4(offset int, b ...byte) func([]byte, int) []byte {
	return func(f []byte, _ int) []byte {
		copy(f[ethernetLen+offset:], b)
		h := f[ethernetLen : ethernetLen+20]
		h[10], h[11] = 0, 0
		binary.BigEndian.PutUint16(h[10:], ^ones(h))
		return f
	}
}

func tail(b ...byte) func([]byte, int) []byte {
	return func(f []byte, _ int) []byte { return append(f, b...) }
}

var anyFamily = []mutation{
	{"VLAN tag", at(12, 0x81, 0x00), NotUDP},
	{"provider tag", at(12, 0x88, 0xA8), NotUDP},
	{"ARP", at(12, 0x08, 0x06), NotUDP},
	{"length for a type", at(12, 0x00, 0x64), NotUDP},
	{"foreign MAC", at(0, 0x02, 0, 0, 0, 0, 0x02), ForeignMAC},
	{"broadcast", at(0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), ForeignMAC},
	{"multicast", at(0, 0x01, 0x00, 0x5E, 0, 0, 1), ForeignMAC},
	{"a byte after it", tail(0), Length},
	{"a tail after it", tail(make([]byte, 20)...), Length},
	{"last byte missing", func(f []byte, _ int) []byte { return f[:len(f)-1] }, Length},
	{"UDP length one more", func(f []byte, n int) []byte { return add(ethernetLen+n+4, 1)(f, n) }, Length},
	{"UDP length one less", func(f []byte, n int) []byte { return add(ethernetLen+n+4, -1)(f, n) }, Length},
	{"UDP length zero", inUDP(4, 0, 0), Length},
	{"UDP length seven", inUDP(4, 0, 7), Length},
	{"UDP length all ones", inUDP(4, 0xFF, 0xFF), Length},
	{"source port zero", inUDP(0, 0, 0), NoFlow},
	{"destination port zero", inUDP(2, 0, 0), NoFlow},
	{"ports exchanged", func(f []byte, n int) []byte {
		p := f[ethernetLen+n:]
		p[0], p[1], p[2], p[3] = p[2], p[3], p[0], p[1]
		return f
	}, NoFlow},
	{"source port's bytes exchanged", func(f []byte, n int) []byte {
		p := f[ethernetLen+n:]
		p[0], p[1] = p[1], p[0]
		return f
	}, NoFlow},
}

var family4 = []mutation{
	{"header of 16 bytes", ip4(0, 0x44), Options},
	{"header of 24 bytes", ip4(0, 0x46), Options},
	{"header of 60 bytes", ip4(0, 0x4F), Options},
	{"version 6", ip4(0, 0x65), Options},
	{"version 0", ip4(0, 0x05), Options},
	{"more fragments", ip4(6, 0x20, 0), Fragment},
	{"a later fragment", ip4(6, 0, 1), Fragment},
	{"the last fragment there can be", ip4(6, 0x1F, 0xFF), Fragment},
	{"TCP", ip4(9, 6), NotUDP},
	{"ICMP", ip4(9, 1), NotUDP},
	{"UDP-Lite", ip4(9, 136), NotUDP},
	{"length zero", ip4(2, 0, 0), Length},
	{"length of the header", ip4(2, 0, 20), Length},
	{"length all ones", ip4(2, 0xFF, 0xFF), Length},
	{"length one less", add(ethernetLen+2, -1), Checksum},
	{"header checksum off", add(ethernetLen+10, 1), Checksum},
	{"header checksum zero", at(ethernetLen+10, 0, 0), Checksum},
	{"other source", ip4(12, 192, 0, 2, 99), NoFlow},
	{"other destination", ip4(16, 192, 0, 2, 99), NoFlow},
	{"destination broadcast", ip4(16, 255, 255, 255, 255), NoFlow},
}

var family6 = []mutation{
	{"version 4", at(ethernetLen, 0x40), Options},
	{"hop-by-hop options", at(ethernetLen+6, 0), NotUDP},
	{"routing header", at(ethernetLen+6, 43), NotUDP},
	{"fragment header", at(ethernetLen+6, 44), NotUDP},
	{"destination options", at(ethernetLen+6, 60), NotUDP},
	{"TCP", at(ethernetLen+6, 6), NotUDP},
	{"ICMPv6", at(ethernetLen+6, 58), NotUDP},
	{"length one more", add(ethernetLen+4, 1), Length},
	{"length one less", add(ethernetLen+4, -1), Length},
	{"length zero", at(ethernetLen+4, 0, 0), Length},
	{"length all ones", at(ethernetLen+4, 0xFF, 0xFF), Length},
	{"other source", at(ethernetLen+8+15, 99), NoFlow},
	{"other source's network", at(ethernetLen+8+7, 0x10), NoFlow},
	{"other destination", at(ethernetLen+24+15, 99), NoFlow},
	{"no checksum", inUDP(6, 0, 0), Checksum},
}

// fromClientOnly is about the framing.
var fromClientOnly = []mutation{
	{"unbound channel", inUDP(8, 0x4F, 0xFF), NoFlow},
	{"another flow's channel", func(f []byte, n int) []byte { f[ethernetLen+n+udpLen+1] ^= 1; return f }, NoFlow},
	{"channel number's bytes exchanged", inUDP(8, 0x02, 0x40), NoFlow},
	{"STUN", inUDP(8, 0x00, 0x01), NoFlow},
	{"DTLS", inUDP(8, 0x16, 0xFE), NoFlow},
	{"RTP", inUDP(8, 0x80, 0x60), NoFlow},
	{"length one more", inUDP(10, 0, 101), NoFlow},
	{"length one less, so that it has padding", inUDP(10, 0, 99), NoFlow},
	{"length zero", inUDP(10, 0, 0), NoFlow},
	{"length all ones", inUDP(10, 0xFF, 0xFF), NoFlow},
}

// harmless leaves frames that are relayed.
var harmless = map[int][]mutation{
	4: {
		{"do not fragment", ip4(6, 0x40, 0), 0},
		{"TTL zero", ip4(8, 0), 0},
		{"congestion experienced", ip4(1, 3), 0},
		{"other identification", ip4(4, 0xAB, 0xCD), 0},
	},
	6: {
		{"flow label", at(ethernetLen+1, 0x0A, 0xBC, 0xDE), 0},
		{"hop limit zero", at(ethernetLen+7, 0), 0},
		{"traffic class", at(ethernetLen, 0x6F, 0xF0), 0},
	},
}

func TestVerdicts(t *testing.T) {
	w := newWorld(t)
	w.populate()
	for slot, f := range allFamilies {
		flow := w.flows[uint32(slot)]
		client := slices.Concat(anyFamily, fromClientOnly, map[int][]mutation{4: family4, 6: family6}[f.client])
		peer := slices.Concat(anyFamily, map[int][]mutation{4: family4, 6: family6}[f.peer])
		w.mutate(t, "from client "+f.String(), fromClient(flow, data(100)), client, RelayedToPeer)
		w.mutate(t, "from peer "+f.String(), fromPeer(flow, data(100)), peer, RelayedToClient)
		w.mutate(t, "from client "+f.String(), fromClient(flow, data(100)), relabel(harmless[f.client], RelayedToPeer), RelayedToPeer)
		w.mutate(t, "from peer "+f.String(), fromPeer(flow, data(100)), relabel(harmless[f.peer], RelayedToClient), RelayedToClient)
	}
}

func relabel(all []mutation, want Reason) []mutation {
	all = slices.Clone(all)
	for i := range all {
		all[i].want = want
	}
	return all
}

// mutate runs the mutations of a good datagram, and it itself in between, so that no
// verdict is due to what went before.
func (w *world) mutate(t *testing.T, name string, good datagram, all []mutation, want Reason) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		w.t = t
		for _, m := range all {
			if got := w.reasonFor(m.to(good.frame(), good.ipLen())); got != m.want {
				t.Errorf("%s: %v, want %v", m.name, got, m.want)
			}
			if got := w.reasonFor(good.frame()); got != want {
				t.Fatalf("good: %v, want %v", got, want)
			}
		}
	})
}

func TestTruncatedFramesPass(t *testing.T) {
	w := newWorld(t)
	w.populate()
	for slot := range uint32(len(w.flows)) {
		for _, d := range []datagram{fromClient(w.flows[slot], data(30)), fromPeer(w.flows[slot], data(30))} {
			f := d.frame()
			for n := ethernetLen; n < len(f); n++ {
				if action, _ := w.run(f[:n]); action != Pass {
					t.Errorf("slot %d: %d of %d bytes left", slot, n, len(f))
				}
			}
		}
	}
}

// TestPaddedFramesPass has what a device makes of frames shorter than Ethernet's least.
func TestPaddedFramesPass(t *testing.T) {
	w := newWorld(t)
	w.populate()
	for slot := range uint32(len(allFamilies)) {
		for n := range 19 {
			for _, d := range []datagram{fromClient(w.flows[slot], data(n)), fromPeer(w.flows[slot], data(n))} {
				f := d.frame()
				if len(f) >= 60 {
					continue
				}
				if got := w.reasonFor(append(f, make([]byte, 60-len(f))...)); got != Length {
					t.Errorf("slot %d, %d bytes: %v, want %v", slot, n, got, Length)
				}
			}
		}
	}
}

// TestWrongChecksumStaysWrong: the next hop is to see that a packet was damaged.
func TestWrongChecksumStaysWrong(t *testing.T) {
	w := newWorld(t)
	w.populate()
	for slot := range uint32(len(w.flows)) {
		for _, odd := range []uint16{1, 0x00FF, 0xFF00, 0xFFFE} {
			in := fromClient(w.flows[slot], data(100))
			in.sum, in.odd = wrongSum, odd
			if action, out := w.run(in.frame()); action != Transmit || out.sum != wrongSum {
				t.Errorf("slot %d: %v with checksum %d", slot, action, out.sum)
			}
		}
	}
}

// TestPeersMaySendAnything: what looks like ChannelData or STUN is data, from a peer.
func TestPeersMaySendAnything(t *testing.T) {
	w := newWorld(t)
	w.populate()
	request := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, data(12)...)
	for slot := range uint32(len(allFamilies)) {
		for _, payload := range [][]byte{nil, {0x40}, {0x40, 0, 0, 0}, channelData(0x4001, data(50)), request} {
			in := fromPeer(w.flows[slot], payload)
			if got := w.reasonFor(in.frame()); got != RelayedToClient {
				t.Errorf("slot %d: %x: %v", slot, payload, got)
			}
		}
	}
}
