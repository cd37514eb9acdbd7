package control

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"testing"

	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

func TestBinding(t *testing.T) {
	for _, c := range []struct{ name, client string }{
		{"S1 Binding over IPv4", alice},
		{"S2 Binding over IPv6", alice6},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, nil).dial(c.client)
			m := q.begin(stun.MethodBinding)
			got := q.exchange(m.Raw)
			if got == nil || got.code != 0 || got.address(stun.AttrXORMappedAddress).String() != c.client {
				t.Fatalf("got %v", got)
			}
			want := peer(netip.MustParseAddrPort(c.client)).encode(m)
			if value := got.value(stun.AttrXORMappedAddress); !bytes.Equal(value, want) {
				t.Errorf("XOR-MAPPED-ADDRESS is %x, want %x", value, want)
			}
			if len(got.Attributes) != 1 {
				t.Errorf("the reply has %v", got.Attributes)
			}
			if stats := q.server.Stats(); stats.Bindings != 1 {
				t.Errorf("%d Bindings were counted", stats.Bindings)
			}
		})
	}
}

// What the listening sockets answer in place must be what the control plane answers.
func TestBindingInPlaceIsTheSame(t *testing.T) {
	r := newRig(t, nil)
	for _, addr := range []string{alice, alice6} {
		for _, fingerprint := range []bool{false, true} {
			q := r.dial(addr)
			q.fingerprint = fingerprint
			msg := q.build(stun.MethodBinding)
			inPlace := make([]byte, wire.MaxBindingResponseLen)
			inPlace = inPlace[:wire.AnswerBinding(inPlace, msg, q.from.Client)]
			if got := q.exchange(msg); !bytes.Equal(got.Reply, inPlace) {
				t.Errorf("%x here, %x in place", got.Reply, inPlace)
			}
		}
	}
}

// mutate returns a change of a message's bytes.
func mutate(change func(p []byte)) func([]byte) []byte {
	return func(p []byte) []byte { change(p); return p }
}

func TestSilence(t *testing.T) {
	class := func(c stun.MessageClass) func([]byte) []byte {
		return mutate(func(p []byte) {
			kind := stun.NewType(stun.MethodBinding, c)
			binary.BigEndian.PutUint16(p, kind.Value())
		})
	}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
	}{
		{"S5 the top two bits are set", mutate(func(p []byte) { p[0] |= 0xC0 })},
		{"S5 one of the top bits is set", mutate(func(p []byte) { p[0] |= 0x80 })},
		{"S6 another magic cookie", mutate(func(p []byte) { p[7] ^= 1 })},
		{"S7 a length beyond the datagram", mutate(func(p []byte) { p[3] += 4 })},
		{"S7 a length that is no multiple of four", func(p []byte) []byte { p[3] += 2; return append(p, 0, 0) }},
		{"S7 an attribute that overruns the message", mutate(func(p []byte) { p[23] += 8 })},
		{"S7 half an attribute header", func(p []byte) []byte { p[3] = 2; return p[:22] }},
		{"S7 half a header", func(p []byte) []byte { return p[:19] }},
		{"S8 stray bytes at the end", func(p []byte) []byte { return append(p, make([]byte, 8)...) }},
		{"S11 a Binding indication", class(stun.ClassIndication)},
		{"S11 a success response", class(stun.ClassSuccessResponse)},
		{"S11 an error response", class(stun.ClassErrorResponse)},
		{"S11 an unknown method", mutate(func(p []byte) { p[1] = 0x0E })},
		{"S11 the method of Data indications", mutate(func(p []byte) { p[1] = byte(stun.MethodData) })},
		{"S12 a wrong FINGERPRINT", func(p []byte) []byte { return appendAttr(p, stun.AttrFingerprint, 1, 2, 3, 4) }},
		{"S12 a FINGERPRINT that is not last", func(p []byte) []byte {
			m := &stun.Message{Raw: p}
			_ = m.Decode()
			_ = stun.Fingerprint.AddTo(m)
			return appendAttr(m.Raw, stun.AttrSoftware, 'x')
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, nil).dial(alice)
			msg := q.build(stun.MethodBinding, attr(stun.AttrSoftware, 'o', 'k'))
			if q.exchange(msg) == nil {
				t.Fatal("the message was not answered even before it was spoiled")
			}
			if got := q.exchange(c.change(msg)); got != nil {
				t.Errorf("was answered: %v", got.Message)
			}
		})
	}
}

