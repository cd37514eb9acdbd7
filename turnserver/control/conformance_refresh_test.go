package control

import (
	"testing"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

func TestRefresh(t *testing.T) {
	for _, c := range []struct {
		name    string
		setters []stun.Setter
		want    int
	}{
		{"R1 without LIFETIME", nil, 600},
		{"R1 with the allocation's family", []stun.Setter{family(1)}, 600},
		{"R3 LIFETIME 5", []stun.Setter{lifetime(5)}, 600},
		{"R3 LIFETIME 1200", []stun.Setter{lifetime(1200)}, 1200},
		{"R3 LIFETIME 86400", []stun.Setter{lifetime(86400)}, 3600},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			relayed := q.allocate(lifetime(3600))
			q.wait(500 * time.Second)
			if got := q.want(0, stun.MethodRefresh, c.setters...); got.lifetime() != c.want {
				t.Errorf("lifetime %d", got.lifetime())
			}
			q.wait(time.Duration(c.want)*time.Second - time.Millisecond)
			if q.socketAt(relayed) == nil {
				t.Fatal("ended early")
			}
			q.wait(time.Second + time.Millisecond)
			if q.socketAt(relayed) != nil {
				t.Error("outlived its lifetime")
			}
		})
	}
}

func TestRefreshEnds(t *testing.T) {
	t.Run("R2 LIFETIME 0", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		if got := q.want(0, stun.MethodRefresh, lifetime(0)); got.lifetime() != 0 || q.socketAt(relayed) != nil {
			t.Errorf("lifetime %d, socket %v", got.lifetime(), q.socketAt(relayed))
		}
		q.want(437, stun.MethodCreatePermission, peerAt(peerA))
		if events := q.told(); len(events) != 2 || events[1].End != EndRefresh {
			t.Errorf("told %+v", events)
		}
	})
	for _, c := range []struct {
		name         string
		of, asked    byte
		code, length int
	}{
		{"R4 IPv6 of an IPv4 allocation", 1, 2, 443, 4},
		{"R4 IPv4 of an IPv6 allocation", 2, 1, 443, 4},
		{"R4 a family that is none", 1, 3, 443, 4},
		{"R4 REQUESTED-ADDRESS-FAMILY of 1 byte", 1, 1, 400, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			relayed := q.allocate(family(c.of))
			value := []byte{c.asked, 0, 0, 0}[:c.length]
			q.want(c.code, stun.MethodRefresh, attr(stun.AttrRequestedAddressFamily, value...), lifetime(0))
			if q.socketAt(relayed) == nil {
				t.Error("the allocation was ended")
			}
		})
	}
	t.Run("R3 LIFETIME of 3 bytes", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		q.want(400, stun.MethodRefresh, attr(stun.AttrLifetime, 0, 0, 0))
		if q.socketAt(relayed) == nil {
			t.Error("the allocation was ended")
		}
	})
}

func TestAllocateAfterRefreshZero(t *testing.T) {
	t.Run("R5 ten thousand times", func(t *testing.T) { // SEC-12: and nothing is inherited
		q := newRig(t, nil).login(alice, "alice")
		for i := range 10_000 {
			if i%500 == 0 {
				q.as("alice") // nonces last 600 s
			}
			relayed := q.allocate()
			q.wantDrop(relay.DropNoChannel, func() relay.Verdict { return q.sendChannel(0x4000, "old", 0) })
			q.want(0, stun.MethodChannelBind, channel(0x4000), peerAt(peerA))
			q.wait(time.Second)
			q.sendChannel(0x4000, "alive", 0)
			q.wantAtPeer(relayed, peerA, "alive")
			q.want(0, stun.MethodRefresh, lifetime(0))
		}
		if len(q.server.answered) != 1 {
			t.Errorf("%d answers are remembered for one five-tuple", len(q.server.answered))
		}
	})
}
