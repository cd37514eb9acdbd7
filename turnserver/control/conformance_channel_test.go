package control

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// bound returns a client whose channel 0x4000 is bound to peerA.
func bound(t *testing.T) *client {
	t.Helper()
	q := newRig(t, nil).login(alice, "alice")
	q.allocate()
	q.want(0, stun.MethodChannelBind, channel(0x4000), peerAt(peerA))
	return q
}

// bind binds a channel, or must be refused with a code.
func (c *client) bind(code int, number uint16, to string) *reply {
	c.Helper()
	return c.want(code, stun.MethodChannelBind, channel(number), peerAt(to))
}

func TestChannelBind(t *testing.T) {
	t.Run("C1 data flows both ways", func(t *testing.T) {
		q := bound(t)
		relayed := q.relayedOf().Relayed
		q.sendChannel(0x4000, "out", 0)
		q.wantAtPeer(relayed, peerA, "out")
		q.fromPeer(relayed, peerA, "in")
		q.wantFrame(channelData(0x4000, "in", 0))
	})
	t.Run("C1 the permission is for the address", func(t *testing.T) {
		q := bound(t)
		relayed := q.relayedOf().Relayed
		const otherPort = "1.2.3.4:9999"
		q.fromPeer(relayed, otherPort, "in")
		q.wantIndication(otherPort, "in")
		q.sendTo(otherPort, "out")
		q.wantAtPeer(relayed, otherPort, "out")
	})
	for _, c := range []struct {
		name    string
		code    int
		why     Reason
		setters []stun.Setter
	}{
		{"C2 no CHANNEL-NUMBER", 400, BadChannel, []stun.Setter{peerAt(peerA)}},
		{"C2 no XOR-PEER-ADDRESS", 400, NoPeer, []stun.Setter{channel(0x4001)}},
		{"C2 CHANNEL-NUMBER of 2 bytes", 400, BadChannel, []stun.Setter{attr(stun.AttrChannelNumber, 0x40, 1), peerAt(peerA)}},
		{"C2 XOR-PEER-ADDRESS of 7 bytes", 400, NoPeer, []stun.Setter{channel(0x4001), attr(stun.AttrXORPeerAddress, 0, 1, 2, 3, 4, 5, 6)}},
		{"C3 channel 0x3FFF", 400, BadChannel, []stun.Setter{channel(0x3FFF), peerAt(peerB)}},
		{"C3 channel 0x5000", 400, BadChannel, []stun.Setter{channel(0x5000), peerAt(peerB)}},
		{"C3 channel 0x7FFF", 400, BadChannel, []stun.Setter{channel(0x7FFF), peerAt(peerB)}}, // was one in RFC 5766
		{"C3 channel 0x8000", 400, BadChannel, []stun.Setter{channel(0x8000), peerAt(peerB)}},
		{"C3 channel 0", 400, BadChannel, []stun.Setter{channel(0), peerAt(peerB)}},
		{"C4 the number is bound to another peer", 400, ChannelConflict, []stun.Setter{channel(0x4000), peerAt(peerB)}},
		{"C4 the number is bound to another port", 400, ChannelConflict, []stun.Setter{channel(0x4000), peerAt("1.2.3.4:1001")}},
		{"C4 the peer is bound to another number", 400, ChannelConflict, []stun.Setter{channel(0x4001), peerAt(peerA)}},
		{"C6 a forbidden peer", 403, PeerDeniedLoopback, []stun.Setter{channel(0x4001), peerAt("127.0.0.1:1")}},
		{"C6 port 0", 403, PeerDeniedPort, []stun.Setter{channel(0x4001), peerAt("1.2.3.5:0")}},
		{"C7 a peer of the other family", 443, FamilyMismatch, []stun.Setter{channel(0x4001), peerAt(peer6)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := bound(t)
			if got := q.want(c.code, stun.MethodChannelBind, c.setters...); got.Reason != c.why {
				t.Errorf("reason %v", got.Reason)
			}
			a := q.relayedOf()
			if flows := a.Flows(q.now()); len(flows) != 1 || len(a.Permissions(q.now())) != 1 || flows[0].Peer.String() != peerA {
				t.Errorf("bound %v, permitted %v", flows, a.Permissions(q.now()))
			}
		})
	}
	t.Run("C3 the first and the last channel", func(t *testing.T) {
		q := bound(t)
		q.bind(0, 0x4FFF, peerB)
		q.sendChannel(0x4FFF, "out", 0)
		q.wantAtPeer(q.relayedOf().Relayed, peerB, "out")
	})
	t.Run("C3 the channels of RFC 5766, where they are offered", func(t *testing.T) {
		q := newRig(t, func(c *Config) { c.LegacyChannels = true }).login(alice, "alice")
		q.allocate()
		for i, n := range []uint16{0x4000, 0x5000, 0x7FFF} {
			to := fmt.Sprintf("1.2.3.4:%d", i+1)
			q.bind(0, n, to)
			q.sendChannel(n, "out", 0)
			q.wantAtPeer(q.relayedOf().Relayed, to, "out")
		}
		q.bind(400, 0x3FFF, peerB)
		q.bind(400, 0x8000, peerB)
	})
	t.Run("C4 another port of the same peer", func(t *testing.T) {
		q := bound(t)
		q.bind(0, 0x4001, "1.2.3.4:1001")
	})
}