func TestUnknownAttributes(t *testing.T) {
	two := []stun.Setter{attr(0x7F01), attr(0x7F02, 1, 2, 3)}
	for _, c := range []struct {
		name   string
		client func(*rig) *client
		method stun.Method
	}{
		{"S9 required, in a Binding request", func(r *rig) *client { return r.dial(alice) }, stun.MethodBinding},
		{"S9 required, in an authenticated request", func(r *rig) *client { return r.login(alice, "alice") }, stun.MethodRefresh},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.client(newRig(t, nil)).want(420, c.method, two...)
			if list := got.value(stun.AttrUnknownAttributes); !bytes.Equal(list, []byte{0x7F, 1, 0x7F, 2}) {
				t.Errorf("UNKNOWN-ATTRIBUTES is %x", list)
			}
		})
	}
	t.Run("S10 optional", func(t *testing.T) {
		r := newRig(t, nil)
		r.dial(alice).want(0, stun.MethodBinding, attr(0xFF01, 1))
		r.login(alice, "alice").allocate(attr(0xFF01, 1))
	})
}

func TestFingerprint(t *testing.T) { // what makes it right is checked for every reply
	t.Run("S13 FINGERPRINT is right and last", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.fingerprint = true
		anonymous := *q
		anonymous.username = ""
		for name, got := range map[string]*reply{
			"Binding":   anonymous.do(stun.MethodBinding),
			"challenge": anonymous.want(401, stun.MethodAllocate, requestUDP),
			"success":   q.want(0, stun.MethodAllocate, requestUDP),
			"error":     q.want(437, stun.MethodAllocate, requestUDP),
		} {
			if !got.has(stun.AttrFingerprint) {
				t.Errorf("%s: no FINGERPRINT", name)
			}
		}
	})
}

// S14: attributes after the integrity attribute could be anyone's (RFC 8489 §14.5).
func TestAttributesAfterIntegrity(t *testing.T) {
	signed := map[string]func(*client, stun.Method, ...stun.Setter) []byte{
		"MESSAGE-INTEGRITY":        (*client).build,
		"MESSAGE-INTEGRITY-SHA256": (*client).buildSHA256,
	}
	for name, build := range signed {
		t.Run("S14 LIFETIME 0 after "+name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			relayed := q.allocate()
			got := q.exchange(appendAttr(build(q, stun.MethodRefresh), stun.AttrLifetime, 0, 0, 0, 0))
			if got.code != 0 || got.lifetime() != 600 || q.socketAt(relayed) == nil {
				t.Fatalf("the allocation was ended: %v", got.Message)
			}
		})
		t.Run("S14 XOR-PEER-ADDRESS after "+name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			q.allocate()
			m := q.begin(stun.MethodCreatePermission, peerAt(peerA))
			msg := build(q, stun.MethodCreatePermission, stun.NewTransactionIDSetter(m.TransactionID), peerAt(peerA))
			got := q.exchange(appendAttr(msg, stun.AttrXORPeerAddress, peer(netip.MustParseAddrPort(peerB)).encode(m)...))
			permissions := q.server.allocations[q.from.FiveTuple].Permissions(q.now())
			if got.code != 0 || len(permissions) != 1 || permissions[0] != netip.MustParseAddrPort(peerA).Addr() {
				t.Fatalf("code %d, permitted %v", got.code, permissions)
			}
		})
		t.Run("S14 an unknown attribute after "+name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			q.allocate()
			if got := q.exchange(appendAttr(build(q, stun.MethodRefresh), 0x7F01)); got.code != 0 {
				t.Fatalf("code %d", got.code)
			}
		})
	}
}

