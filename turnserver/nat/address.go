package nat

import "net/netip"

// carrierGrade is the address range between a carrier's NAT and its customers' (RFC
// 6598).
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// scope is how far an address reaches.
type scope uint8

const (
	nowhere scope = iota
	onHost
	onLink
	private
	global
)

func scopeOf(a netip.Addr) scope {
	switch {
	case a.IsLoopback():
		return onHost
	case a.IsLinkLocalUnicast():
		return onLink
	case a.IsPrivate() || carrierGrade.Contains(a):
		return private
	case a.IsGlobalUnicast() && !a.Is4In6():
		return global
	}
	return nowhere
}

// sendable reports whether an address that a server named may be sent to: a server must
// not be able to aim packets at what only this host or its network reaches.
func sendable(named, server netip.AddrPort) bool {
	reach := scopeOf(named.Addr())
	return named.Port() != 0 && named.Addr().Is4() == server.Addr().Is4() &&
		(reach == global || reach != nowhere && reach == scopeOf(server.Addr()))
}

// usableOther reports whether OTHER-ADDRESS is a second address with a second port.
func usableOther(other, server netip.AddrPort) bool {
	return sendable(other, server) && other.Addr() != server.Addr() && other.Port() != server.Port()
}
