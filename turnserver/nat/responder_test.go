package nat_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

// site is a server with two addresses and two ports, and a client of it.
type site struct {
	name   string
	set    nat.Addresses
	client netip.AddrPort
	budget int // of the answer to a request without attributes, in bytes
}

func sites() []site {
	a := netip.MustParseAddr
	return []site{
		{
			"IPv4", addresses(a("203.0.113.1"), a("203.0.113.2")),
			netip.MustParseAddrPort("198.51.100.9:40001"), 68,
		},
		{
			"IPv6", addresses(a("2001:db8::1"), a("2001:db8::2")),
			netip.MustParseAddrPort("[2001:db8:9::9]:40001"), 116,
		},
	}
}

func addresses(first, second netip.Addr) nat.Addresses {
	return nat.Addresses{
		IP:   [2]nat.Address{{Local: first}, {Local: second}},
		Port: [2]uint16{3478, 3479},
	}
}

func (s site) responder(t testing.TB) *nat.Responder {
	t.Helper()
	r, err := nat.NewResponder(s.set)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// at returns one of the four transport addresses.
func (s site) at(ip, port int) netip.AddrPort {
	return netip.AddrPortFrom(s.set.IP[ip].Local, s.set.Port[port])
}

func raw(t stun.AttrType, value ...byte) stun.Setter { return stun.RawAttribute{Type: t, Value: value} }

func change(flags byte) stun.Setter { return raw(stun.AttrChangeRequest, 0, 0, 0, flags) }

func port(p uint16) stun.Setter {
	return raw(stun.AttrResponsePort, byte(p>>8), byte(p))
}

func binding(t testing.TB, setters ...stun.Setter) *stun.Message {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, setters...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reply is a response as pion reads it.
type reply struct {
	nat.Response
	*stun.Message
}

// ask returns the response to a request, which must be an answer to it.
func ask(t testing.TB, r *nat.Responder, m *stun.Message, client, local netip.AddrPort) reply {
	t.Helper()
	got, ok := r.Respond(make([]byte, nat.MaxResponseLen), m.Raw, client, local)
	if !ok {
		t.Fatal("no answer")
	}
	decoded := new(stun.Message)
	if err := stun.Decode(got.Data, decoded); err != nil {
		t.Fatal(err)
	}
	if decoded.TransactionID != m.TransactionID {
		t.Error("the answer is to another request")
	}
	return reply{got, decoded}
}

func (r reply) address(kind stun.AttrType) string {
	a := new(stun.MappedAddress)
	if a.GetFromAs(r.Message, kind) != nil {
		return "none"
	}
	return netip.MustParseAddrPort(a.String()).String()
}

func (r reply) xorMapped() string {
	a := new(stun.XORMappedAddress)
	if a.GetFrom(r.Message) != nil {
		return "none"
	}
	return netip.MustParseAddrPort(a.String()).String()
}

func (r reply) code() int {
	var c stun.ErrorCodeAttribute
	_ = c.GetFrom(r.Message)
	return int(c.Code)
}

func (r reply) unknown() string {
	var u stun.UnknownAttributes
	if u.GetFrom(r.Message) != nil {
		return ""
	}
	return u.String()
}

func TestN1Binding(t *testing.T) {
	for _, s := range sites() {
		t.Run(s.name, func(t *testing.T) {
			for i := range 4 {
				local, other := s.at(i/2, i%2), s.at(1-i/2, 1-i%2)
				got := ask(t, s.responder(t), binding(t), s.client, local)
				if got.From != local || got.To != s.client {
					t.Errorf("from %v to %v", got.From, got.To)
				}
				if m, x := got.address(stun.AttrMappedAddress), got.xorMapped(); m != s.client.String() || x != m {
					t.Errorf("MAPPED-ADDRESS %s, XOR-MAPPED-ADDRESS %s", m, x)
				}
				if o := got.address(stun.AttrResponseOrigin); o != local.String() {
					t.Errorf("RESPONSE-ORIGIN %s, want %v", o, local)
				}
				if o := got.address(stun.AttrOtherAddress); o != other.String() {
					t.Errorf("OTHER-ADDRESS %s, want %v", o, other)
				}
				if len(got.Data) != s.budget {
					t.Errorf("%d bytes, want %d", len(got.Data), s.budget)
				}
			}
		})
	}
}

func TestN1BindingWithoutAlternateIsTheSmallOne(t *testing.T) {
	for _, s := range sites() {
		for _, setters := range [][]stun.Setter{nil, {stun.Fingerprint}} {
			m := binding(t, setters...)
			want := make([]byte, wire.MaxBindingResponseLen)
			want = want[:wire.AnswerBinding(want, m.Raw, s.client)]
			got := ask(t, new(nat.Responder), m, s.client, s.at(0, 0))
			if !bytes.Equal(got.Data, want) {
				t.Errorf("%s: %x, want %x", s.name, got.Data, want)
			}
		}
	}
}

func TestN1AdvertisedAddresses(t *testing.T) {
	s := sites()[0]
	s.set.IP[0].Advertised = netip.MustParseAddr("192.0.2.1")
	s.set.IP[1].Advertised = netip.MustParseAddr("192.0.2.2")
	got := ask(t, s.responder(t), binding(t, change(2)), s.client, s.at(0, 0))
	if got.From != s.at(0, 1) {
		t.Errorf("sent from %v", got.From)
	}
	if o := got.address(stun.AttrResponseOrigin); o != "192.0.2.1:3479" {
		t.Errorf("RESPONSE-ORIGIN %s", o)
	}
	if o := got.address(stun.AttrOtherAddress); o != "192.0.2.2:3479" {
		t.Errorf("OTHER-ADDRESS %s", o)
	}
}

func TestN2ChangeRequest(t *testing.T) {
	for _, s := range sites() {
		for i := range 4 {
			ip, p := i/2, i%2
			for _, c := range []struct {
				name     string
				flags    byte
				ip, port int
			}{
				{"neither", 0, ip, p},
				{"port", 2, ip, 1 - p},
				{"IP", 4, 1 - ip, p},
				{"both", 6, 1 - ip, 1 - p},
				{"both, and bits without meaning", 0xFF, 1 - ip, 1 - p},
			} {
				got := ask(t, s.responder(t), binding(t, change(c.flags)), s.client, s.at(ip, p))
				if got.From != s.at(c.ip, c.port) || got.To != s.client {
					t.Errorf("%s, %s: from %v to %v", s.name, c.name, got.From, got.To)
				}
				if o := got.address(stun.AttrResponseOrigin); o != got.From.String() {
					t.Errorf("%s, %s: RESPONSE-ORIGIN %s, sent from %v", s.name, c.name, o, got.From)
				}
				if o := got.address(stun.AttrOtherAddress); o != s.at(1-ip, 1-p).String() {
					t.Errorf("%s, %s: OTHER-ADDRESS %s", s.name, c.name, o)
				}
			}
		}
	}
}

func TestN3NoAlternate(t *testing.T) {
	four, six := sites()[0], sites()[1]
	for _, c := range []struct {
		name  string
		r     *nat.Responder
		local netip.AddrPort
	}{
		{"one address", new(nat.Responder), four.at(0, 0)},
		{"an alternate in the other family only", six.responder(t), four.at(0, 0)},
		{"a listener that is not of the set", four.responder(t), netip.MustParseAddrPort("203.0.113.3:3478")},
		{"a port that is not of the set", four.responder(t), netip.MustParseAddrPort("203.0.113.1:5000")},
		{"the unspecified address", new(nat.Responder), netip.MustParseAddrPort("0.0.0.0:0")},
	} {
		for _, flags := range []byte{0, 2, 4, 6} {
			got := ask(t, c.r, binding(t, change(flags), port(99)), four.client, c.local)
			if got.code() != 420 || got.Code != 420 || got.unknown() != "0x3" {
				t.Errorf("%s: code %d, unknown %s", c.name, got.code(), got.unknown())
			}
			if got.From != c.local || got.To != four.client || len(got.Data) > 36 {
				t.Errorf("%s: %d bytes from %v to %v", c.name, len(got.Data), got.From, got.To)
			}
		}
		if c.r.HasAlternate(c.local) {
			t.Errorf("%s: an alternate is claimed", c.name)
		}
	}
}

func TestN4ResponsePort(t *testing.T) {
	for _, s := range sites() {
		for _, r := range []*nat.Responder{new(nat.Responder), s.responder(t)} {
			for _, p := range []stun.Setter{port(777), raw(stun.AttrResponsePort, 3, 9, 0, 0)} {
				got := ask(t, r, binding(t, p), s.client, s.at(0, 0))
				if want := netip.AddrPortFrom(s.client.Addr(), 777); got.To != want || got.From != s.at(0, 0) {
					t.Errorf("%s: from %v to %v, want %v", s.name, got.From, got.To, want)
				}
				if got.xorMapped() != s.client.String() || got.address(stun.AttrMappedAddress) != s.client.String() {
					t.Errorf("%s: mapped %s", s.name, got.xorMapped())
				}
			}
		}
		got := ask(t, s.responder(t), binding(t, port(777), change(6)), s.client, s.at(0, 0))
		if got.To.Port() != 777 || got.From != s.at(1, 1) {
			t.Errorf("%s: with CHANGE-REQUEST from %v to %v", s.name, got.From, got.To)
		}
	}
}

func TestN5Padding(t *testing.T) {
	for _, s := range sites() {
		for _, c := range []struct{ asked, want int }{{0, 0}, {4, 4}, {3, 3}, {1500, 1500}, {2048, 2048}, {9000, 2048}} {
			m := binding(t, raw(stun.AttrPadding, bytes.Repeat([]byte("x"), c.asked)...), stun.Fingerprint)
			got := ask(t, s.responder(t), m, s.client, s.at(0, 0))
			padding, err := got.Get(stun.AttrPadding)
			if err != nil || len(padding) != c.want || strings.Trim(string(padding), "\x00") != "" {
				t.Errorf("%s: %d bytes of PADDING for %d: %v", s.name, len(padding), c.asked, err)
			}
			if len(got.Data) > len(m.Raw)+s.budget {
				t.Errorf("%s: %d bytes answer %d", s.name, len(got.Data), len(m.Raw))
			}
			if err := stun.Fingerprint.Check(got.Message); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
		for _, r := range []*nat.Responder{new(nat.Responder), s.responder(t)} {
			got := ask(t, r, binding(t, raw(stun.AttrPadding, 1, 2, 3, 4), port(777)), s.client, s.at(0, 0))
			if got.code() != 400 || got.To != s.client || got.From != s.at(0, 0) || len(got.Data) != 28 {
				t.Errorf("%s: PADDING and RESPONSE-PORT: %d to %v", s.name, got.code(), got.To)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	s := sites()[0]
	for _, c := range []struct {
		name    string
		setters []stun.Setter
		code    int
		unknown string
	}{
		{"port 0", []stun.Setter{port(0)}, 400, ""},
		{"short RESPONSE-PORT", []stun.Setter{raw(stun.AttrResponsePort, 1)}, 400, ""},
		{"empty RESPONSE-PORT", []stun.Setter{raw(stun.AttrResponsePort)}, 400, ""},
		{"short CHANGE-REQUEST", []stun.Setter{raw(stun.AttrChangeRequest, 0, 6)}, 400, ""},
		{"long CHANGE-REQUEST", []stun.Setter{raw(stun.AttrChangeRequest, 0, 0, 0, 0, 0, 0, 0, 6)}, 400, ""},
		{"unknown attribute", []stun.Setter{raw(0x7F00, 1), change(6)}, 420, "0x7f00"},
		{"unknown comes before malformed", []stun.Setter{port(0), raw(0x7F00)}, 420, "0x7f00"},
		{"attributes after MESSAGE-INTEGRITY", []stun.Setter{stun.NewShortTermIntegrity("x"), raw(0x7F00)}, 0, ""},
		{"optional attributes", []stun.Setter{raw(0xC123, 1, 2, 3), stun.NewSoftware("x")}, 0, ""},
		{"the second CHANGE-REQUEST", []stun.Setter{change(0), raw(stun.AttrChangeRequest)}, 0, ""},
		{"the second RESPONSE-PORT", []stun.Setter{port(s.client.Port()), port(0)}, 0, ""},
	} {
		got := ask(t, s.responder(t), binding(t, c.setters...), s.client, s.at(0, 0))
		if got.code() != c.code || got.unknown() != c.unknown {
			t.Errorf("%s: code %d, unknown %q", c.name, got.code(), got.unknown())
		}
		if got.From != s.at(0, 0) || got.To != s.client {
			t.Errorf("%s: from %v to %v", c.name, got.From, got.To)
		}
	}
}

func TestUnknownAttributesAreBounded(t *testing.T) {
	s := sites()[0]
	var setters []stun.Setter
	for i := range 300 {
		setters = append(setters, raw(stun.AttrType(0x7000+i)))
	}
	if got := ask(t, s.responder(t), binding(t, setters...), s.client, s.at(0, 0)); len(got.Data) != 64 || got.code() != 420 {
		t.Errorf("code %d in %d bytes", got.code(), len(got.Data))
	}
}

func TestSilence(t *testing.T) {
	s := sites()[0]
	good := binding(t).Raw
	allocate, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, to byte) []byte {
		p := bytes.Clone(good)
		p[at] = to
		return p
	}
	for name, p := range map[string][]byte{
		"nothing": nil, "a short one": good[:19], "one byte more": append(bytes.Clone(good), 0),
		"a response": changed(0, 1), "an indication": changed(1, 0x11), "no cookie": changed(4, 0),
		"a wrong length": changed(3, 4), "another method": allocate.Raw,
	} {
		if got, ok := s.responder(t).Respond(nil, p, s.client, s.at(0, 0)); ok {
			t.Errorf("%s is answered by %x", name, got.Data)
		}
	}
}

func TestNewResponderRefuses(t *testing.T) {
	a := netip.MustParseAddr
	good := sites()[0].set
	with := func(change func(*nat.Addresses)) []nat.Addresses {
		s := good
		change(&s)
		return []nat.Addresses{s}
	}
	for name, sets := range map[string][]nat.Addresses{
		"the same address twice":  with(func(s *nat.Addresses) { s.IP[1] = s.IP[0] }),
		"the same advertised":     with(func(s *nat.Addresses) { s.IP[1].Advertised = s.IP[0].Local }),
		"the same port twice":     with(func(s *nat.Addresses) { s.Port[1] = s.Port[0] }),
		"no second port":          with(func(s *nat.Addresses) { s.Port[1] = 0 }),
		"no address":              with(func(s *nat.Addresses) { s.IP[1].Local = netip.Addr{} }),
		"the unspecified address": with(func(s *nat.Addresses) { s.IP[1].Local = a("0.0.0.0") }),
		"two families":            with(func(s *nat.Addresses) { s.IP[1].Local = a("2001:db8::1") }),
		"advertised of the other": with(func(s *nat.Addresses) { s.IP[0].Advertised = a("2001:db8::1") }),
		"an IPv4-mapped address":  with(func(s *nat.Addresses) { s.IP[0].Local = a("::ffff:203.0.113.1") }),
		"a family twice":          {good, good},
	} {
		if _, err := nat.NewResponder(sets...); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := nat.NewResponder(sites()[0].set, sites()[1].set); err != nil {
		t.Errorf("both families are refused: %v", err)
	}
}

// FuzzRespond checks of the answer to any bytes at all that another parser reads it,
// that it fits and is bounded by its request, that it is never a request itself, and
// that it goes to the IP address of the source and from an address of the server.
func FuzzRespond(f *testing.F) {
	for _, setters := range [][]stun.Setter{
		nil,
		{change(6)},
		{port(77), stun.Fingerprint},
		{raw(stun.AttrPadding, make([]byte, 64)...), change(4)},
		{raw(stun.AttrPadding, 1), port(1)},
		{raw(0x7F00), raw(0x7F01), raw(0x7F02)},
	} {
		f.Add(binding(f, setters...).Raw)
	}
	all := sites()
	both, err := nat.NewResponder(all[0].set, all[1].set)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		p = bytes.Clone(p)[:len(p):len(p)]
		for _, r := range []*nat.Responder{both, {}} {
			for _, s := range all {
				checkResponse(t, r, s, p)
			}
		}
	})
}

func checkResponse(t *testing.T, r *nat.Responder, s site, p []byte) {
	t.Helper()
	dst := make([]byte, nat.MaxResponseLen)
	got, ok := r.Respond(dst, p, s.client, s.at(0, 1))
	if !ok {
		return
	}
	m := new(stun.Message)
	if err := stun.Decode(got.Data, m); err != nil || !wire.WellFormed(got.Data) {
		t.Fatalf("pion cannot read %x: %v", got.Data, err)
	}
	if &got.Data[0] != &dst[0] || len(got.Data) > len(p)+s.budget {
		t.Fatalf("%d bytes answer %d", len(got.Data), len(p))
	}
	if !bytes.Equal(m.TransactionID[:], p[8:20]) || m.Type.Class == stun.ClassRequest || m.Type.Class == stun.ClassIndication {
		t.Fatalf("%v answers %x", m, p)
	}
	if got.To.Addr() != s.client.Addr() || got.To.Port() == 0 || !isOf(s, got.From) {
		t.Fatalf("from %v to %v", got.From, got.To)
	}
	if failed := binary.BigEndian.Uint16(got.Data) == 0x0111; failed != (got.Code != 0) || failed && got.To != s.client {
		t.Fatalf("code %d to %v: %v", got.Code, got.To, m)
	}
}

func isOf(s site, from netip.AddrPort) bool {
	for i := range 4 {
		if from == s.at(i/2, i%2) {
			return true
		}
	}
	return false
}

// stunMessage reads a message as pion does.
func stunMessage(t testing.TB, p []byte) *stun.Message {
	t.Helper()
	m := new(stun.Message)
	if err := stun.Decode(p, m); err != nil {
		t.Fatal(err)
	}
	return m
}
