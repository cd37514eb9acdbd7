package control

import "net/netip"

// reopening is what re-opens a row of the table of denied peers.
type reopening uint8

const (
	byAllow   reopening = iota // an allow entry that covers the address
	byProfile                  // that, or the profile lan
	byName                     // only an allow entry that lies within the row: it names what the row is about
	byNothing
)

// row is one range of the table of denied peers.
type row struct {
	netip.Prefix
	reason Reason
	reopen reopening
}

// deniedPeers returns the table of peers that are denied by default. Of the rows that
// cover an address the narrowest counts. Most come from the IANA special-purpose
// address registries (RFC 6890); some of them ::/0 would deny as well. IPv4-mapped
// addresses are no row: they are looked up as the IPv4 address they stand for.
func deniedPeers() []row {
	p := netip.MustParsePrefix
	return []row{
		{p("0.0.0.0/8"), PeerDeniedUnspecified, byNothing},        // "this host": Linux delivers it to loopback
		{p("10.0.0.0/8"), PeerDeniedPrivate, byProfile},           // RFC 1918
		{p("100.64.0.0/10"), PeerDeniedShared, byProfile},         // carrier-grade NAT (RFC 6598), and overlay networks
		{p("100.100.100.200/32"), PeerDeniedMetadata, byName},     // Alibaba Cloud
		{p("127.0.0.0/8"), PeerDeniedLoopback, byNothing},         // this host's own services
		{p("168.63.129.16/32"), PeerDeniedMetadata, byName},       // Azure: public space, internal service
		{p("169.254.0.0/16"), PeerDeniedLinkLocal, byAllow},       // RFC 3927
		{p("169.254.169.254/32"), PeerDeniedMetadata, byName},     // most clouds
		{p("169.254.170.2/32"), PeerDeniedMetadata, byName},       // AWS: credentials of ECS tasks
		{p("169.254.170.23/32"), PeerDeniedMetadata, byName},      // AWS: credentials of EKS pods
		{p("172.16.0.0/12"), PeerDeniedPrivate, byProfile},        // RFC 1918
		{p("192.0.0.0/24"), PeerDeniedReserved, byAllow},          // IETF protocol assignments, DS-Lite
		{p("192.0.0.192/32"), PeerDeniedMetadata, byName},         // Oracle Cloud
		{p("192.0.2.0/24"), PeerDeniedDocumentation, byAllow},     // TEST-NET-1
		{p("192.31.196.0/24"), PeerDeniedReserved, byAllow},       // AS112: anycast, where no peer lives
		{p("192.52.193.0/24"), PeerDeniedReserved, byAllow},       // AMT: anycast
		{p("192.88.99.0/24"), PeerDeniedReserved, byAllow},        // 6to4 relays: dead anycast
		{p("192.168.0.0/16"), PeerDeniedPrivate, byProfile},       // RFC 1918
		{p("192.175.48.0/24"), PeerDeniedReserved, byAllow},       // AS112: anycast
		{p("198.18.0.0/15"), PeerDeniedReserved, byAllow},         // benchmarking; used inside labs and meshes
		{p("198.51.100.0/24"), PeerDeniedDocumentation, byAllow},  // TEST-NET-2
		{p("203.0.113.0/24"), PeerDeniedDocumentation, byAllow},   // TEST-NET-3
		{p("224.0.0.0/4"), PeerDeniedMulticast, byNothing},        // one packet in, many out
		{p("240.0.0.0/4"), PeerDeniedReserved, byAllow},           // never assigned
		{p("255.255.255.255/32"), PeerDeniedMulticast, byNothing}, // broadcast, likewise
		{p("::/0"), PeerDeniedReserved, byAllow},                  // no host has an address outside 2000::/3
		{p("::/96"), PeerDeniedTranslated, byName},                // IPv4-compatible: IPv4 in another coat
		{p("::/128"), PeerDeniedUnspecified, byNothing},           // delivered to loopback
		{p("::1/128"), PeerDeniedLoopback, byNothing},             // this host's own services
		{p("::ffff:0:0:0/96"), PeerDeniedTranslated, byName},      // IPv4-translated (RFC 2765)
		{p("64:ff9b::/96"), PeerDeniedTranslated, byName},         // NAT64 (RFC 6052)
		{p("64:ff9b:1::/48"), PeerDeniedTranslated, byName},       // local NAT64 (RFC 8215)
		{p("100::/64"), PeerDeniedReserved, byAllow},              // discard-only (RFC 6666)
		{p("100:0:0:1::/64"), PeerDeniedReserved, byAllow},        // dummy prefix (RFC 9780)
		{p("2000::/3"), None, byAllow},                            // global unicast
		{p("2001::/23"), PeerDeniedReserved, byAllow},             // IETF protocol assignments: benchmarking, ORCHID
		{p("2001::/32"), PeerDeniedTranslated, byName},            // Teredo (RFC 4380)
		{p("2001:db8::/32"), PeerDeniedDocumentation, byAllow},    // RFC 3849
		{p("2002::/16"), PeerDeniedTranslated, byName},            // 6to4 (RFC 3056)
		{p("2620:4f:8000::/48"), PeerDeniedReserved, byAllow},     // AS112: anycast
		{p("3ffe::/16"), PeerDeniedReserved, byAllow},             // 6bone, given back
		{p("3fff::/20"), PeerDeniedDocumentation, byAllow},        // RFC 9637
		{p("5f00::/16"), PeerDeniedReserved, byAllow},             // segment routing identifiers (RFC 9602)
		{p("fc00::/7"), PeerDeniedPrivate, byProfile},             // unique local (RFC 4193)
		{p("fd00:ec2::254/128"), PeerDeniedMetadata, byName},      // AWS
		{p("fd00:ec2::23/128"), PeerDeniedMetadata, byName},       // AWS: credentials of EKS pods
		{p("fd20:ce::254/128"), PeerDeniedMetadata, byName},       // Google Cloud
		{p("fe80::/10"), PeerDeniedLinkLocal, byAllow},            // RFC 4291
		{p("fec0::/10"), PeerDeniedReserved, byAllow},             // site-local, deprecated (RFC 3879)
		{p("ff00::/8"), PeerDeniedMulticast, byNothing},           // one packet in, many out
	}
}
