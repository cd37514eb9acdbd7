package control

import (
	"errors"
	"testing"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// permitted returns a client with an allocation that permits peerA.
func permitted(t *testing.T) *client {
	t.Helper()
	q := newRig(t, nil).login(alice, "alice")
	q.allocate()
	q.want(0, stun.MethodCreatePermission, peerAt(peerA))
	return q
}

// relayedOf returns the relayed transport address of a client's allocation.
func (c *client) relayedOf() *relay.Allocation { return c.server.config.Table.Lookup(c.from.FiveTuple) }

func TestSend(t *testing.T) {
	for _, data := range []string{"hello", "x", ""} {
		t.Run("D1 with permission: "+data, func(t *testing.T) {
			q := permitted(t)
			if v := q.sendTo(peerA, data); v != relay.Relayed {
				t.Fatalf("verdict %v", v)
			}
			if got := q.wantAtPeer(q.relayedOf().Relayed, peerA, data); got.dontFragment {
				t.Error("DF was asked for")
			}
			q.wantSilence()
		})
	}
	message := func(q *client, setters ...stun.Setter) []byte {
		m, err := stun.Build(append([]stun.Setter{stun.NewType(stun.MethodSend, stun.ClassIndication), stun.TransactionID}, setters...)...)
		if err != nil {
			q.Fatal(err)
		}
		return m.Raw
	}
	data := attr(stun.AttrData, 'x')
	for _, c := range []struct {
		name    string
		why     relay.Drop
		setters []stun.Setter
	}{
		{"D2 without permission", relay.DropNoPermission, []stun.Setter{peerAt(peerB), data}},
		{"D2 without DATA", relay.DropMalformed, []stun.Setter{peerAt(peerA)}},
		{"D2 without XOR-PEER-ADDRESS", relay.DropMalformed, []stun.Setter{data}},
		{"D2 with a malformed XOR-PEER-ADDRESS", relay.DropMalformed, []stun.Setter{attr(stun.AttrXORPeerAddress, 0, 1), data}},
		{"D2 to port 0", relay.DropPeerDenied, []stun.Setter{peerAt("1.2.3.4:0"), data}},
		{"D4 with an unknown required attribute", relay.DropMalformed, []stun.Setter{peerAt(peerA), data, attr(0x7F01)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := permitted(t)
			q.wantDrop(c.why, func() relay.Verdict { return q.send(message(q, c.setters...)) })
			q.wantSilence()
			if sent := q.socketAt(q.relayedOf().Relayed).sent; len(sent) > 0 {
				t.Errorf("sent %v", sent)
			}
		})
	}
	t.Run("D4 with an unknown optional attribute", func(t *testing.T) {
		q := permitted(t)
		q.send(message(q, peerAt(peerA), data, attr(0xFF01)))
		q.wantAtPeer(q.relayedOf().Relayed, peerA, "x")
	})
	t.Run("D3 with DONT-FRAGMENT", func(t *testing.T) {
		q := permitted(t)
		q.sendTo(peerA, "df", attr(stun.AttrDontFragment))
		if got := q.wantAtPeer(q.relayedOf().Relayed, peerA, "df"); !got.dontFragment {
			t.Error("DF was not asked for")
		}
		q.socketAt(q.relayedOf().Relayed).dontFragment = errors.ErrUnsupported
		q.wantDrop(relay.DropDontFragment, func() relay.Verdict { return q.sendTo(peerA, "df", attr(stun.AttrDontFragment)) })
	})
}

func TestData(t *testing.T) {
	for _, data := range []string{"hello", "x", ""} {
		t.Run("D5 from a permitted peer: "+data, func(t *testing.T) {
			q := permitted(t)
			q.fromPeer(q.relayedOf().Relayed, peerA, data)
			q.wantIndication(peerA, data)
		})
	}
	t.Run("D5 from another peer", func(t *testing.T) {
		q := permitted(t)
		q.fromPeer(q.relayedOf().Relayed, peerB, "x")
		q.wantSilence()
		if q.dropped(relay.DropNoPermission) != 1 {
			t.Error("the drop was not counted")
		}
	})
	t.Run("D5 over IPv6", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate(family(2))
		q.want(0, stun.MethodCreatePermission, peerAt(peer6))
		q.fromPeer(relayed, peer6, "six")
		q.wantIndication(peer6, "six")
		q.sendTo(peer6, "six")
		q.wantAtPeer(relayed, peer6, "six")
	})
}
