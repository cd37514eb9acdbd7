package control

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

// shape is a message's form: its attributes' types and lengths.
func (m *reply) shape() string {
	var s strings.Builder
	for _, a := range m.Attributes {
		s.WriteString(a.Type.String() + " " + strconv.Itoa(int(a.Length)) + "\n")
	}
	return s.String()
}

// wantChallenge checks that a reply is a 401 or 438 with what the client needs, and no
// more (A1, A5 to A8; RFC 8489 §9.2.4).
func (m *reply) wantChallenge(t *testing.T, code int, why Reason) {
	t.Helper()
	if m == nil || m.code != code || m.Reason != why {
		t.Fatalf("got %v, want %d for %v", m, code, why)
	}
	want := "ERROR-CODE 4\nREALM 7\nNONCE 28\n"
	if m.shape() != want || string(m.value(stun.AttrRealm)) != realm {
		t.Errorf("the challenge has\n%s, want\n%s", m.shape(), want)
	}
}

func TestChallenge(t *testing.T) {
	t.Run("A1 no integrity", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		for _, method := range []stun.Method{stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
			m := q.begin(method, requestUDP)
			q.exchange(m.Raw).wantChallenge(t, 401, NoCredentials)
			q.exchange(q.credentials(m).Raw).wantChallenge(t, 401, NoCredentials)
		}
	})
	t.Run("A2 every address and port has a nonce of its own", func(t *testing.T) {
		r := newRig(t, nil)
		request := r.dial(alice).build(stun.MethodAllocate, requestUDP)
		seen := map[string]string{}
		for _, addr := range []string{alice, "192.0.2.7:7001", "192.0.2.8:7000", alice6, "[2001:db8::7]:7001"} {
			nonce := string(r.dial(addr).exchange(request).value(stun.AttrNonce))
			if seen[nonce] != "" {
				t.Errorf("%s and %s share a nonce", addr, seen[nonce])
			}
			seen[nonce] = addr
		}
	})
	t.Run("A3 the nonce cookie", func(t *testing.T) { // no security features: 24 zero bits (RFC 8489 §9.2)
		q := newRig(t, nil).login(alice, "alice")
		q.wait(time.Hour)
		for code, got := range map[int]*reply{401: q.dial(bob).want(401, stun.MethodAllocate), 438: q.want(438, stun.MethodRefresh)} {
			if nonce := got.value(stun.AttrNonce); !bytes.HasPrefix(nonce, []byte("obMatJos2AAAA")) {
				t.Errorf("%d: the nonce is %q", code, nonce)
			}
		}
	})
}

func TestIncompleteCredentials(t *testing.T) {
	for _, missing := range []stun.AttrType{stun.AttrUsername, stun.AttrRealm, stun.AttrNonce} {
		t.Run("A4 without "+missing.String(), func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			full, m := q.credentials(q.begin(stun.MethodAllocate, requestUDP)), q.begin(stun.MethodAllocate)
			for _, a := range full.Attributes {
				if a.Type != missing {
					m.Add(a.Type, a.Value)
				}
			}
			q.add(m, stun.NewLongTermIntegrity(q.username, realm, q.password))
			got := q.exchange(m.Raw)
			if got.code != 400 || got.shape() != "ERROR-CODE 4\n" {
				t.Errorf("got %d with\n%s", got.code, got.shape())
			}
		})
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Run("A5 unknown username", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.username = "alice"
		q.do(stun.MethodAllocate, requestUDP).wantChallenge(t, 401, MalformedUsername)
	})
	t.Run("A6 wrong password", func(t *testing.T) { // of the same shape as A5: wantChallenge
		q := newRig(t, nil).login(alice, "alice")
		q.password = password("another secret", q.username)
		q.do(stun.MethodAllocate, requestUDP).wantChallenge(t, 401, WrongSecret)
		q.exchange(q.buildSHA256(stun.MethodAllocate, requestUDP)).wantChallenge(t, 401, WrongSecret)
	})
	t.Run("A6 integrity of a wrong length", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		whole := q.build(stun.MethodAllocate, requestUDP)
		unsigned, mac := whole[:len(whole)-24], whole[len(whole)-20:]
		for _, n := range []int{0, 16, 19} {
			msg := appendAttr(unsigned, stun.AttrMessageIntegrity, mac[:n]...)
			q.exchange(msg).wantChallenge(t, 401, WrongSecret)
		}
	})
	t.Run("A8 wrong password and stale nonce", func(t *testing.T) { // credentials are checked first (RFC 8489 §9.2.4)
		q := newRig(t, nil).login(alice, "alice")
		right := q.password
		q.password = "wrong"
		q.wait(2 * time.Hour)
		q.do(stun.MethodAllocate, requestUDP).wantChallenge(t, 401, WrongSecret)
		q.password = right
		q.do(stun.MethodAllocate, requestUDP).wantChallenge(t, 438, StaleNonce)
	})
}

