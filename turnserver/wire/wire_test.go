package wire

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v3"
)

func TestClassify(t *testing.T) {
	for first := range 256 {
		want := Unknown
		switch {
		case first <= 3:
			want = STUN
		case first >= 20 && first <= 63:
			want = DTLS
		case first >= 64 && first <= 127:
			want = ChannelData
		}
		if got := Classify([]byte{byte(first)}); got != want {
			t.Errorf("first byte %d: got kind %d, want %d", first, got, want)
		}
	}
	if Classify(nil) != Unknown {
		t.Error("an empty packet has a kind")
	}
}

func TestParseChannelData(t *testing.T) {
	cases := []struct {
		name, packet string
		channel      uint16
		data         string
		ok           bool
	}{
		{"exact", "40000002abcd", 0x4000, "abcd", true},
		{"padded", "40010001ab000000", 0x4001, "ab", true},
		{"C9: no data", "4fff0000", 0x4FFF, "", true},
		{"C8: shorter than its length", "40000003abcd", 0, "", false},
		{"header cut", "400000", 0, "", false},
		{"channel too low", "3fff0000", 0, "", false},
		{"channel of RFC 5766", "7fff0000", 0x7FFF, "", true},
		{"channel too high", "80000000", 0, "", false},
		{"longest length in a short packet", "4000ffff00", 0, "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, _ := hex.DecodeString(c.packet)
			channel, data, ok := ParseChannelData(p)
			if ok != c.ok || channel != c.channel || hex.EncodeToString(data) != c.data {
				t.Fatalf("got %#x %x %v", channel, data, ok)
			}
			if ok && cap(data) != len(data) {
				t.Error("the data's capacity reaches beyond it")
			}
		})
	}
}

