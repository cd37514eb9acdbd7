package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/relay"
)

// TestAlternate is what NAT behaviour discovery is offered on: each pair as the primary
// and the alternate transport address.
func TestAlternate(t *testing.T) {
	h := testHost(nil)
	own, _ := h.addrs()
	h.addrs = func() ([]netip.Addr, error) {
		return append(slices.Clone(own), netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11"), netip.MustParseAddr("10.0.0.1")), nil
	}
	for _, tt := range []struct{ args, want string }{
		{"", ""},
		{"--listen=192.0.2.10:3478", ""},
		{"--listen=192.0.2.10:3478 --alternate-address=192.0.2.11", "192.0.2.10:3478 192.0.2.11:3479"},
		{"--listen=192.0.2.10:3478 --alternate-address=192.0.2.11:9", "192.0.2.10:3478 192.0.2.11:9"},
		{"--listen=192.0.2.10:65535 --alternate-address=192.0.2.11 --relay-ports=50000-51000", "192.0.2.10:65535 192.0.2.11:65534"},
		{"--listen=[2001:db8::10]:3478 --alternate-address=[2001:db8::11]:9", "[2001:db8::10]:3478 [2001:db8::11]:9"},
		{"--listen=[2001:db8::10]:3478 --alternate-address=2001:db8::11", "[2001:db8::10]:3478 [2001:db8::11]:3479"},
		{"--listen=192.0.2.11:1,192.0.2.10:3 --alternate-address=192.0.2.11", "192.0.2.10:3 192.0.2.11:4"},
		{"--alternate-address=192.0.2.11", "0.0.0.0:3478 192.0.2.11:3479"},
		{"--alternate-address=192.0.2.11,2001:db8::11", "0.0.0.0:3478 192.0.2.11:3479 [::]:3478 [2001:db8::11]:3479"},
		{"--relay-address=192.0.2.10 --alternate-address=192.0.2.11", "192.0.2.10:3478 192.0.2.11:3479"},
		{"--external-address=203.0.113.7 --alternate-address=2001:db8::11", "[::]:3478 [2001:db8::11]:3479"},

		// Two addresses that are listened on anyway.
		{"--listen=192.0.2.10:3478,192.0.2.11:3478", "192.0.2.10:3478 192.0.2.11:3479"},
		{"--listen=192.0.2.10:3478,192.0.2.11:5000", "192.0.2.10:3478 192.0.2.11:5000"},
		{"--listen=192.0.2.10:1,[2001:db8::10]:1,192.0.2.11:1,[2001:db8::11]:1", "192.0.2.10:1 192.0.2.11:2 [2001:db8::10]:1 [2001:db8::11]:2"},
		{"--listen=127.0.0.1:1,192.0.2.10:1,192.0.2.11:1", "192.0.2.10:1 192.0.2.11:2"},

		// What clients would not reach alike is not claimed.
		{"--listen=192.0.2.10:1,192.0.2.10:2", ""},
		{"--listen=192.0.2.10:1,[2001:db8::10]:1", ""},
		{"--listen=192.0.2.10:1,10.0.0.1:1", ""},
		{"--listen=127.0.0.1:1,192.0.2.10:1", ""},
		{"--listen=192.0.2.10:0,192.0.2.11:0", ""},
		{"--listen=192.0.2.10:49151,192.0.2.11:49151", ""},
		{"--listen=192.0.2.10:1,192.0.2.11:1 --external-address=203.0.113.7", ""},
		{"--listen=0.0.0.0:1,192.0.2.11:2", ""},
	} {
		s, err := serveFlagsOf(t, strings.Fields(tt.args)...).load(h).resolve(h)
		var got []string
		for _, p := range s.Discovery {
			got = append(got, p.primary.String(), p.alternate.String())
		}
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %q, want %q; %v", tt.args, got, tt.want, err)
		}
	}
}

func TestDiscoverySets(t *testing.T) {
	pair := func(primary, alternate string) addressPair {
		return addressPair{netip.MustParseAddrPort(primary), netip.MustParseAddrPort(alternate)}
	}
	relayed := netip.MustParseAddr("192.0.2.10")
	relays := []relay.Address{{Local: relayed, Advertised: relayed}}
	other := netip.MustParseAddr("192.0.2.11")
	want := nat.Addresses{IP: [2]nat.Address{{Local: relayed}, {Local: other}}, Port: [2]uint16{1, 2}}
	for _, primary := range []string{"192.0.2.10:1", "0.0.0.0:1"} {
		sets, err := discoverySets([]addressPair{pair(primary, "192.0.2.11:2")}, relays)
		if err != nil || len(sets) != 1 || sets[0] != want {
			t.Errorf("%s: got %v, %v", primary, sets, err)
		}
	}
	for want, p := range map[string]addressPair{
		"--alternate-address 192.0.2.10 is the address it is to be the alternate of":         pair("0.0.0.0:1", "192.0.2.10:2"),
		"--alternate-address 10.0.0.1 is private and 192.0.2.10 is public, so who reaches":   pair("0.0.0.0:1", "10.0.0.1:2"),
		"--alternate-address 2001:db8::11 has nothing to be the alternate of: no address of": pair("[::]:1", "[2001:db8::11]:2"),
	} {
		if sets, err := discoverySets([]addressPair{p}, relays); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, %v; want %s", sets, err, want)
		}
	}
}
