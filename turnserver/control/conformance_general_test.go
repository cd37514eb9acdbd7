package control

import (
	"bytes"
	"testing"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// onAllocation are the requests that need an allocation.
var onAllocation = []struct {
	name    string
	method  stun.Method
	setters []stun.Setter
}{
	{"Refresh", stun.MethodRefresh, nil},
	{"Refresh 0", stun.MethodRefresh, []stun.Setter{lifetime(0)}},
	{"CreatePermission", stun.MethodCreatePermission, []stun.Setter{peerAt(peerA)}},
	{"ChannelBind", stun.MethodChannelBind, []stun.Setter{channel(0x4000), peerAt(peerA)}},
}

func TestOtherUser(t *testing.T) { // SEC-18
	for _, c := range onAllocation {
		t.Run("G1 another user's "+c.name, func(t *testing.T) {
			r := newRig(t, nil)
			relayed := r.login(alice, "alice").allocate()
			a := r.server.allocations[r.dial(alice).from.FiveTuple]
			r.wait(time.Minute)
			ends := a.Expires()
			if got := r.login(alice, "bob").want(441, c.method, c.setters...); got.Reason != OtherUser {
				t.Errorf("reason %v", got.Reason)
			}
			if r.socketAt(relayed) == nil || a.Expires() != ends || len(a.Permissions(r.now()))+len(a.Flows(r.now())) > 0 {
				t.Error("the allocation was touched")
			}
		})
	}
	t.Run("G1 another user's Allocate", func(t *testing.T) { // 437: step 2 of §7.2 does not ask who
		r := newRig(t, nil)
		r.login(alice, "alice").allocate()
		r.login(alice, "bob").want(437, stun.MethodAllocate, requestUDP)
	})
	t.Run("G1 another user's Allocate with the same transaction", func(t *testing.T) {
		r := newRig(t, nil)
		q, other := r.login(alice, "alice"), r.login(alice, "bob")
		m := q.begin(stun.MethodAllocate, requestUDP)
		again := &stun.Message{Raw: bytes.Clone(m.Raw)}
		q.add(again, stun.NewTransactionIDSetter(m.TransactionID))
		if err := again.Decode(); err != nil {
			t.Fatal(err)
		}
		q.exchange(q.finish(m))
		if got := other.exchange(other.finish(again)); got.code != 437 {
			t.Errorf("bob was answered %d with alice's allocation", got.code)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	ids := map[string]string{"Refresh": "G2 ", "Refresh 0": "G2 ", "CreatePermission": "G3 ", "ChannelBind": "G4 "}
	for _, c := range onAllocation {
		t.Run(ids[c.name]+c.name, func(t *testing.T) {
			if got := newRig(t, nil).login(alice, "alice").want(437, c.method, c.setters...); got.Reason != NoAllocation {
				t.Errorf("reason %v", got.Reason)
			}
		})
	}
	t.Run("G5 Send indication", func(t *testing.T) {
		q := newRig(t, nil).dial(alice)
		q.wantDrop(relay.DropNoAllocation, func() relay.Verdict { return q.sendTo(peerA, "x") })
		q.wantSilence()
	})
	t.Run("G5 ChannelData", func(t *testing.T) {
		q := newRig(t, nil).dial(alice)
		q.wantDrop(relay.DropNoAllocation, func() relay.Verdict { return q.sendChannel(0x4000, "x", 0) })
		q.wantSilence()
	})
	for _, c := range onAllocation {
		t.Run("G6 without credentials: "+c.name, func(t *testing.T) { // authentication precedes state
			newRig(t, nil).dial(alice).want(401, c.method, c.setters...)
		})
	}
}

func TestSoftware(t *testing.T) {
	q := newRig(t, nil).login(alice, "alice")
	for _, c := range []struct {
		name    string
		code    int
		method  stun.Method
		setters []stun.Setter
		want    bool
	}{
		{"G7 Refresh, failure", 437, stun.MethodRefresh, nil, true},
		{"G7 Allocate, failure", 442, stun.MethodAllocate, []stun.Setter{attr(stun.AttrRequestedTransport, 6, 0, 0, 0)}, true},
		{"G7 Allocate, success", 0, stun.MethodAllocate, []stun.Setter{requestUDP}, true},
		{"G7 Refresh, success", 0, stun.MethodRefresh, nil, true},
		{"G7 not for strangers", 401, stun.MethodAllocate, nil, false}, // SEC-41; the RFC only says SHOULD
	} {
		t.Run(c.name, func(t *testing.T) {
			client := *q
			if !c.want {
				client.username = ""
			}
			got := client.want(c.code, c.method, c.setters...)
			if name := string(got.value(stun.AttrSoftware)); c.want != (name == software) || c.want != got.has(stun.AttrSoftware) {
				t.Errorf("SOFTWARE is %q", name)
			}
		})
	}
	if q.want(0, stun.MethodCreatePermission, peerAt(peerA)).has(stun.AttrSoftware) {
		t.Error("SOFTWARE is where nobody needs it")
	}
	silent := newRig(t, func(c *Config) { c.Software = "" }).login(alice, "alice")
	if silent.want(0, stun.MethodAllocate, requestUDP).has(stun.AttrSoftware) {
		t.Error("an empty SOFTWARE was sent")
	}
}

func TestFingerprintIsReturned(t *testing.T) { // checked for every reply; here all kinds of it have one
	q := newRig(t, nil).login(alice, "alice")
	q.fingerprint = true
	for _, c := range []struct {
		name    string
		code    int
		method  stun.Method
		setters []stun.Setter
	}{
		{"G8 Binding", 0, stun.MethodBinding, nil},
		{"G8 Allocate", 0, stun.MethodAllocate, []stun.Setter{requestUDP}},
		{"G8 second Allocate", 437, stun.MethodAllocate, []stun.Setter{requestUDP}},
		{"G8 CreatePermission", 0, stun.MethodCreatePermission, []stun.Setter{peerAt(peerA)}},
		{"G8 ChannelBind", 0, stun.MethodChannelBind, []stun.Setter{channel(0x4000), peerAt(peerA)}},
		{"G8 Refresh", 0, stun.MethodRefresh, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := q.do(c.method, c.setters...)
			if got.code != c.code || !got.has(stun.AttrFingerprint) {
				t.Errorf("code %d, attributes\n%s", got.code, got.shape())
			}
		})
	}
}

// A request that comes twice is answered alike, and done once (RFC 8656 §5).
func TestRetransmissions(t *testing.T) {
	again := func(t *testing.T, q *client, msg []byte) *reply {
		t.Helper()
		first, second := q.exchange(msg), q.exchange(msg)
		if first.code != 0 || !bytes.Equal(first.Reply, second.Reply) {
			t.Errorf("answered first with\n%v, then with\n%v", first.Message, second.Message)
		}
		return first
	}
	t.Run("G9 Allocate", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		request := q.build(stun.MethodAllocate, requestUDP, lifetime(700))
		relayed := again(t, q, request).relayed()
		if len(q.told()) != 1 || q.socketAt(relayed) == nil || len(q.sockets) != 1 {
			t.Errorf("events %v, %d sockets", q.told(), len(q.sockets))
		}
	})
	t.Run("G9 Allocate with a reservation", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		if got := again(t, q, q.build(stun.MethodAllocate, requestUDP, evenPort(0x80))); !got.has(stun.AttrReservationToken) {
			t.Error("no RESERVATION-TOKEN")
		}
	})
	t.Run("G9 Allocate while draining", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		request := q.build(stun.MethodAllocate, requestUDP)
		q.exchange(request)
		q.server.Drain()
		again(t, q, request)
	})
	for _, c := range onAllocation {
		t.Run("G10 "+c.name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			q.allocate()
			again(t, q, q.build(c.method, c.setters...))
		})
	}
}