// peers are addresses of both families, with bytes that XOR must change.
var peers = []netip.AddrPort{
	netip.MustParseAddrPort("192.0.2.1:32853"),
	netip.MustParseAddrPort("[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
}

func TestDataIndicationIsWhatPionReads(t *testing.T) {
	for _, peer := range peers {
		for _, size := range []int{0, 1, 2, 3, 4, 1200, 65000} {
			buf := bytes.Repeat([]byte{0xEE}, 64+size+4)
			payload := bytes.Repeat([]byte{0x5A}, size)
			copy(buf[64:], payload)
			txid := TransactionID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
			start, end, ok := PutDataIndication(buf, 64, 64+size, txid, peer)
			if !ok {
				t.Fatalf("%v, %d bytes: refused", peer, size)
			}
			m := &stun.Message{Raw: buf[start:end]}
			if err := m.Decode(); err != nil {
				t.Fatal(err)
			}
			var got stun.XORMappedAddress
			if err := got.GetFromAs(m, stun.AttrXORPeerAddress); err != nil {
				t.Fatal(err)
			}
			data, err := m.Get(stun.AttrData)
			if err != nil || !bytes.Equal(data, payload) || m.TransactionID != txid {
				t.Fatalf("%v, %d bytes: data or transaction changed (%v)", peer, size, err)
			}
			if got.Port != int(peer.Port()) || !got.IP.Equal(peer.Addr().AsSlice()) {
				t.Fatalf("peer %v came out as %v", peer, got)
			}
			if tail := buf[64+size : end]; !bytes.Equal(tail, make([]byte, len(tail))) {
				t.Error("padding is not zero")
			}
		}
	}
	if _, _, ok := PutDataIndication(make([]byte, 70_000), 64, 64+65_530, TransactionID{}, peers[1]); ok {
		t.Error("a message longer than its length field was made")
	}
}

// message builds a STUN message with pion's library.
func message(t testing.TB, setters ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.NewTransactionIDSetter([12]byte{9: 7})}, setters...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func attr(kind stun.AttrType, value ...byte) stun.Setter {
	return stun.RawAttribute{Type: kind, Value: value}
}

var (
	sendType = stun.NewType(stun.MethodSend, stun.ClassIndication)
	bindType = stun.BindingRequest
	peerV4   = attr(stun.AttrXORPeerAddress, 0, 1, 0x11, 0x22, 1, 2, 3, 4)
)

func TestParseSendIndication(t *testing.T) {
	data := attr(stun.AttrData, []byte("hello")...)
	cases := []struct {
		name   string
		packet []byte
		ok     bool
		df     bool
		data   string
	}{
		{"D1", message(t, sendType, peerV4, data), true, false, "hello"},
		{"D1: no bytes", message(t, sendType, peerV4, attr(stun.AttrData)), true, false, ""},
		{"D2: no DATA", message(t, sendType, peerV4), false, false, ""},
		{"D2: no peer", message(t, sendType, data), false, false, ""},
		{"D3", message(t, sendType, peerV4, data, attr(stun.AttrDontFragment)), true, true, "hello"},
		{"D4", message(t, sendType, peerV4, data, attr(0x7F01)), false, false, ""},
		{"unknown but optional", message(t, sendType, peerV4, data, attr(0xFF01)), true, false, "hello"},
		{"S14: DATA after the integrity", message(t, sendType, peerV4, stun.NewShortTermIntegrity("x"), data), false, false, ""},
		{"S15: the first DATA counts", message(t, sendType, peerV4, data, attr(stun.AttrData, 1, 2)), true, false, "hello"},
		{"S16: reserved byte set", message(t, sendType, attr(stun.AttrXORPeerAddress, 9, 1, 0, 1, 1, 2, 3, 4), data), true, false, "hello"},
		{"peer of no family", message(t, sendType, attr(stun.AttrXORPeerAddress, 0, 3, 0, 1, 1, 2, 3, 4), data), false, false, ""},
		{"SEC-31: empty peer", message(t, sendType, data, attr(stun.AttrXORPeerAddress)), false, false, ""},
		{"right fingerprint", message(t, sendType, peerV4, data, stun.Fingerprint), true, false, "hello"},
		{"another type", message(t, bindType, peerV4, data), false, false, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, ok := ParseSendIndication(c.packet)
			if ok != c.ok {
				t.Fatalf("ok = %v", ok)
			}
			if !ok {
				return
			}
			if got := string(c.packet[s.DataOffset : s.DataOffset+s.DataLen]); got != c.data || s.DontFragment != c.df {
				t.Errorf("got %q, DF %v", got, s.DontFragment)
			}
		})
	}
	spoiled := message(t, sendType, peerV4, data, stun.Fingerprint)
	spoiled[len(spoiled)-1] ^= 1
	if _, ok := ParseSendIndication(spoiled); ok {
		t.Error("S12: a wrong FINGERPRINT was taken")
	}
}

