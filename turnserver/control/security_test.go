package control

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// families are a client with an IPv4 allocation and one with an IPv6 allocation.
func families(r *rig) []*client {
	four, six := r.login(alice, "alice"), r.login(alice6, "bob")
	four.allocate()
	six.allocate(family(2))
	return []*client{four, six}
}

// wantDenied checks that a peer, as it stands, gets no permission, no channel and no
// data from an allocation.
func (c *client) wantDenied(at netip.AddrPort, why Reason) {
	c.Helper()
	a := c.relayedOf()
	code := 403
	if at.Addr().Is4() != a.Relayed.Addr().Is4() {
		code, why = 443, FamilyMismatch
	}
	if got := c.want(code, stun.MethodCreatePermission, peer(at)); why != None && got.Reason != why {
		c.Errorf("CreatePermission for %v on %v: %v, want %v", at, a.Relayed, got.Reason, why)
	}
	if got := c.want(code, stun.MethodChannelBind, channel(0x4000), peer(at)); why != None && got.Reason != why {
		c.Errorf("ChannelBind for %v on %v: %v, want %v", at, a.Relayed, got.Reason, why)
	}
	if v := c.sendTo(at.String(), "x"); v != relay.Dropped || len(a.Permissions(c.now())) > 0 {
		c.Errorf("Send to %v: verdict %v, permitted %v", at, v, a.Permissions(c.now()))
	}
	if sent := c.socketAt(a.Relayed).sent; len(sent) > 0 {
		c.Fatalf("%v was sent to %v", sent[0].data, sent[0].remote)
	}
}

func TestDeniedPeers(t *testing.T) {
	t.Run("SEC-01 every row of the table", func(t *testing.T) {
		clients := families(newRig(t, nil))
		for _, row := range deniedRows {
			first, middle, last := edges(netip.MustParsePrefix(row.prefix))
			for _, at := range []netip.Addr{first, middle, last} {
				for _, q := range clients {
					q.wantDenied(netip.AddrPortFrom(at, 9), None) // which reason: policy_test.go
				}
			}
		}
	})
	for name, list := range map[string]map[string]Reason{
		"SEC-02 other ways to write an address": {
			"::ffff:127.0.0.1": PeerDeniedLoopback, "::127.0.0.1": PeerDeniedTranslated, "64:ff9b::7f00:1": PeerDeniedTranslated,
			"2002:7f00:1::": PeerDeniedTranslated, "::ffff:0:7f00:1": PeerDeniedTranslated, "0.0.0.0": PeerDeniedUnspecified,
			"0.1.2.3": PeerDeniedUnspecified, "::": PeerDeniedUnspecified, "::ffff:0.0.0.0": PeerDeniedUnspecified,
			"::ffff:10.0.0.1": None, "fec0::1": PeerDeniedReserved, "::ffff:8.8.8.8": PeerDeniedTranslated,
		},
		"SEC-07 metadata services": {
			"169.254.169.254": PeerDeniedMetadata, "169.254.170.2": PeerDeniedMetadata, "168.63.129.16": PeerDeniedMetadata,
			"100.100.100.200": PeerDeniedMetadata, "192.0.0.192": PeerDeniedMetadata, "fd00:ec2::254": PeerDeniedMetadata,
		},
		"SEC-08 this server's own addresses": {"9.9.9.9": PeerDeniedOwn, "2606:4700::9": PeerDeniedOwn},
	} {
		t.Run(name, func(t *testing.T) {
			clients := families(newRig(t, func(c *Config) {
				c.Policy = testPolicy(t, PolicyConfig{Relay: addrs(local4, public4, relay6), Own: addrs("9.9.9.9", "2606:4700::9")})
			}))
			for at, why := range list {
				for _, q := range clients {
					q.wantDenied(netip.AddrPortFrom(netip.MustParseAddr(at), 80), why)
				}
			}
		})
	}
	t.Run("SEC-03 all peers or none", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		q.want(403, stun.MethodCreatePermission, peerAt("8.8.8.8:1"), peerAt("127.0.0.1:1"))
		q.wantDrop(relay.DropNoPermission, func() relay.Verdict { return q.sendTo("8.8.8.8:1", "x") })
	})
}