func TestRetransmittedEnd(t *testing.T) {
	t.Run("G10 a retransmitted Refresh 0 spares a newer allocation", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		end := q.build(stun.MethodRefresh, lifetime(0))
		first := q.exchange(end)
		relayed := q.allocate()
		second := q.exchange(end)
		if q.socketAt(relayed) == nil {
			t.Error("the newer allocation was ended")
		}
		if !bytes.Equal(first.Reply, second.Reply) {
			t.Errorf("answered first with\n%v, then with\n%v", first.Message, second.Message)
		}
	})
	t.Run("G10 another transaction ends the newer allocation", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		for range 3 {
			relayed := q.allocate()
			if q.want(0, stun.MethodRefresh, lifetime(0)).lifetime() != 0 || q.socketAt(relayed) != nil {
				t.Fatal("the allocation was not ended")
			}
		}
	})
}

func TestRetransmittedEndIsForgotten(t *testing.T) {
	t.Run("G10 the answer to the last Refresh 0 counts, for its own time", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		var end []byte
		for range 2 {
			q.allocate()
			end = q.build(stun.MethodRefresh, lifetime(0))
			q.exchange(end)
			q.wait(answeredTime - 2*time.Second)
		}
		if got := q.exchange(end); got.code != 0 {
			t.Errorf("code %d", got.code)
		}
	})
	t.Run("G10 another user's Refresh 0 with the same transaction", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		m := q.begin(stun.MethodRefresh, lifetime(0))
		copied := q.begin(stun.MethodRefresh, stun.NewTransactionIDSetter(m.TransactionID), lifetime(0))
		q.exchange(q.finish(m))
		other := q.login(alice, "bob")
		if got := other.exchange(other.finish(copied)); got.code != 437 {
			t.Errorf("bob was answered %d", got.code)
		}
	})
	t.Run("G10 answers are forgotten", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		end := q.build(stun.MethodRefresh, lifetime(0))
		q.exchange(end)
		q.wait(answeredTime - time.Second)
		if got := q.exchange(end); got.code != 0 {
			t.Errorf("code %d while it is remembered", got.code)
		}
		q.wait(2 * time.Second)
		if got := q.exchange(end); got.code != 437 || len(q.server.answered) > 0 {
			t.Errorf("code %d, %d are remembered", got.code, len(q.server.answered))
		}
	})
}
