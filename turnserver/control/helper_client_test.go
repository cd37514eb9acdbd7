package control

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// client speaks STUN from one address, with pion's library, and checks of every reply
// what must hold for all.
type client struct {
	*rig
	from               From
	username, password string // empty: requests go without credentials
	nonce              []byte
	fingerprint        bool
}

// dial returns a client without credentials.
func (r *rig) dial(addr string) *client {
	at := netip.MustParseAddrPort(addr)
	server := netip.MustParseAddrPort(listen4)
	if at.Addr().Is6() {
		server = netip.MustParseAddrPort(listen6)
	}
	return &client{rig: r, from: From{
		FiveTuple: relay.FiveTuple{Client: at, Server: server},
		Path:      relay.Path{Packets: r.listen},
	}}
}

// dialTCP returns a client without credentials on a stream.
func (r *rig) dialTCP(addr string) (*client, *stream) {
	c, s := r.dial(addr), &stream{}
	c.from.Transport, c.from.Path = relay.TCP, relay.Path{Frames: s}
	return c, s
}

// login returns a client with a credential that is good for a day.
func (r *rig) login(addr, user string) *client { return r.dial(addr).as(user) }

// as gives a client a user's credential and a nonce.
func (c *client) as(user string) *client { return c.with(user, 24*time.Hour) }

// with is like as, with a lifetime of the credential.
func (c *client) with(user string, ttl time.Duration) *client {
	c.username = fmt.Sprintf("%d:%s", c.now().Add(ttl).Unix(), user)
	c.password = password(secret, c.username)
	c.nonce = c.challenge()
	return c
}