func TestStaleNonce(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*client)
	}{
		{"A7 a nonce of an hour ago", func(q *client) { q.wait(time.Hour) }},
		{"A7 a nonce past its lifetime", func(q *client) { q.wait(nonceLifetime + time.Second) }},
		{"A7 a forged nonce", func(q *client) { q.nonce = []byte("obMatJos2AAAAAAAAAAAAAAAAAAA") }},
		{"A7 a nonce with a bit changed", func(q *client) { q.nonce = bytes.Clone(q.nonce); q.nonce[20] ^= 1 }},
		{"A7 an empty nonce", func(q *client) { q.nonce = nil }},
		{"A7 a nonce cut short", func(q *client) { q.nonce = q.nonce[:27] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			c.spoil(q)
			got := q.do(stun.MethodAllocate, requestUDP)
			got.wantChallenge(t, 438, StaleNonce)
			q.nonce = got.value(stun.AttrNonce)
			q.allocate()
		})
	}
	t.Run("A7 a nonce within its lifetime", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.wait(nonceLifetime)
		q.allocate()
	})
}

func TestAuthenticatedReplies(t *testing.T) { // that MESSAGE-INTEGRITY is right is checked for every reply
	extra := []stun.AttrType{stun.AttrUsername, stun.AttrRealm, stun.AttrNonce, stun.AttrMessageIntegritySHA256}
	check := func(t *testing.T, got *reply) {
		t.Helper()
		if !got.signed || slices.ContainsFunc(extra, got.has) {
			t.Errorf("the reply has\n%s", got.shape())
		}
	}
	t.Run("A9 success", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		check(t, q.want(0, stun.MethodAllocate, requestUDP))
		check(t, q.want(0, stun.MethodCreatePermission, peerAt(peerA)))
		check(t, q.want(0, stun.MethodChannelBind, channel(0x4000), peerAt(peerA)))
		check(t, q.want(0, stun.MethodRefresh))
		check(t, q.want(0, stun.MethodRefresh, lifetime(0)))
	})
	for _, code := range []int{400, 437, 442, 486, 508} {
		t.Run("A10 error "+strconv.Itoa(code), func(t *testing.T) {
			got := refusals[code](newRig(t, nil))
			if got.code != code {
				t.Fatalf("code %d", got.code)
			}
			check(t, got)
		})
	}
}

// RFC 8489 §9.2.4: where there is MESSAGE-INTEGRITY-SHA256, it is what is verified. The
// reply has MESSAGE-INTEGRITY all the same, for no password algorithm was negotiated.
func TestIntegritySHA256(t *testing.T) {
	for _, n := range []int{16, 20, 24, 28, 32} {
		t.Run("A11 only MESSAGE-INTEGRITY-SHA256, bytes "+strconv.Itoa(n), func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			msg := q.signSHA256(q.credentials(q.begin(stun.MethodAllocate, requestUDP)).Raw, n)
			if got := q.exchange(msg); got.code != 0 || !got.signed || got.has(stun.AttrMessageIntegritySHA256) {
				t.Errorf("got %d with\n%s", got.code, got.shape())
			}
		})
	}
	for _, n := range []int{0, 4, 12, 15, 17, 31} {
		t.Run("A11 truncated too far or unevenly, bytes "+strconv.Itoa(n), func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			msg := q.signSHA256(q.credentials(q.begin(stun.MethodAllocate, requestUDP)).Raw, n)
			q.exchange(msg).wantChallenge(t, 401, WrongSecret)
		})
	}
	t.Run("A11 both integrity attributes", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		both := q.signSHA256(q.build(stun.MethodAllocate, requestUDP), 32)
		spoiled := bytes.Clone(both)
		spoiled[len(spoiled)-1] ^= 1
		q.exchange(spoiled).wantChallenge(t, 401, WrongSecret)
		if got := q.exchange(both); got.code != 0 {
			t.Errorf("got %d", got.code)
		}
	})
}