func TestHairpin(t *testing.T) {
	t.Run("SEC-04 this server's ports", func(t *testing.T) {
		r := newRig(t, nil)
		q := r.login(alice, "alice")
		q.allocate()
		for _, ip := range []string{public4, local4} {
			q.want(0, stun.MethodCreatePermission, peerAt(ip+":1"))
			for _, port := range []string{"3478", "5349", "443", "22", "1023", "49151", "0"} {
				at := ip + ":" + port
				if got := q.bind(403, 0x4000, at); got.Reason != PeerDeniedPort {
					t.Errorf("%s: reason %v", at, got.Reason)
				}
				q.wantDrop(relay.DropPeerDenied, func() relay.Verdict { return q.sendTo(at, "x") })
			}
		}
		if sent := r.socketAt(q.relayedOf().Relayed).sent; len(sent) > 0 {
			t.Errorf("sent %v", sent)
		}
	})
	t.Run("SEC-04 another live relayed address", func(t *testing.T) {
		r := newRig(t, nil)
		a, b := r.login(alice, "alice"), r.login(bob, "bob")
		atA, atB := a.allocate().String(), b.allocate().String()
		a.bind(0, 0x4000, atB)
		a.sendChannel(0x4000, "not yet", 0)
		b.wantSilence() // B has not permitted A
		b.want(0, stun.MethodCreatePermission, peerAt(atA))
		a.sendChannel(0x4000, "hello", 0)
		b.wantIndication(atA, "hello")
		b.sendTo(atA, "hello yourself")
		a.wantFrame(channelData(0x4000, "hello yourself", 0))
		for at := range r.sockets {
			if sent := r.sockets[at].sent; len(sent) > 0 {
				t.Errorf("%v left by a socket", sent)
			}
		}
		b.want(0, stun.MethodRefresh, lifetime(0))
		a.wantDrop(relay.DropPeerDenied, func() relay.Verdict { return a.sendChannel(0x4000, "gone", 0) })
	})
	t.Run("SEC-04 a lent port that is not live yet", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		q.bind(0, 0x4000, public4+":65535")
		q.wantDrop(relay.DropPeerDenied, func() relay.Verdict { return q.sendChannel(0x4000, "x", 0) })
	})
}

func TestRelayAbuse(t *testing.T) {
	t.Run("SEC-05 a policy that is replaced", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		q.bind(0, 0x4000, peerA)
		q.want(0, stun.MethodCreatePermission, peerAt(peerB))
		q.server.SetPolicy(q.now(), testPolicy(t, PolicyConfig{Deny: prefixes("1.2.3.4/32")}))
		q.wantDrop(relay.DropNoChannel, func() relay.Verdict { return q.sendChannel(0x4000, "x", 0) })
		q.wantDrop(relay.DropNoPermission, func() relay.Verdict { return q.sendTo(peerA, "x") })
		q.fromPeer(relayed, peerA, "x")
		q.wantSilence()
		q.bind(403, 0x4000, peerA)
		q.sendTo(peerB, "others go on")
		q.wantAtPeer(relayed, peerB, "others go on")
	})
	t.Run("SEC-06 no TCP relays", func(t *testing.T) { // L4 has the Allocate
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		for _, method := range []stun.Method{stun.MethodConnect, stun.MethodConnectionBind} {
			if got := q.exchange(q.build(method, peerAt(peerA))); got != nil {
				t.Errorf("%v was answered", method)
			}
		}
	})
	t.Run("SEC-09 a third party", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		q.fromPeer(relayed, peerA, "unasked")
		q.bind(0, 0x4000, peerA)
		q.fromPeer(relayed, peerB, "unasked")
		q.wantSilence()
	})
	t.Run("SEC-12 a new allocation on a five-tuple that had one", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate()
		q.bind(0, 0x4000, peerA)
		q.want(0, stun.MethodRefresh, lifetime(0))
		relayed := q.allocate()
		q.wantDrop(relay.DropNoChannel, func() relay.Verdict { return q.sendChannel(0x4000, "x", 0) })
		q.wantDrop(relay.DropNoPermission, func() relay.Verdict { return q.sendTo(peerA, "x") })
		q.fromPeer(relayed, peerA, "x")
		q.wantSilence()
	})
}