func TestChannelLifetime(t *testing.T) {
	t.Run("C5 one is bound again at 590 s, the other is not", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate(lifetime(3600))
		q.bind(0, 0x4000, peerA)
		q.bind(0, 0x4001, peerB)
		q.wait(590 * time.Second)
		q.bind(0, 0x4000, peerA)
		q.wait(11 * time.Second)
		q.as("alice").want(0, stun.MethodCreatePermission, peerAt(peerA), peerAt(peerB))
		if v := q.sendChannel(0x4000, "x", 0); v != relay.Relayed {
			t.Error("the channel that was bound again is unbound")
		}
		q.wantDrop(relay.DropNoChannel, func() relay.Verdict { return q.sendChannel(0x4001, "x", 0) })
		q.fromPeer(q.relayedOf().Relayed, peerB, "in")
		q.wantIndication(peerB, "in")
		q.bind(0, 0x4001, "1.2.3.6:3000") // number and peer are free again (§12)
		q.bind(0, 0x4002, peerB)
		q.wait(588 * time.Second)
		q.as("alice").want(0, stun.MethodCreatePermission, peerAt(peerA))
		if v := q.sendChannel(0x4000, "x", 0); v != relay.Relayed {
			t.Error("unbound 599 s after it was bound again")
		}
		q.wait(time.Second)
		q.wantDrop(relay.DropNoChannel, func() relay.Verdict { return q.sendChannel(0x4000, "x", 0) })
	})
	t.Run("C5 data and permissions do not prolong it", func(t *testing.T) { // RFC 8656 §12.6
		q := bound(t)
		q.want(0, stun.MethodRefresh, lifetime(3600))
		for range 6 {
			q.wait(99 * time.Second)
			q.want(0, stun.MethodCreatePermission, peerAt(peerA))
			q.sendChannel(0x4000, "x", 0)
		}
		q.wait(6 * time.Second)
		q.wantDrop(relay.DropNoChannel, func() relay.Verdict { return q.sendChannel(0x4000, "x", 0) })
	})
	t.Run("C12 the permission has lapsed, the channel is bound", func(t *testing.T) { // SEC-09
		q := bound(t)
		relayed := q.relayedOf().Relayed
		q.wait(PermissionLifetime)
		q.fromPeer(relayed, peerA, "in")
		q.wantSilence()
		q.wantDrop(relay.DropNoPermission, func() relay.Verdict { return q.sendChannel(0x4000, "x", 0) })
		q.bind(0, 0x4000, peerA)
		q.fromPeer(relayed, peerA, "in")
		q.wantFrame(channelData(0x4000, "in", 0))
	})
}

func TestChannelCap(t *testing.T) {
	t.Run("C1 SEC-34 more channels than the cap", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		for i := range 64 {
			q.bind(0, uint16(0x4000+i), fmt.Sprintf("1.2.3.4:%d", i+1))
		}
		if got := q.bind(508, 0x4100, peerB); got.Reason != TooManyChannels {
			t.Errorf("reason %v", got.Reason)
		}
		q.bind(0, 0x4000, "1.2.3.4:1") // binding again goes on
		if a := q.relayedOf(); a.Permitted(q.now(), addrs("1.2.3.5")[0]) {
			t.Error("the refused request left a permission")
		}
	})
}

func TestChannelData(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet []byte
		why    relay.Drop
	}{
		{"C8 an unbound channel", channelData(0x4001, "x", 0), relay.DropNoChannel},
		{"C8 a payload shorter than Length", channelData(0x4000, "hello", 0)[:8], relay.DropMalformed},
		{"C8 no payload", []byte{0x40, 0, 0, 1}, relay.DropMalformed},
		{"C8 half a header", []byte{0x40, 0, 0}, relay.DropMalformed},
		{"C8 a channel that RFC 8656 reserves", channelData(0x5000, "x", 0), relay.DropNoChannel},
		{"C8 a first byte that no channel has", channelData(0x8000, "x", 0), relay.DropMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := bound(t)
			q.wantDrop(c.why, func() relay.Verdict { return q.send(c.packet) })
			q.wantSilence()
			if sent := q.socketAt(q.relayedOf().Relayed).sent; len(sent) > 0 {
				t.Errorf("sent %v", sent)
			}
		})
	}
	for size := range 5 {
		for padding := range 4 {
			t.Run(fmt.Sprintf("C9 %d bytes and %d of padding", size, padding), func(t *testing.T) {
				q := bound(t)
				data := strings.Repeat("x", size)
				q.sendChannel(0x4000, data, padding)
				q.wantAtPeer(q.relayedOf().Relayed, peerA, data)
			})
		}
	}
	t.Run("C11 to a UDP client", func(t *testing.T) {
		q := bound(t)
		for size := range 5 {
			data := strings.Repeat("x", size)
			q.fromPeer(q.relayedOf().Relayed, peerA, data)
			q.wantFrame(channelData(0x4000, data, 0))
		}
	})
	t.Run("C11 to a TCP client", func(t *testing.T) { // padded to a multiple of four (§12.5)
		r := newRig(t, nil)
		q, frames := r.dialTCP(alice)
		relayed := q.as("alice").allocate()
		q.bind(0, 0x4000, peerA)
		for size := range 5 {
			data := strings.Repeat("x", size)
			q.fromPeer(relayed, peerA, data)
			if want := channelData(0x4000, data, -size&3); len(frames.frames) != size+1 || !bytes.Equal(frames.frames[size], want) {
				t.Errorf("got %x, want %x", frames.frames, want)
			}
		}
	})
}
