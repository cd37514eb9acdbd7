package nat

import (
	"bytes"
	"net/netip"
	"testing"

	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"": "", "Coturn-4.6.1 'Gorst'": "Coturn-4.6.1 'Gorst'", "a\x1b[2J\r\nb\x7f\xff": "a[2Jb"} {
		if got := printable([]byte(in)); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestUsableOther(t *testing.T) {
	for _, c := range []struct {
		other, server string
		want          bool
	}{
		{"203.0.113.2:3479", "203.0.113.1:3478", true},
		{"203.0.113.2:3479", "10.0.0.1:3478", true},
		{"10.0.0.2:3479", "10.0.0.1:3478", true},
		{"100.64.0.2:3479", "10.0.0.1:3478", true},
		{"127.0.0.2:3479", "127.0.0.1:3478", true},
		{"203.0.113.2:3478", "203.0.113.1:3478", false},
		{"203.0.113.1:3479", "203.0.113.1:3478", false},
		{"203.0.113.2:0", "203.0.113.1:3478", false},
		{"10.0.0.2:3479", "203.0.113.1:3478", false},
		{"100.64.0.2:3479", "203.0.113.1:3478", false},
		{"127.0.0.1:3479", "203.0.113.1:3478", false},
		{"169.254.169.254:80", "203.0.113.1:3478", false},
		{"224.0.0.1:3479", "203.0.113.1:3478", false},
		{"255.255.255.255:3479", "203.0.113.1:3478", false},
		{"0.0.0.0:3479", "203.0.113.1:3478", false},
		{"[2001:db8::2]:3479", "203.0.113.1:3478", false},
		{"[::ffff:203.0.113.2]:3479", "[2001:db8::1]:3478", false},
		{"[fe80::2]:3479", "[2001:db8::1]:3478", false},
		{"[2001:db8::2]:3479", "[2001:db8::1]:3478", true},
	} {
		if got := usableOther(netip.MustParseAddrPort(c.other), netip.MustParseAddrPort(c.server)); got != c.want {
			t.Errorf("%s of %s: %v", c.other, c.server, got)
		}
	}
}

// FuzzMessage checks of any bytes at all that nothing is read beyond them, that what is
// read is what another parser reads, and that a server's text cannot reach a terminal
// as anything but text.
func FuzzMessage(f *testing.F) {
	id := stun.NewTransactionIDSetter([12]byte{1, 2, 3})
	four := &stun.XORMappedAddress{IP: []byte{192, 0, 2, 1}, Port: 4000}
	six := &stun.XORMappedAddress{IP: netip.MustParseAddr("2001:db8::1").AsSlice(), Port: 4000}
	f.Add(stun.MustBuild(id, stun.BindingSuccess, four, stun.NewSoftware("x\x1b"), stun.Fingerprint).Raw)
	f.Add(stun.MustBuild(id, stun.BindingSuccess, six, &stun.OtherAddress{IP: six.IP, Port: 1}).Raw)
	f.Add(stun.MustBuild(id, stun.BindingError, stun.CodeUnknownAttribute).Raw)
	f.Fuzz(func(t *testing.T, p []byte) {
		p = bytes.Clone(p)[:len(p):len(p)]
		m, ok := parseMessage(p)
		if !ok {
			return
		}
		if m.software != printable([]byte(m.software)) {
			t.Fatalf("software %q", m.software)
		}
		theirs := new(stun.Message)
		if err := stun.Decode(p, theirs); err != nil || !wire.WellFormed(p) {
			t.Fatalf("pion cannot read what was read: %v", err)
		}
		last, has := netip.AddrPort{}, false
		for _, a := range theirs.Attributes {
			if a.Type == stun.AttrOtherAddress {
				last, has = parseAddress(a.Value)
			}
		}
		if has && m.other != last {
			t.Fatalf("OTHER-ADDRESS %v, but another parser finds %v", m.other, last)
		}
		if again := appendAddress(nil, attrOtherAddress, m.other); has && !bytes.Contains(p, again[6:]) {
			t.Fatalf("%v is not written back the same", m.other)
		}
	})
}
