package control

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/stun/v3"
)

// What FuzzHandle does with its input, as bits.
const (
	fuzzSigned   = 1 << iota // make it a request of alice's, with right integrity
	fuzzFresh                // from a five-tuple that has no allocation
	fuzzTCP                  // from a stream
	fuzzSHA256               // with MESSAGE-INTEGRITY-SHA256
	fuzzFinger               // with FINGERPRINT
	fuzzDraining             // while the server drains
)

// FuzzHandle holds Handle to these properties, for arbitrary bytes and for requests
// of a user with arbitrary attributes: it does not panic; what it answers pion can
// read and is as every reply must be; strangers change nothing and get little; what
// users do leaves the books in order.
func FuzzHandle(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(byte(0), seed)
		f.Add(byte(fuzzSigned), seed)
		f.Add(byte(fuzzSigned|fuzzFresh|fuzzFinger), seed)
		f.Add(byte(fuzzSigned|fuzzFresh|fuzzTCP|fuzzSHA256), seed)
	}
	f.Fuzz(func(t *testing.T, mode byte, data []byte) {
		if len(data) > 32<<10 {
			t.Skip("longer than any frame")
		}
		r := newRig(t, func(c *Config) { c.MinPort, c.MaxPort, c.LegacyChannels = 50000, 50007, mode&fuzzSHA256 != 0 })
		q := r.login(alice, "alice")
		q.allocate()
		q.bind(0, 0x4000, peerA)
		q.want(0, stun.MethodCreatePermission, peerAt(peerB))
		if mode&fuzzFresh != 0 {
			q = r.login(bob, "alice")
		}
		if mode&fuzzTCP != 0 {
			q, _ = r.dialTCP(bob)
			q.as("alice")
		}
		if mode&fuzzDraining != 0 {
			r.server.Drain()
		}
		if mode&fuzzSigned == 0 {
			fuzzStranger(q, data)
		} else if len(data) >= 20 {
			fuzzUser(q, mode, data)
		}
		r.checkBooks()
	})
}

// fuzzStranger hands arbitrary bytes to the server.
func fuzzStranger(q *client, data []byte) {
	before := q.state()
	got := q.exchange(data)
	if after := q.state(); after != before {
		q.Fatalf("a stranger changed\n%s\nto\n%s", before, after)
	}
	if got == nil {
		return
	}
	if got.signed || got.User != "" {
		q.Fatal("a stranger was taken for a user")
	}
	if bound := max(72, len(data)+16) + 8; len(got.Reply) > bound {
		q.Fatalf("a stranger got %d bytes for %d", len(got.Reply), len(data))
	}
}

// fuzzUser makes a request of arbitrary bytes, signs it, and sends it twice.
func fuzzUser(q *client, mode byte, data []byte) {
	m := q.repair(data)
	if mode&fuzzSHA256 != 0 {
		q.exchange(q.signSHA256(q.credentials(m).Raw, 32))
		return
	}
	q.fingerprint = mode&fuzzFinger != 0
	msg := q.finish(m)
	first := q.exchange(msg)
	if second := q.exchange(msg); first != nil && first.code == 0 && !bytes.Equal(first.Reply, second.Reply) {
		q.Fatalf("G10: answered first with\n%v, then with\n%v", first.Message, second.Message)
	}
}

// fuzzSeeds are good requests, and some that are not.
func fuzzSeeds(f *testing.F) (seeds [][]byte) {
	r := newRig(f, nil)
	q := r.dial(alice)
	for _, c := range onAllocation {
		seeds = append(seeds, q.build(c.method, c.setters...))
	}
	all := [][]stun.Setter{
		{requestUDP},
		{requestUDP, evenPort(0x80)},
		{requestUDP, evenPort(0), additionalFamily(2), lifetime(1200)},
		{requestUDP, noToken},
		{requestUDP, family(2), attr(stun.AttrDontFragment)},
		{peerAt(peerA), peerAt("127.0.0.1:1"), peerAt(peer6)},
		{channel(0x7FFF), peerAt(peerB)},
		{attr(0x7F01), attr(0xFF01, 1, 2, 3)},
	}
	for _, setters := range all {
		for _, method := range []stun.Method{stun.MethodBinding, stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
			seeds = append(seeds, q.build(method, setters...))
		}
	}
	return append(seeds, strangers(r)...)
}

// repair makes arbitrary bytes the attributes of a request with credentials, not
// signed yet. What overruns is cut.
func (c *client) repair(data []byte) *stun.Message {
	kind := new(stun.MessageType)
	kind.ReadValue(binary.BigEndian.Uint16(data))
	m := c.begin(kind.Method)
	for data = data[20:]; len(data) >= 4; {
		t, n := stun.AttrType(binary.BigEndian.Uint16(data)), int(binary.BigEndian.Uint16(data[2:]))
		data = data[4:]
		n = min(n, len(data))
		if !slices.Contains(claims, t) {
			m.Add(t, data[:n])
		}
		data = data[min((n+3)&^3, len(data)):]
	}
	return m
}

// claims are the attributes that are the client's own.
var claims = []stun.AttrType{
	stun.AttrUsername, stun.AttrRealm, stun.AttrNonce, stun.AttrMessageIntegrity, stun.AttrMessageIntegritySHA256,
	stun.AttrFingerprint,
}

// state describes everything that a request could change.
func (r *rig) state() string {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintln(s.users, s.addresses, s.reserved, len(s.reservations), len(s.answered), len(r.told()), len(r.sockets))
	for ft, a := range s.allocations {
		permissions := a.Permissions(r.now())
		slices.SortFunc(permissions, func(a, b netip.Addr) int { return a.Compare(b) })
		text += fmt.Sprintln(ft, a.user, a.Expires(), permissions, a.Flows(r.now()))
	}
	return text
}
