package control

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func addrs(list ...string) []netip.Addr {
	var a []netip.Addr
	for _, s := range list {
		a = append(a, netip.MustParseAddr(s))
	}
	return a
}

func testPolicy(t testing.TB, c PolicyConfig) *Policy {
	t.Helper()
	p, err := NewPolicy(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// deniedRows restates the table of denied peers, to hold the code against: by default
// all of a row has the reason, but for what narrower rows say. What the profile lan
// re-opens is marked.
var deniedRows = []struct {
	prefix string
	reason Reason
	lan    bool
}{
	{"0.0.0.0/8", PeerDeniedUnspecified, false},
	{"10.0.0.0/8", PeerDeniedPrivate, true},
	{"100.64.0.0/10", PeerDeniedShared, true},
	{"127.0.0.0/8", PeerDeniedLoopback, false},
	{"169.254.0.0/16", PeerDeniedLinkLocal, false},
	{"172.16.0.0/12", PeerDeniedPrivate, true},
	{"192.0.0.0/24", PeerDeniedReserved, false},
	{"192.0.2.0/24", PeerDeniedDocumentation, false},
	{"192.31.196.0/24", PeerDeniedReserved, false},
	{"192.52.193.0/24", PeerDeniedReserved, false},
	{"192.175.48.0/24", PeerDeniedReserved, false},
	{"192.88.99.0/24", PeerDeniedReserved, false},
	{"192.168.0.0/16", PeerDeniedPrivate, true},
	{"198.18.0.0/15", PeerDeniedReserved, false},
	{"198.51.100.0/24", PeerDeniedDocumentation, false},
	{"203.0.113.0/24", PeerDeniedDocumentation, false},
	{"224.0.0.0/4", PeerDeniedMulticast, false},
	{"240.0.0.0/4", PeerDeniedReserved, false},
	{"255.255.255.255/32", PeerDeniedMulticast, false},
	{"168.63.129.16/32", PeerDeniedMetadata, false},
	{"169.254.169.254/32", PeerDeniedMetadata, false},
	{"169.254.170.2/32", PeerDeniedMetadata, false},
	{"169.254.170.23/32", PeerDeniedMetadata, false},
	{"100.100.100.200/32", PeerDeniedMetadata, false},
	{"192.0.0.192/32", PeerDeniedMetadata, false},
	{"::/128", PeerDeniedUnspecified, false},
	{"::1/128", PeerDeniedLoopback, false},
	{"::/96", PeerDeniedTranslated, false},
	{"::ffff:0:0:0/96", PeerDeniedTranslated, false},
	{"64:ff9b::/96", PeerDeniedTranslated, false},
	{"64:ff9b:1::/48", PeerDeniedTranslated, false},
	{"100::/64", PeerDeniedReserved, false},
	{"100:0:0:1::/64", PeerDeniedReserved, false},
	{"2001::/23", PeerDeniedReserved, false},
	{"2001::/32", PeerDeniedTranslated, false},
	{"2001:2::/48", PeerDeniedReserved, false},
	{"2001:db8::/32", PeerDeniedDocumentation, false},
	{"3fff::/20", PeerDeniedDocumentation, false},
	{"2002::/16", PeerDeniedTranslated, false},
	{"2620:4f:8000::/48", PeerDeniedReserved, false},
	{"5f00::/16", PeerDeniedReserved, false},
	{"fc00::/7", PeerDeniedPrivate, true},
	{"fd00:ec2::254/128", PeerDeniedMetadata, false},
	{"fd00:ec2::23/128", PeerDeniedMetadata, false},
	{"fd20:ce::254/128", PeerDeniedMetadata, false},
	{"fe80::/10", PeerDeniedLinkLocal, false},
	{"fec0::/10", PeerDeniedReserved, false},
	{"ff00::/8", PeerDeniedMulticast, false},
	{"3ffe::/16", PeerDeniedReserved, false},
	// All but 2000::/3.
	{"::/3", PeerDeniedReserved, false},
	{"4000::/2", PeerDeniedReserved, false},
	{"8000::/1", PeerDeniedReserved, false},
}

// expectedReason is what deniedRows say of an address, by plain search.
func expectedReason(a netip.Addr, profile Profile) Reason {
	reason, bits := None, -1
	for _, r := range deniedRows {
		p := netip.MustParsePrefix(r.prefix)
		if p.Contains(a) && p.Bits() > bits {
			reason, bits = r.reason, p.Bits()
			if r.lan && profile == ProfileLAN {
				reason = None
			}
		}
	}
	return reason
}

// edges returns the first, the middle and the last address of a prefix.
func edges(p netip.Prefix) (first, middle, last netip.Addr) {
	low, mid, high := p.Addr().AsSlice(), p.Addr().AsSlice(), p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(low)*8; bit++ {
		high[bit/8] |= 0x80 >> (bit % 8)
		if bit == p.Bits() {
			mid[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	first, _ = netip.AddrFromSlice(low)
	middle, _ = netip.AddrFromSlice(mid)
	last, _ = netip.AddrFromSlice(high)
	return first, middle, last
}

// SEC-01, SEC-07: every row, its bounds, and what lies just outside.
func TestPolicyRows(t *testing.T) {
	for _, profile := range []Profile{"", ProfilePublic, ProfileLAN} {
		policy := testPolicy(t, PolicyConfig{Profile: profile})
		for _, r := range deniedRows {
			p := netip.MustParsePrefix(r.prefix)
			first, middle, last := edges(p)
			for _, peer := range []netip.Addr{first, middle, last, first.Prev(), last.Next()} {
				if !peer.IsValid() {
					continue
				}
				want := expectedReason(peer.Unmap(), profile)
				if want == None && peer.Is4In6() {
					want = PeerDeniedTranslated
				}
				if got := policy.Check(peer); got != want {
					t.Errorf("profile %q: %v, at %v: %v, want %v", profile, peer, p, got, want)
				}
			}
		}
	}
}

func TestPolicyPermits(t *testing.T) {
	policy := testPolicy(t, PolicyConfig{})
	for _, peer := range addrs(
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255",
		"172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
		"223.255.255.255", "2000::", "2001:200::1", "2001:4860:4860::8888", "2001:db7::1", "2001:db9::1",
		"2003::1", "2606:4700::1111", "3ffd::1", "3fff:1000::1",
	) {
		if got := policy.Check(peer); got != None {
			t.Errorf("%v: %v", peer, got)
		}
	}
}

// SEC-02: other ways to write addresses are no way in, with any profile and entry.
func TestPolicyCanonical(t *testing.T) {
	wide := prefixes("0.0.0.0/0", "::/0")
	for _, c := range []PolicyConfig{
		{},
		{Profile: ProfileLAN},
		{Profile: ProfileSFU},
		{Allow: wide},
		{Profile: ProfileLAN, Allow: wide},
		{Profile: ProfileSFU, Allow: wide},
		{AllowLoopback: true},
		{AllowLoopback: true, Allow: wide, Relay: addrs("127.0.0.1", "10.0.0.1", "8.8.8.8")},
	} {
		policy := testPolicy(t, c)
		for _, peer := range addrs(
			"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:0:7f00:1", "0.0.0.0",
			"0.1.2.3", "::", "::ffff:0.0.0.0", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "2001:0:7f00:1::",
			"fe80::1%eth0", "::1%lo", "2001:4860:4860::8888%eth0", "::ffff:127.0.0.1%lo", "::ffff:8.8.8.8%eth0",
		) {
			if policy.Check(peer) == None {
				t.Errorf("%+v permits %v", c, peer)
			}
			if (peer.Is4In6() || peer.Zone() != "") && policy.Explicit(peer) {
				t.Errorf("%+v: %v is explicit", c, peer)
			}
		}
		if got := policy.Check(netip.Addr{}); got != PeerDeniedUnspecified {
			t.Errorf("%+v: the zero address: %v", c, got)
		}
	}
}

// The reason is the most telling there is.
func TestPolicyReasonsOfOtherForms(t *testing.T) {
	policy := testPolicy(t, PolicyConfig{})
	for peer, want := range map[string]Reason{
		"::ffff:127.0.0.1":          PeerDeniedLoopback,
		"::ffff:169.254.169.254":    PeerDeniedMetadata,
		"::ffff:10.0.0.1":           PeerDeniedPrivate,
		"::ffff:8.8.8.8":            PeerDeniedTranslated,
		"::1%lo":                    PeerDeniedLoopback,
		"2001:4860:4860::8888%eth0": PeerDeniedLinkLocal,
	} {
		if got := policy.Check(netip.MustParseAddr(peer)); got != want {
			t.Errorf("%v: %v, want %v", peer, got, want)
		}
	}
}

func TestPolicyConfigured(t *testing.T) {
	for _, c := range []struct {
		name   string
		config PolicyConfig
		want   map[string]Reason
	}{
		{
			"own addresses are denied", // SEC-08
			PolicyConfig{Own: addrs("8.8.4.4", "::ffff:9.9.9.9", "2606:4700::1", "fe80::1%eth0", "0.0.0.0")},
			map[string]Reason{
				"8.8.4.4": PeerDeniedOwn, "9.9.9.9": PeerDeniedOwn, "2606:4700::1": PeerDeniedOwn,
				"fe80::1": PeerDeniedLinkLocal, "8.8.4.5": None, "2606:4700::2": None,
			},
		},
		{
			"relay addresses are permitted whatever they are", // SEC-04
			PolicyConfig{
				Relay: addrs("8.8.4.4", "10.0.0.1", "127.0.0.1", "fd00::1", "::ffff:192.168.0.1"),
				Own:   addrs("8.8.4.4", "10.0.0.1", "127.0.0.1"),
				Deny:  prefixes("8.0.0.0/8", "8.8.4.4/32"),
			},
			map[string]Reason{
				"8.8.4.4": None, "10.0.0.1": None, "127.0.0.1": None, "fd00::1": None, "192.168.0.1": None,
				"10.0.0.2": PeerDeniedPrivate, "127.0.0.2": PeerDeniedLoopback, "8.8.8.8": PeerDeniedConfigured,
				"::ffff:8.8.4.4": PeerDeniedTranslated,
			},
		},
		{
			"denied ranges",
			PolicyConfig{Deny: prefixes("8.8.0.0/16", "2606:4700::/32", "10.0.0.0/8", "::ffff:9.0.0.0/104")},
			map[string]Reason{
				"8.8.8.8": PeerDeniedConfigured, "8.9.0.0": None, "2606:4700::1": PeerDeniedConfigured,
				"10.0.0.1": PeerDeniedPrivate, "9.1.2.3": PeerDeniedConfigured,
			},
		},
		{
			"allowed ranges re-open their rows and no others",
			PolicyConfig{Allow: prefixes("10.1.0.0/16", "fd12::/16", "169.254.0.0/16", "240.0.0.0/4", "64:ff9b::/96")},
			map[string]Reason{
				"10.1.2.3": None, "10.2.0.1": PeerDeniedPrivate, "192.168.0.1": PeerDeniedPrivate,
				"fd12::1": None, "fd13::1": PeerDeniedPrivate, "169.254.1.1": None,
				"169.254.169.254": PeerDeniedMetadata, "240.0.0.1": None, "255.255.255.255": PeerDeniedMulticast,
				"64:ff9b::808:808": None, "64:ff9b:1::1": PeerDeniedTranslated, "::ffff:10.1.2.3": PeerDeniedTranslated,
			},
		},
		{
			"the widest allow entries re-open nothing dangerous",
			PolicyConfig{Allow: prefixes("0.0.0.0/0", "::/0"), Own: addrs("10.0.0.5")},
			map[string]Reason{
				"10.0.0.1": None, "fd00::1": None, "8.8.8.8": None, "127.0.0.1": PeerDeniedLoopback,
				"0.0.0.0": PeerDeniedUnspecified, "0.1.2.3": PeerDeniedUnspecified, "224.0.0.1": PeerDeniedMulticast,
				"::": PeerDeniedUnspecified, "::1": PeerDeniedLoopback, "ff02::1": PeerDeniedMulticast,
				"169.254.169.254": PeerDeniedMetadata, "fd00:ec2::254": PeerDeniedMetadata,
				"2002:7f00:1::": PeerDeniedTranslated, "10.0.0.5": PeerDeniedOwn,
			},
		},
		{
			"a metadata service or an own address is allowed by its name",
			PolicyConfig{
				Allow: prefixes("169.254.169.254/32", "fd00:ec2::254/128", "8.8.4.4/32", "10.0.0.5/32"),
				Own:   addrs("8.8.4.4", "8.8.4.5", "10.0.0.5", "10.0.0.6"),
			},
			map[string]Reason{
				"169.254.169.254": None, "fd00:ec2::254": None, "8.8.4.4": None, "10.0.0.5": None,
				"8.8.4.5": PeerDeniedOwn, "10.0.0.6": PeerDeniedPrivate, "169.254.170.2": PeerDeniedMetadata,
			},
		},
		{
			"of allow and deny the narrower wins, of equals deny",
			PolicyConfig{
				Allow: prefixes("10.1.0.0/16", "10.2.0.0/16", "8.8.8.0/24", "192.168.0.0/16"),
				Deny:  prefixes("10.0.0.0/8", "10.1.1.0/24", "10.2.0.0/16", "8.8.0.0/16", "192.168.0.0/24"),
			},
			map[string]Reason{
				"10.1.2.3": None, "10.1.1.1": PeerDeniedPrivate, "10.2.0.1": PeerDeniedPrivate,
				"10.3.0.1": PeerDeniedPrivate, "8.8.8.8": None, "8.8.4.4": PeerDeniedConfigured,
				"192.168.0.1": PeerDeniedPrivate, "192.168.1.1": None,
			},
		},
		{
			"lan keeps own addresses, metadata services and denied ranges closed",
			PolicyConfig{Profile: ProfileLAN, Own: addrs("10.0.0.5"), Deny: prefixes("192.168.7.0/24")},
			map[string]Reason{
				"10.0.0.1": None, "172.16.0.1": None, "100.64.0.1": None, "fd00::1": None, "8.8.8.8": None,
				"10.0.0.5": PeerDeniedOwn, "192.168.7.1": PeerDeniedConfigured, "192.168.8.1": None,
				"100.100.100.200": PeerDeniedMetadata, "fd00:ec2::254": PeerDeniedMetadata,
				"fd20:ce::254": PeerDeniedMetadata, "168.63.129.16": PeerDeniedMetadata,
				"192.0.0.192": PeerDeniedMetadata, "169.254.1.1": PeerDeniedLinkLocal, "127.0.0.1": PeerDeniedLoopback,
				"fe80::1": PeerDeniedLinkLocal, "fec0::1": PeerDeniedReserved,
			},
		},
		{
			"sfu permits what is listed",
			PolicyConfig{
				Profile: ProfileSFU, Allow: prefixes("10.1.0.0/16", "8.8.8.0/24", "2606:4700::/32"),
				Deny: prefixes("8.8.8.7/32"), Relay: addrs("192.168.0.1"), Own: addrs("10.1.0.5"),
			},
			map[string]Reason{
				"10.1.2.3": None, "8.8.8.8": None, "2606:4700::1": None, "192.168.0.1": None,
				"8.8.4.4": PeerDeniedProfile, "2606:4701::1": PeerDeniedProfile, "10.2.0.1": PeerDeniedProfile,
				"127.0.0.1": PeerDeniedProfile, "8.8.8.7": PeerDeniedConfigured, "10.1.0.5": PeerDeniedOwn,
				"::ffff:8.8.4.4": PeerDeniedTranslated,
			},
		},
		{
			"sfu with nothing listed",
			PolicyConfig{Profile: ProfileSFU},
			map[string]Reason{"8.8.8.8": PeerDeniedProfile, "2606:4700::1": PeerDeniedProfile, "::1": PeerDeniedProfile},
		},
		{
			"loopback for tests",
			PolicyConfig{
				AllowLoopback: true, Own: addrs("127.0.0.1", "::1", "8.8.4.4"),
				Allow: prefixes("127.0.0.0/8"), Deny: prefixes("127.1.0.0/16"),
			},
			map[string]Reason{
				"127.0.0.1": None, "127.0.0.2": None, "::1": None, "127.1.0.1": PeerDeniedLoopback,
				"8.8.4.4": PeerDeniedOwn, "10.0.0.1": PeerDeniedPrivate, "0.0.0.0": PeerDeniedUnspecified,
				"::ffff:127.0.0.1": PeerDeniedTranslated, "::127.0.0.1": PeerDeniedTranslated,
			},
		},
		{
			"loopback for tests, sfu",
			PolicyConfig{Profile: ProfileSFU, AllowLoopback: true},
			map[string]Reason{"127.0.0.1": None, "::1": None, "8.8.8.8": PeerDeniedProfile},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy := testPolicy(t, c.config)
			for peer, want := range c.want {
				if got := policy.Check(netip.MustParseAddr(peer)); got != want {
					t.Errorf("%v: %v, want %v", peer, got, want)
				}
			}
		})
	}
}

func TestPolicyExplicit(t *testing.T) {
	policy := testPolicy(t, PolicyConfig{
		Allow: prefixes("10.1.0.0/16", "10.1.2.3/32", "10.1.2.4/32", "2606:4700::1/128"),
		Deny:  prefixes("10.1.2.4/32"), Relay: addrs("192.168.0.1", "10.1.2.3", "10.1.0.1"),
	})
	loopback := testPolicy(t, PolicyConfig{AllowLoopback: true})
	for peer, want := range map[string]bool{
		"10.1.2.3": true, "10.1.2.4": false, "10.1.0.1": false, "2606:4700::1": true, "2606:4700::2": false, "8.8.8.8": false,
		"192.168.0.1": false, "127.0.0.1": false, "::1": false,
	} {
		if got := policy.Explicit(netip.MustParseAddr(peer)); got != want {
			t.Errorf("%v: %v, want %v", peer, got, want)
		}
	}
	if !loopback.Explicit(netip.MustParseAddr("127.0.0.1")) || !loopback.Explicit(netip.IPv6Loopback()) {
		t.Error("loopback is not explicit with AllowLoopback")
	}
	if policy.Explicit(netip.Addr{}) {
		t.Error("the zero address is explicit")
	}
}

// All faults are told at once, each with its entry and what to do.
func TestPolicyFaults(t *testing.T) {
	_, err := NewPolicy(PolicyConfig{
		Profile: "open",
		Allow:   append(prefixes("127.0.0.0/8", "::1/128", "0.0.0.0/32", "239.1.0.0/16", "10.1.2.3/8", "::ffff:0.0.0.0/90"), netip.Prefix{}),
		Deny:    append(prefixes("10.1.2.3/16", "2606:4700::1/32"), netip.Prefix{}),
		Relay:   append(addrs("0.0.0.0", "::", "224.0.0.1"), netip.Addr{}),
		Own:     []netip.Addr{{}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`peer profile "open": want public, lan or sfu`,
		"allow 127.0.0.0/8: nothing re-opens 127.0.0.0/8 (peer-denied-loopback): remove the entry, or for tests set allow_loopback_for_tests",
		"allow ::1/128: nothing re-opens ::1/128 (peer-denied-loopback)",
		"allow 0.0.0.0/32: nothing re-opens 0.0.0.0/8 (peer-denied-unspecified): remove the entry",
		"allow 239.1.0.0/16: nothing re-opens 224.0.0.0/4 (peer-denied-multicast): remove the entry",
		"allow 10.1.2.3/8 has bits beyond its length: write 10.0.0.0/8, or 10.1.2.3/32 for the one address",
		"allow ::ffff:0.0.0.0/90 is wider than all of IPv4: write IPv4 ranges as IPv4",
		"allow invalid Prefix: want a prefix such as 192.0.2.0/24",
		"deny 10.1.2.3/16 has bits beyond its length: write 10.1.0.0/16, or 10.1.2.3/32 for the one address",
		"deny 2606:4700::1/32 has bits beyond its length: write 2606:4700::/32, or 2606:4700::1/128 for the one address",
		"deny invalid Prefix: want",
		"relay address 0.0.0.0 is no host's: give the one that peers are to send to",
		"relay address :: is no host's",
		"relay address 224.0.0.1 is no host's",
		"relay address invalid IP: want an IP address",
		"own address invalid IP: want an IP address",
	} {
		if !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("no line %q in:\n%v", want, err)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 16 {
		t.Errorf("%d faults, want 16:\n%v", lines, err)
	}
}

// naiveCheck decides as PolicyConfig's documentation says, by plain search.
func naiveCheck(c PolicyConfig, peer netip.Addr) Reason {
	narrowest := func(list []netip.Prefix) int {
		bits := -1
		for _, p := range list {
			if p.Contains(peer) {
				bits = max(bits, p.Bits())
			}
		}
		return bits
	}
	allow, deny := narrowest(c.Allow), narrowest(c.Deny)
	allowed := allow > deny
	reason := expectedReason(peer, c.Profile)
	if slices.Contains(c.Relay, peer) {
		return None
	}
	if c.Profile == ProfileSFU && allow < 0 {
		return PeerDeniedProfile
	}
	if reason != None && !(allowed && naiveReopens(peer, allow)) {
		return reason
	}
	if slices.Contains(c.Own, peer) && !(allowed && allow == peer.BitLen()) {
		return PeerDeniedOwn
	}
	if deny >= 0 && !allowed {
		return PeerDeniedConfigured
	}
	return None
}

// naiveReopens tells whether an Allow entry of so many bits re-opens a denied peer.
func naiveReopens(peer netip.Addr, allow int) bool {
	bits := -1
	for _, r := range deniedRows {
		if p := netip.MustParsePrefix(r.prefix); p.Contains(peer) {
			bits = max(bits, p.Bits())
		}
	}
	switch expectedReason(peer, ProfilePublic) {
	case PeerDeniedUnspecified, PeerDeniedLoopback, PeerDeniedMulticast:
		return false
	case PeerDeniedMetadata, PeerDeniedTranslated:
		return allow >= bits
	default:
		return true
	}
}

// Random configurations and addresses, against the naive reading.
func TestPolicyAgainstNaive(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			c := randomPolicy(random)
			policy := testPolicy(t, c)
			for range 1500 {
				peer := randomPeer(random, c)
				want := naiveCheck(c, peer)
				if got := policy.Check(peer); got != want {
					t.Fatalf("%+v: %v: %v, want %v", c, peer, got, want)
				}
				checkOtherForms(t, policy, peer, want)
			}
		})
	}
}

// checkOtherForms wants no weaker an answer for other forms of a peer address.
func checkOtherForms(t *testing.T, policy *Policy, peer netip.Addr, want Reason) {
	t.Helper()
	other := peer.WithZone("eth0")
	if peer.Is4() {
		other = netip.AddrFrom16(peer.As16())
	}
	got := policy.Check(other)
	if got == None || want != None && want != PeerDeniedProfile && got != want {
		t.Fatalf("%v is %v, but %v is %v", peer, want, other, got)
	}
}

func randomPolicy(random *rand.Rand) PolicyConfig {
	c := PolicyConfig{Profile: []Profile{"", ProfilePublic, ProfileLAN, ProfileSFU}[random.IntN(4)]}
	for range random.IntN(6) {
		if p := randomPrefix(random, c); !slices.ContainsFunc(deniedPeers(), func(r row) bool {
			return r.reopen == byNothing && r.Overlaps(p) && r.Bits() <= p.Bits()
		}) {
			c.Allow = append(c.Allow, p)
		}
	}
	for range random.IntN(6) {
		c.Deny = append(c.Deny, randomPrefix(random, c))
	}
	for range random.IntN(4) {
		c.Own = append(c.Own, randomPeer(random, c))
	}
	if a := randomPeer(random, c); !a.IsUnspecified() && !a.IsMulticast() {
		c.Relay = append(c.Relay, a)
	}
	return c
}

// randomPrefix returns any prefix, or one of the same place as others.
func randomPrefix(random *rand.Rand, c PolicyConfig) netip.Prefix {
	a := randomPeer(random, c)
	p, _ := a.Prefix(random.IntN(a.BitLen() + 1))
	return p
}

// randomPeer returns an address at, in or near what tells addresses apart, or any.
func randomPeer(random *rand.Rand, c PolicyConfig) netip.Addr {
	var peer netip.Addr
	places := append(slices.Clone(c.Allow), c.Deny...)
	switch random.IntN(8) {
	case 0:
		b := [4]byte{}
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		peer = netip.AddrFrom4(b)
	case 1:
		b := [16]byte{}
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		peer = netip.AddrFrom16(b)
	case 2:
		if list := append(slices.Clone(c.Own), c.Relay...); len(list) > 0 {
			return list[random.IntN(len(list))]
		}
		fallthrough
	default:
		p := netip.MustParsePrefix(deniedRows[random.IntN(len(deniedRows))].prefix)
		if len(places) > 0 && random.IntN(2) == 0 {
			p = places[random.IntN(len(places))]
		}
		first, middle, last := edges(p)
		near := []netip.Addr{first, middle, last, first.Prev(), last.Next(), randomIn(random, p)}
		peer = near[random.IntN(len(near))]
	}
	if !peer.IsValid() || peer.Is4In6() {
		return netip.MustParseAddr("8.8.8.8")
	}
	return peer
}

func randomIn(random *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		if random.IntN(2) == 0 {
			b[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestPolicyAllocatesNothing(t *testing.T) {
	policy := testPolicy(t, PolicyConfig{})
	peers := addrs("8.8.8.8", "10.0.0.1", "2606:4700::1", "::ffff:10.0.0.1")
	if got := testing.AllocsPerRun(100, func() {
		for _, peer := range peers {
			policy.Check(peer)
			policy.Explicit(peer)
		}
	}); got != 0 {
		t.Errorf("checking peers allocates %v times", got)
	}
}

func BenchmarkPolicyCheck(b *testing.B) {
	policy := testPolicy(b, PolicyConfig{})
	for _, peer := range addrs("8.8.8.8", "192.168.0.1", "2606:4700::1") {
		b.Run(peer.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				policy.Check(peer)
			}
		})
	}
}

// Operators deny whole lists of networks.
func BenchmarkNewPolicy(b *testing.B) {
	var c PolicyConfig
	for i := range 50_000 {
		a := netip.AddrFrom4([4]byte{byte(20 + i>>16), byte(i >> 8), byte(i), 0})
		c.Deny = append(c.Deny, netip.PrefixFrom(a, 24))
	}
	for b.Loop() {
		if _, err := NewPolicy(c); err != nil {
			b.Fatal(err)
		}
	}
}