func TestUsernameLength(t *testing.T) {
	for _, n := range []int{509, 512, 763, 60_000} {
		t.Run("A14 SEC-21 a username of "+strconv.Itoa(n)+" bytes", func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			q.username += strings.Repeat("x", n-len(q.username))
			q.password = password(secret, q.username)
			got := q.exchange(q.build(stun.MethodAllocate, requestUDP))
			if got.code != 400 || got.Reason != UsernameTooLong || got.shape() != "ERROR-CODE 4\n" {
				t.Errorf("got %d, %v, with\n%s", got.code, got.Reason, got.shape())
			}
		})
	}
	t.Run("A14 a username of 508 bytes", func(t *testing.T) { // RFC 8489 §14.3: fewer than 509
		q := newRig(t, nil).login(alice, "alice")
		q.username += strings.Repeat("x", 508-len(q.username))
		q.password = password(secret, q.username)
		q.allocate()
	})
}

// The sample messages of RFC 5769, §2.1 to §2.4.
const (
	sampleRequest = `000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff
		80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf`
	sampleIPv4 = `0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643
		000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96`
	sampleIPv6 = `010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9fa
		a5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c`
	sampleLongTerm = `000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000
		0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700
		00080014f67024656dd64a3e02b8e0712e85c9a28ca89666`
)

func TestRFC5769(t *testing.T) {
	shortTerm := stun.NewShortTermIntegrity("VOkJxbRl1RmTxUk/WvJxBt")
	longTerm := stun.NewLongTermIntegrity("マトリックス", "example.org", "TheMatrIX") // the password after OpaqueString
	for _, c := range []struct {
		name, message string
		key           stun.MessageIntegrity
		fingerprint   bool
		username      string
		mapped        string
	}{
		{"A15 sample request", sampleRequest, shortTerm, true, "evtj:h6vY", ""},
		{"A16 sample IPv4 response", sampleIPv4, shortTerm, true, "", "192.0.2.1:32853"},
		{"A16 sample IPv6 response", sampleIPv6, shortTerm, true, "", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"},
		{"A17 sample request with long-term credentials", sampleLongTerm, longTerm, false, "マトリックス", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := hex.DecodeString(strings.NewReplacer("\n", "", "\t", "").Replace(c.message))
			if err != nil || !wire.WellFormed(p) {
				t.Fatalf("not well formed (%v)", err)
			}
			q := new(request)
			if _, err := q.Write(p); err != nil {
				t.Fatal(err)
			}
			q.cut()
			integrity, _ := q.attribute(stun.AttrMessageIntegrity)
			if got := q.mac(c.key, q.covered()); !bytes.Equal(got, integrity) {
				t.Errorf("integrity is %x, want %x", got, integrity)
			}
			if username, _ := q.attribute(stun.AttrUsername); string(username) != c.username || q.fingerprint != c.fingerprint {
				t.Errorf("username %q, fingerprint %v", username, q.fingerprint)
			}
			value, _ := q.attribute(stun.AttrXORMappedAddress)
			if mapped, ok := wire.ParseXORAddress(value, p); ok && mapped.String() != c.mapped || ok != (c.mapped != "") {
				t.Errorf("mapped address %v", mapped)
			}
			m := &stun.Message{Raw: p} // pion agrees
			if err := m.Decode(); err != nil || c.key.Check(m) != nil || c.fingerprint && stun.Fingerprint.Check(m) != nil {
				t.Error("the sample itself is wrong", err)
			}
		})
	}
}