func TestWellFormed(t *testing.T) {
	good := message(t, bindType, attr(stun.AttrSoftware, 'x'))
	mutate := func(f func(p []byte) []byte) []byte { return f(bytes.Clone(good)) }
	cases := []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"good", good, true},
		{"S5: top bits set", mutate(func(p []byte) []byte { p[0] |= 0xC0; return p }), false},
		{"S6: another cookie", mutate(func(p []byte) []byte { p[4]++; return p }), false},
		{"S7: length beyond the datagram", mutate(func(p []byte) []byte { p[3] += 4; return p }), false},
		{"S7: length no multiple of four", mutate(func(p []byte) []byte { p[3]++; return append(p, 0) }), false},
		{"S7: attribute beyond the message", mutate(func(p []byte) []byte { p[23] = 60; return p }), false},
		{"S8: stray bytes", append(bytes.Clone(good), make([]byte, 8)...), false},
		{"header cut", good[:19], false},
		{"empty", nil, false},
		{"fingerprint", message(t, bindType, stun.Fingerprint), true},
		{"fingerprint not last", message(t, bindType, stun.Fingerprint, attr(0xFF01)), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := WellFormed(c.packet); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// rfc5769 are the sample messages of RFC 5769, §2.1 to §2.4.
var rfc5769 = map[string]string{
	"A15 request": `000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff
		80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf`,
	"A16 IPv4 response": `0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643
		000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96`,
	"A16 IPv6 response": `010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9fa
		a5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c`,
}

func TestRFC5769VectorsAreWellFormed(t *testing.T) {
	for name, text := range rfc5769 {
		p, err := hex.DecodeString(strings.NewReplacer("\n", "", "\t", "").Replace(text))
		if err != nil {
			t.Fatal(err)
		}
		if !WellFormed(p) {
			t.Errorf("%s: refused", name)
		}
	}
}

func TestAnswerBinding(t *testing.T) {
	for _, src := range peers {
		for _, withFingerprint := range []bool{false, true} {
			setters := []stun.Setter{bindType}
			if withFingerprint {
				setters = append(setters, stun.Fingerprint)
			}
			request := message(t, setters...)
			reply := make([]byte, MaxBindingResponseLen)
			reply = reply[:AnswerBinding(reply, request, src)]
			m := &stun.Message{Raw: reply}
			if err := m.Decode(); err != nil {
				t.Fatal(err)
			}
			var got stun.XORMappedAddress
			if err := got.GetFrom(m); err != nil || !got.IP.Equal(src.Addr().AsSlice()) || got.Port != int(src.Port()) {
				t.Errorf("S1, S2: mapped address %v for %v (%v)", got, src, err)
			}
			if m.Type != stun.BindingSuccess || !bytes.Equal(reply[4:20], request[4:20]) {
				t.Error("S1: type or transaction differ")
			}
			if withFingerprint != (stun.Fingerprint.Check(m) == nil) {
				t.Error("S13: FINGERPRINT is to be there if and only if it was asked for")
			}
			if want := 20 + 4 + addressLen(src.Addr()); !withFingerprint && len(reply) != want {
				t.Errorf("SEC-24: the reply is %d bytes long, want %d", len(reply), want)
			}
		}
	}
	for name, request := range map[string][]byte{
		"an attribute": message(t, bindType, attr(0xFF01, 1, 2, 3, 4)),
		"indication":   message(t, stun.NewType(stun.MethodBinding, stun.ClassIndication)),
		"response":     message(t, stun.BindingSuccess),
		"stray bytes":  append(message(t, bindType), 0, 0, 0, 0, 0, 0, 0, 0),
	} {
		if n := AnswerBinding(make([]byte, MaxBindingResponseLen), request, peers[0]); n != 0 {
			t.Errorf("%s: was answered in place", name)
		}
	}
}

func TestClaim(t *testing.T) {
	alice, bob := attr(stun.AttrUsername, []byte("alice")...), attr(stun.AttrUsername, []byte("bob")...)
	seal, seal256 := attr(stun.AttrMessageIntegrity, make([]byte, 20)...), attr(0x001C, make([]byte, 32)...)
	overrun := message(t, bindType, alice)
	overrun[len(overrun)-9] = 0xFF
	for name, c := range map[string]struct {
		p        []byte
		username string
		sealed   bool
	}{
		"nothing":           {message(t, bindType), "", false},
		"a name":            {message(t, bindType, alice), "alice", false},
		"sealed":            {message(t, bindType, alice, seal), "alice", true},
		"sealed by SHA-256": {message(t, bindType, alice, seal256), "alice", true},
		"first name":        {message(t, bindType, alice, bob, seal), "alice", true},
		"after the seal":    {message(t, bindType, seal, bob), "", true},
		"overrun":           {overrun, "", false},
		"cut off":           {message(t, bindType, alice, seal)[:24], "", false},
		"one byte":          {[]byte{0}, "", false},
	} {
		username, sealed := Claim(c.p)
		if string(username) != c.username || sealed != c.sealed {
			t.Errorf("%s: %q, %v", name, username, sealed)
		}
	}
	for p, want := range map[string]bool{
		string(message(t, bindType)): true, string(message(t, sendType)): false, "\x00\x01": false,
	} {
		if IsBindingRequest([]byte(p)) != want {
			t.Errorf("%x: not %v", p, want)
		}
	}
}