func TestDuplicateAttributes(t *testing.T) { // RFC 8489 §14
	t.Run("S15 the first XOR-PEER-ADDRESS counts", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		q.want(0, stun.MethodChannelBind, channel(0x4000), peerAt(peerA), peerAt(peerB))
		bound, _ := q.server.allocations[q.from.FiveTuple].Bound(q.now(), 0x4000)
		if bound.String() != peerA {
			t.Errorf("bound to %v", bound)
		}
	})
	t.Run("S15 the first CHANNEL-NUMBER counts", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		q.want(0, stun.MethodChannelBind, channel(0x4000), channel(0x4001), peerAt(peerA))
		if n, _ := q.server.allocations[q.from.FiveTuple].ChannelOf(q.now(), netip.MustParseAddrPort(peerA)); n != 0x4000 {
			t.Errorf("channel %#x", n)
		}
	})
	t.Run("S15 the first LIFETIME counts", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		if got := q.want(0, stun.MethodRefresh, lifetime(700), lifetime(0)); got.lifetime() != 700 {
			t.Errorf("lifetime %d", got.lifetime())
		}
	})
}

func TestReservedOctet(t *testing.T) {
	t.Run("S16 the first octet of XOR-PEER-ADDRESS", func(t *testing.T) { // RFC 8489 §14.1
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		m := q.begin(stun.MethodCreatePermission)
		value := peer(netip.MustParseAddrPort(peerA)).encode(m)
		value[0] = 0xFF
		m.Add(stun.AttrXORPeerAddress, value)
		if got := q.exchange(q.finish(m)); got.code != 0 {
			t.Errorf("code %d", got.code)
		}
	})
}

// refusals make the server refuse an authenticated request in every way there is.
var refusals = map[int]func(*rig) *reply{
	400: func(r *rig) *reply { return r.login(alice, "alice").do(stun.MethodAllocate) },
	403: func(r *rig) *reply {
		q := r.login(alice, "alice")
		q.allocate()
		return q.do(stun.MethodCreatePermission, peerAt("127.0.0.1:1"))
	},
	420: func(r *rig) *reply { return r.login(alice, "alice").do(stun.MethodAllocate, requestUDP, attr(0x7F01)) },
	437: func(r *rig) *reply { return r.login(alice, "alice").do(stun.MethodRefresh) },
	440: func(r *rig) *reply { return r.login(alice, "alice").do(stun.MethodAllocate, requestUDP, family(3)) },
	441: func(r *rig) *reply {
		r.login(alice, "alice").allocate()
		return r.login(alice, "bob").do(stun.MethodRefresh)
	},
	442: func(r *rig) *reply {
		return r.login(alice, "alice").do(stun.MethodAllocate, attr(stun.AttrRequestedTransport, 1, 0, 0, 0))
	},
	443: func(r *rig) *reply {
		q := r.login(alice, "alice")
		q.allocate()
		return q.do(stun.MethodCreatePermission, peerAt(peer6))
	},
	486: func(r *rig) *reply {
		r.server.SetQuota(Quota{PerUser: 1})
		r.login(alice, "alice").allocate()
		return r.login(bob, "alice").do(stun.MethodAllocate, requestUDP)
	},
	508: func(r *rig) *reply {
		r.server.Drain()
		return r.login(alice, "alice").do(stun.MethodAllocate, requestUDP)
	},
}

func TestErrorReplies(t *testing.T) {
	for code, refuse := range refusals {
		t.Run("S19 A10 code "+strconv.Itoa(code), func(t *testing.T) {
			got := refuse(newRig(t, nil)) // S19 is checked for every reply
			if got.code != code || !got.signed {
				t.Fatalf("code %d, want %d; MESSAGE-INTEGRITY %v", got.code, code, got.signed)
			}
			phrase := got.value(stun.AttrErrorCode)[4:]
			if string(phrase) != got.Reason.String() || got.Reason.String() == "unknown" {
				t.Errorf("the phrase is %q, the reason %v", phrase, got.Reason)
			}
		})
	}
}
