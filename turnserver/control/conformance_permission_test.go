package control

import (
	"fmt"
	"testing"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

func TestCreatePermission(t *testing.T) {
	t.Run("P1 three peers", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		q.want(0, stun.MethodCreatePermission, peerAt("1.2.3.4:1"), peerAt("1.2.3.5:0"), peerAt("1.2.3.6:65535"))
		for _, from := range []string{"1.2.3.4:7", "1.2.3.5:8", "1.2.3.6:9", "1.2.3.6:10"} {
			q.fromPeer(relayed, from, "hi")
			q.wantIndication(from, "hi")
			q.sendTo(from, "ho")
			q.wantAtPeer(relayed, from, "ho")
		}
		q.fromPeer(relayed, "1.2.3.7:7", "hi")
		q.wantSilence()
	})
	for _, c := range []struct {
		name string
		code int
		why  Reason
		peer []stun.Setter
	}{
		{"P2 no peer", 400, NoPeer, nil},
		{"P2 a peer of no bytes", 400, NoPeer, []stun.Setter{attr(stun.AttrXORPeerAddress)}},
		{"P2 a peer of 4 bytes", 400, NoPeer, []stun.Setter{attr(stun.AttrXORPeerAddress, 0, 1, 2, 3)}},
		{"P2 a peer of no family", 400, NoPeer, []stun.Setter{attr(stun.AttrXORPeerAddress, 0, 3, 1, 1, 1, 1, 1, 1)}},
		{"P2 a peer of another length than its family", 400, NoPeer, []stun.Setter{attr(stun.AttrXORPeerAddress, 0, 2, 1, 1, 1, 1, 1, 1)}},
		{"P2 a good peer and a malformed one", 400, NoPeer, []stun.Setter{peerAt(peerA), attr(stun.AttrXORPeerAddress, 0)}},
		{"P3 a peer of the other family", 443, FamilyMismatch, []stun.Setter{peerAt(peer6)}},
		{"P3 a good peer and one of the other family", 443, FamilyMismatch, []stun.Setter{peerAt(peerA), peerAt(peer6)}},
		{"P4 a forbidden peer", 403, PeerDeniedLoopback, []stun.Setter{peerAt("127.0.0.1:1")}},
		{"P5 the last of three is forbidden", 403, PeerDeniedPrivate, []stun.Setter{peerAt(peerA), peerAt(peerB), peerAt("10.1.1.1:1")}},
		{"P5 the first of three is forbidden", 403, PeerDeniedPrivate, []stun.Setter{peerAt("10.1.1.1:1"), peerAt(peerA), peerAt(peerB)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			q.allocate()
			if got := q.want(c.code, stun.MethodCreatePermission, c.peer...); got.Reason != c.why {
				t.Errorf("reason %v", got.Reason)
			}
			if left := q.server.allocations[q.from.FiveTuple].Permissions(q.now()); len(left) > 0 {
				t.Errorf("%v are permitted", left)
			}
			q.wantDrop(relay.DropNoPermission, func() relay.Verdict { return q.sendTo(peerA, "x") }) // SEC-03
		})
	}
	t.Run("P3 an IPv4 peer of an IPv6 allocation", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate(family(2))
		q.want(443, stun.MethodCreatePermission, peerAt(peerA))
		q.want(0, stun.MethodCreatePermission, peerAt(peer6))
	})
}

func TestPermissionLifetime(t *testing.T) {
	relays := func(q *client) bool {
		return q.sendTo(peerA, "x") == relay.Relayed
	}
	t.Run("P6 299 and 300 s", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		q.want(0, stun.MethodCreatePermission, peerAt(peerA))
		q.wait(299 * time.Second)
		if !relays(q) {
			t.Error("lapsed early")
		}
		q.wait(time.Second)
		if relays(q) {
			t.Error("lasted longer than 300 s")
		}
	})
	t.Run("P6 data does not prolong it", func(t *testing.T) { // RFC 8656 §9
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		q.want(0, stun.MethodCreatePermission, peerAt(peerA))
		for range 299 {
			q.wait(time.Second)
			q.sendTo(peerA, "x")
			q.fromPeer(relayed, peerA, "x")
		}
		q.wait(2 * time.Second)
		if relays(q) {
			t.Error("data kept it alive")
		}
	})
	t.Run("P6 a request prolongs it", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		q.want(0, stun.MethodCreatePermission, peerAt(peerA))
		q.wait(299 * time.Second)
		q.want(0, stun.MethodCreatePermission, peerAt(peerA))
		q.wait(299 * time.Second)
		if !relays(q) {
			t.Error("lapsed 299 s after it was renewed")
		}
		q.wait(time.Second)
		if relays(q) {
			t.Error("lasted longer than 300 s")
		}
		q.want(0, stun.MethodRefresh)
		if relays(q) {
			t.Error("Refresh renewed it")
		}
		q.want(0, stun.MethodCreatePermission, peerAt(peerA))
		if !relays(q) {
			t.Error("it could not be had again")
		}
	})
}

func TestPermissionCap(t *testing.T) {
	t.Run("P7 SEC-34 more than the cap", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		for i := range 100 { // 100 peers by 100 requests each
			var peers []stun.Setter
			for j := range 100 {
				peers = append(peers, peerAt(fmt.Sprintf("1.2.%d.%d:1", i, j)))
			}
			code := 508
			if i == 0 {
				code = 0
			}
			q.want(code, stun.MethodCreatePermission, peers...)
		}
		permissions := func() int { return len(q.server.allocations[q.from.FiveTuple].Permissions(q.now())) }
		if permissions() != 100 {
			t.Fatalf("%d permissions", permissions())
		}
		for i := range 28 {
			q.want(0, stun.MethodCreatePermission, peerAt(fmt.Sprintf("1.2.200.%d:1", i)))
		}
		if got := q.want(508, stun.MethodCreatePermission, peerAt(peerA)); got.Reason != TooManyPermissions {
			t.Errorf("reason %v", got.Reason)
		}
		q.want(0, stun.MethodCreatePermission, peerAt("1.2.0.7:1"), peerAt("1.2.0.7:2")) // renewing goes on
		q.want(508, stun.MethodChannelBind, channel(0x4000), peerAt(peerA))
		q.wait(PermissionLifetime)
		q.want(0, stun.MethodCreatePermission, peerAt(peerA))
		if permissions() != 1 {
			t.Errorf("%d permissions after all lapsed and one was made", permissions())
		}
	})
	t.Run("P7 a channel's permission counts when it is renewed", func(t *testing.T) {
		q := newRig(t, func(c *Config) { c.Quota.Permissions = 2 }).login(alice, "alice")
		q.allocate()
		q.want(0, stun.MethodChannelBind, channel(0x4000), peerAt(peerA))
		q.wait(PermissionLifetime)
		q.want(0, stun.MethodCreatePermission, peerAt("1.2.3.7:1"), peerAt("1.2.3.8:1"))
		q.want(508, stun.MethodChannelBind, channel(0x4000), peerAt(peerA))
	})
	t.Run("P7 no cap", func(t *testing.T) {
		q := newRig(t, func(c *Config) { c.Quota = Quota{} }).login(alice, "alice")
		q.allocate()
		for i := range 300 {
			q.want(0, stun.MethodChannelBind, channel(uint16(0x4000+i)), peerAt(fmt.Sprintf("1.2.%d.%d:1", i/256, i%256)))
		}
	})
}