func TestForgedCredentials(t *testing.T) {
	t.Run("SEC-14 secrets from documentation", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		for _, weak := range []string{"north", "secret", "logen", "0123456789abcdef", ""} {
			if _, err := credentials.NewSecret(weak); err == nil {
				t.Errorf("%q is taken for a secret", weak)
			}
			q.password = password(weak, q.username)
			q.do(stun.MethodAllocate, requestUDP).wantChallenge(t, 401, WrongSecret)
		}
	})
}

func TestMalformedUsernames(t *testing.T) {
	at := func(d time.Duration) string { return fmt.Sprint(epoch.Add(d).Unix()) }
	for _, c := range []struct {
		username string
		why      Reason
	}{
		{"-1:u", MalformedUsername},
		{"+9:u", MalformedUsername},
		{" 9:u", MalformedUsername},
		{"9e9:u", MalformedUsername},
		{"0x7fffffff:u", MalformedUsername},
		{"12345678901234567890:u", MalformedUsername},
		{"0" + at(time.Hour) + ":u", MalformedUsername},
		{at(time.Hour), MalformedUsername},
		{at(time.Hour) + ":", MalformedUsername},
		{":u", MalformedUsername},
		{at(time.Hour) + ":\n2026 ERROR root login", MalformedUsername}, // SEC-40
		{at(time.Hour) + ":\xff", MalformedUsername},
		{"1:u", Expired},
		{at(0) + ":u", Expired},
		{at(10*365*24*time.Hour) + ":u", ClockSkew},
		{at(25*time.Hour) + ":u", ClockSkew},
	} {
		t.Run("SEC-15 "+strings.ToValidUTF8(c.username, "?"), func(t *testing.T) { // with a valid MAC
			q := newRig(t, nil).login(alice, "alice")
			q.username, q.password = c.username, password(secret, c.username)
			got := q.do(stun.MethodAllocate, requestUDP)
			got.wantChallenge(t, 401, c.why)
			if got.User != "" {
				t.Errorf("user %q without proof", got.User)
			}
		})
	}
	t.Run("SEC-15 a credential that has expired meanwhile", func(t *testing.T) {
		q := newRig(t, nil).dial(alice).with("alice", 100*time.Second)
		q.allocate()
		q.wait(100 * time.Second)
		q.do(stun.MethodRefresh).wantChallenge(t, 401, Expired)
	})
}

func TestReplayedCredentials(t *testing.T) {
	t.Run("SEC-16 another realm", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		for _, other := range []string{"x", "", "Hairpin", "hairpin\x00"} {
			m := q.begin(stun.MethodAllocate, requestUDP)
			m.Add(stun.AttrUsername, []byte(q.username))
			m.Add(stun.AttrRealm, []byte(other))
			m.Add(stun.AttrNonce, q.nonce)
			q.add(m, stun.NewLongTermIntegrity(q.username, other, q.password))
			q.exchange(m.Raw).wantChallenge(t, 401, WrongRealm)
		}
	})
	t.Run("SEC-17 a nonce that is replayed", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		for _, addr := range []string{"192.0.2.7:7001", "192.0.2.9:7000", alice6} {
			thief := *q
			thief.from = q.dial(addr).from
			thief.do(stun.MethodAllocate, requestUDP).wantChallenge(t, 438, StaleNonce)
		}
		q.allocate()
	})
	t.Run("SEC-21 long attributes", func(t *testing.T) { // USERNAME is A14
		q := newRig(t, nil).login(alice, "alice")
		for _, kind := range []stun.AttrType{stun.AttrRealm, stun.AttrNonce} {
			for _, n := range []int{764, 60_000} {
				m := q.begin(stun.MethodAllocate, requestUDP)
				m.Add(kind, bytes.Repeat([]byte("x"), n)) // the first counts
				got := q.exchange(q.finish(m))
				if got.code != 400 || got.shape() != "ERROR-CODE 4\n" {
					t.Errorf("%v of %d bytes: %d", kind, n, got.code)
				}
			}
		}
	})
	t.Run("SEC-21 a long message", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		filler := stun.RawAttribute{Type: 0xFF01, Value: make([]byte, maxMessage)}
		if got := q.do(stun.MethodAllocate, requestUDP, filler); got.code != 400 || got.shape() != "ERROR-CODE 4\n" {
			t.Errorf("got %d with\n%s", got.code, got.shape())
		}
	})
}