// password is what a secret makes of a username (the TURN REST draft, §2.2).
func password(secret, username string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// challenge asks for a nonce.
func (c *client) challenge() []byte {
	c.Helper()
	anonymous := *c
	anonymous.username = ""
	reply := anonymous.want(401, stun.MethodAllocate, requestUDP)
	if got := reply.value(stun.AttrRealm); string(got) != realm {
		c.Fatalf("the realm is %q", got)
	}
	return reply.value(stun.AttrNonce)
}

// begin returns a request without credentials.
func (c *client) begin(method stun.Method, setters ...stun.Setter) *stun.Message {
	c.Helper()
	all := append([]stun.Setter{stun.NewType(method, stun.ClassRequest), stun.TransactionID}, setters...)
	m, err := stun.Build(all...)
	if err != nil {
		c.Fatal(err)
	}
	return m
}

// build returns a request, with credentials if the client has some.
func (c *client) build(method stun.Method, setters ...stun.Setter) []byte {
	c.Helper()
	return c.finish(c.begin(method, setters...))
}

// finish adds the credentials, and FINGERPRINT if the client uses it.
func (c *client) finish(m *stun.Message) []byte {
	c.Helper()
	if c.username != "" {
		c.add(c.credentials(m), stun.NewLongTermIntegrity(c.username, realm, c.password))
	}
	if c.fingerprint {
		c.add(m, stun.Fingerprint)
	}
	return m.Raw
}

// credentials adds what the client claims, without proof.
func (c *client) credentials(m *stun.Message) *stun.Message {
	m.Add(stun.AttrUsername, []byte(c.username))
	m.Add(stun.AttrRealm, []byte(realm))
	m.Add(stun.AttrNonce, c.nonce)
	return m
}

func (c *client) add(m *stun.Message, s stun.Setter) {
	c.Helper()
	if err := s.AddTo(m); err != nil {
		c.Fatal(err)
	}
}

// reply is a reply that has the form it must have.
type reply struct {
	*stun.Message
	code   int  // of an error; 0 for a success
	signed bool // by the client's key
	Answer
}

// do sends a request and returns the reply.
func (c *client) do(method stun.Method, setters ...stun.Setter) *reply {
	c.Helper()
	got := c.exchange(c.build(method, setters...))
	if got == nil {
		c.Fatalf("%v was not answered", method)
	}
	return got
}

// want sends a request that must be answered with an error code, 0 for success.
func (c *client) want(code int, method stun.Method, setters ...stun.Setter) *reply {
	c.Helper()
	got := c.do(method, setters...)
	if got.code != code {
		c.Fatalf("%v was answered with %d (%v), want %d", method, got.code, got.Reason, code)
	}
	if proven := code != 401 && code != 438 && c.username != ""; proven != got.signed {
		c.Fatalf("%v, code %d: MESSAGE-INTEGRITY is %v, want %v", method, code, got.signed, proven) // A9, A10
	}
	return got
}

// exchange hands a message to the server and returns the reply, nil for silence.
func (c *client) exchange(msg []byte) *reply {
	c.Helper()
	exact := make([]byte, len(msg)) // so that reading beyond the end panics
	copy(exact, msg)
	room := bytes.Repeat([]byte{0xEE}, 512)
	answer := c.server.Handle(c.now(), &c.from, exact, room[:0])
	if !bytes.Equal(exact, msg) {
		c.Fatal("the message was changed")
	}
	if len(answer.Reply) == 0 {
		return nil
	}
	return c.check(msg, answer)
}

// check checks what must hold for every reply.
func (c *client) check(msg []byte, answer Answer) *reply {
	c.Helper()
	request, m := new(stun.Message), new(stun.Message)
	if err := stun.Decode(msg, request); err != nil {
		c.Fatalf("what is no request was answered: %x", msg)
	}
	if err := stun.Decode(answer.Reply, m); err != nil || len(answer.Reply) != 20+int(m.Length) {
		c.Fatalf("the reply %x does not decode: %v", answer.Reply, err)
	}
	if m.TransactionID != request.TransactionID || m.Type.Method != request.Type.Method {
		c.Fatalf("%v is no reply to %v", m, request)
	}
	got := &reply{Message: m, Answer: answer}
	switch m.Type.Class {
	case stun.ClassErrorResponse:
		got.code = c.checkErrorCode(got.value(stun.AttrErrorCode))
	case stun.ClassSuccessResponse:
	default:
		c.Fatalf("the reply is of class %v", m.Type.Class)
	}
	if (got.code == 0) != (answer.Reason == None) {
		c.Fatalf("code %d for reason %v", got.code, answer.Reason)
	}
	c.checkPadding(answer.Reply)
	c.checkFingerprint(request, m)
	if _, got.signed = m.Attributes.Get(stun.AttrMessageIntegrity); got.signed {
		if err := stun.NewLongTermIntegrity(c.username, realm, c.password).Check(m); err != nil {
			c.Fatalf("A9: %v", err)
		}
	}
	return got
}

// checkErrorCode checks S19 (RFC 8489 §14.8) and returns the code.
func (c *client) checkErrorCode(v []byte) int {
	c.Helper()
	if len(v) < 4 || len(v) > 4+763 || v[0]|v[1]|v[2]&^7 != 0 || v[2] < 3 || v[2] > 6 || v[3] > 99 {
		c.Fatalf("S19: ERROR-CODE is %x", v)
	}
	return int(v[2])*100 + int(v[3])
}

// checkPadding checks that no old bytes leave the server as padding (CVE-2020-4067).
func (c *client) checkPadding(p []byte) {
	c.Helper()
	for at := 20; at < len(p); {
		end := at + 4 + int(binary.BigEndian.Uint16(p[at+2:]))
		at = (end + 3) &^ 3
		if padding := p[end:at]; !bytes.Equal(padding, make([]byte, len(padding))) {
			c.Fatalf("CVE-2020-4067: padding is %x in %x", padding, p)
		}
	}
}

// checkFingerprint checks that a reply has a FINGERPRINT, right and last, if the
// request has (S13, G8).
func (c *client) checkFingerprint(request, m *stun.Message) {
	c.Helper()
	_, asked := request.Attributes.Get(stun.AttrFingerprint)
	if _, found := m.Attributes.Get(stun.AttrFingerprint); found != asked {
		c.Fatalf("G8: FINGERPRINT in the request: %v, in the reply: %v", asked, found)
	}
	if !asked {
		return
	}
	if last := m.Attributes[len(m.Attributes)-1]; last.Type != stun.AttrFingerprint || stun.Fingerprint.Check(m) != nil {
		c.Fatal("S13: FINGERPRINT is wrong or not last")
	}
}

// has reports whether the reply has an attribute.
func (m *reply) has(t stun.AttrType) bool {
	_, ok := m.Attributes.Get(t)
	return ok
}

// value returns an attribute's value.
func (m *reply) value(t stun.AttrType) []byte {
	a, _ := m.Attributes.Get(t)
	return a.Value
}

// address returns the address in an attribute, the zero one if there is none.
func (m *reply) address(t stun.AttrType) netip.AddrPort {
	var a stun.XORMappedAddress
	if a.GetFromAs(m.Message, t) != nil {
		return netip.AddrPort{}
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	if len(m.value(t)) == 8 {
		ip = ip.Unmap() // pion gives IPv4 addresses either way
	}
	return netip.AddrPortFrom(ip, uint16(a.Port))
}

func (m *reply) relayed() netip.AddrPort { return m.address(stun.AttrXORRelayedAddress) }

// lifetime returns LIFETIME in seconds, -1 if there is none.
func (m *reply) lifetime() int {
	v := m.value(stun.AttrLifetime)
	if len(v) != 4 {
		return -1
	}
	return int(binary.BigEndian.Uint32(v))
}

// allocate makes an allocation and returns its relayed transport address.
func (c *client) allocate(setters ...stun.Setter) netip.AddrPort {
	c.Helper()
	return c.want(0, stun.MethodAllocate, append([]stun.Setter{requestUDP}, setters...)...).relayed()
}

// buildSHA256 returns a request with MESSAGE-INTEGRITY-SHA256 in the place of
// MESSAGE-INTEGRITY.
func (c *client) buildSHA256(method stun.Method, setters ...stun.Setter) []byte {
	c.Helper()
	return c.signSHA256(c.credentials(c.begin(method, setters...)).Raw, sha256.Size)
}

// signSHA256 appends MESSAGE-INTEGRITY-SHA256, truncated to n bytes (RFC 8489 §14.6).
func (c *client) signSHA256(msg []byte, n int) []byte {
	key := md5.Sum([]byte(c.username + ":" + realm + ":" + c.password))
	covered := bytes.Clone(msg)
	binary.BigEndian.PutUint16(covered[2:], uint16(len(msg)-20+4+n))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(covered)
	return appendAttr(msg, stun.AttrMessageIntegritySHA256, mac.Sum(nil)[:n]...)
}