// SEC-31: attributes without a value where the message ends, whatever its length.
func TestEmptyLastAttributes(t *testing.T) {
	empty := []stun.AttrType{
		stun.AttrXORPeerAddress, stun.AttrLifetime, stun.AttrChannelNumber, stun.AttrRequestedTransport,
		stun.AttrRequestedAddressFamily, attrAdditionalAddressFamily, stun.AttrEvenPort, stun.AttrReservationToken,
		stun.AttrMessageIntegrity, stun.AttrMessageIntegritySHA256, stun.AttrUsername, stun.AttrRealm, stun.AttrNonce,
		stun.AttrData, stun.AttrDontFragment,
	}
	methods := []stun.Method{
		stun.MethodBinding, stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind,
	}
	q := newRig(t, nil).login(alice, "alice")
	q.allocate()
	anonymous := *q
	anonymous.username = ""
	for _, method := range methods {
		for _, kind := range empty {
			for _, size := range []int{24, 48, 64, 80, 96, 112, 128} {
				m := q.begin(method)
				if filler := size - 28; filler > 0 {
					m.Add(stun.AttrSoftware, make([]byte, filler))
				}
				m.Add(kind, nil)
				anonymous.exchange(m.Raw)      // no panic, and a reply that can be read
				got := q.exchange(q.finish(m)) // and signed
				if got == nil || got.code == 0 && kind == stun.AttrXORPeerAddress && method == stun.MethodCreatePermission {
					t.Fatalf("%v with an empty %v: %v", method, kind, got)
				}
			}
		}
	}
	for _, c := range []struct {
		method stun.Method
		kind   stun.AttrType
	}{
		{stun.MethodRefresh, stun.AttrLifetime},
		{stun.MethodRefresh, stun.AttrRequestedAddressFamily},
		{stun.MethodCreatePermission, stun.AttrXORPeerAddress},
		{stun.MethodChannelBind, stun.AttrChannelNumber},
	} {
		q.want(400, c.method, attr(c.kind))
	}
}

// SEC-24: what strangers are answered, in bytes.
func TestUnauthenticatedReplySizes(t *testing.T) {
	r := newRig(t, nil)
	four, six := r.dial(alice), r.dial(alice6)
	marked := r.dial(alice)
	marked.fingerprint = true
	wrong := r.login(alice, "alice")
	wrong.password = "wrong"
	stale := r.login(alice, "alice")
	stale.nonce = []byte("x")
	incomplete := four.begin(stun.MethodAllocate)
	four.add(incomplete, stun.NewShortTermIntegrity("x"))
	for _, c := range []struct {
		name    string
		client  *client
		request []byte
		want    int
	}{
		{"Binding", four, four.build(stun.MethodBinding), 32},
		{"Binding, IPv6", six, six.build(stun.MethodBinding), 44},
		{"Binding, FINGERPRINT", marked, marked.build(stun.MethodBinding), 40},
		{"Binding, unknown attribute", four, four.build(stun.MethodBinding, attr(0x7F01)), 36},
		{"401", four, four.build(stun.MethodAllocate, requestUDP), 72},
		{"401, IPv6", six, six.build(stun.MethodAllocate, requestUDP), 72},
		{"401, FINGERPRINT", marked, marked.build(stun.MethodAllocate, requestUDP), 80},
		{"401, wrong password", wrong, wrong.build(stun.MethodAllocate, requestUDP), 72},
		{"438", stale, stale.build(stun.MethodAllocate, requestUDP), 72},
		{"400", four, incomplete.Raw, 28},
	} {
		got := c.client.exchange(c.request)
		if got == nil || len(got.Reply) != c.want {
			t.Errorf("SEC-24: %s is answered with %v, want %d bytes", c.name, got, c.want)
		}
		t.Logf("%-28s %3d for %3d bytes, %.1f", c.name, c.want, len(c.request), float64(c.want)/float64(len(c.request)))
	}
	var many []stun.Setter
	for i := range 100 {
		many = append(many, attr(stun.AttrType(0x7F00+i)))
	}
	request := four.build(stun.MethodBinding, many...)
	if got := four.exchange(request); len(got.Reply) > len(request) {
		t.Errorf("SEC-24: %d bytes for %d with many unknown attributes", len(got.Reply), len(request))
	}
}
