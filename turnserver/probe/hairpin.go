package probe

import "errors"

// hairpinReason explains the stable reasons that Hairpin gives authenticated users as
// the phrase of an error, or returns nothing for the phrases of others.
func hairpinReason(phrase string) (words, hint string) {
	const lan = "--peer-profile lan opens these"
	explained := map[string][2]string{
		"bad-request":       {"the request cannot be what it should", ""},
		"unknown-attribute": {"it does not know an attribute that it would have to", ""},
		"bad-channel":       {"the channel number is out of range", "--legacy-channels takes those of RFC 5766 too"},
		"channel-conflict":  {"the channel or the peer is bound otherwise", ""},
		"no-peer":           {"the request names no peer", ""},
		"other-user":        {"the allocation is another user's", "does something else here use the same port, or a NAT reuse it?"},

		"no-allocation":         {"there is no allocation of ours: it has ended, or a NAT has changed our port", ""},
		"allocation-exists":     {"this port has an allocation already", "wait for it to lapse: 10 minutes at most"},
		"unsupported-family":    {"it has no address of this family to relay on", "add one with --relay-address"},
		"family-mismatch":       {"the peer is of another family than the relayed address", ""},
		"unsupported-transport": {"it does not relay this transport", ""},
		"quota-user":            {"this user has as many allocations as one user may", "wait for old ones to lapse, or raise --max-allocations-per-user"},
		"quota-address":         {"this address has as many allocations as one may", "wait for old ones to lapse, or raise --max-allocations-per-address"},
		"quota-server":          {"the server has as many allocations as it may", "raise --max-allocations, or add a server"},
		"no-port":               {"every relay port is lent", "widen --relay-ports"},
		"no-reservation":        {"it has not reserved that port, or no longer", ""},
		"too-many-permissions":  {"this allocation has as many permissions as one may", "raise --max-permissions"},
		"too-many-channels":     {"this allocation has as many channels as one may", "raise --max-channels"},
		"draining":              {"the server is about to stop", "use another, or try again in a minute"},

		"peer-denied-unspecified":   {"the peer is no address of a host", ""},
		"peer-denied-loopback":      {"the peer is on loopback", ""},
		"peer-denied-link-local":    {"the peer is a link-local address", ""},
		"peer-denied-metadata":      {"the peer is a cloud's metadata service", ""},
		"peer-denied-private":       {"the peer is in a private network", lan + ", --allow-peer one of them"},
		"peer-denied-shared":        {"the peer is behind a carrier-grade NAT", lan},
		"peer-denied-multicast":     {"the peer is a multicast address", ""},
		"peer-denied-reserved":      {"the peer is in a reserved range", ""},
		"peer-denied-documentation": {"the peer is an address for documentation", ""},
		"peer-denied-translated":    {"the peer is an IPv6 address that stands for an IPv4 one", "use that one"},
		"peer-denied-own":           {"the peer is an address of the server itself", ""},
		"peer-denied-configured":    {"the operator denies this peer", "see --deny-peer"},
		"peer-denied-profile":       {"the profile allows listed peers only", "see --peer-profile and --allow-peer"},
		"peer-denied-port":          {"the port is none of a peer", ""},
	}
	e := explained[phrase]
	return e[0], e[1]
}

// because adds to a step why a server of ours refused.
func (s Step) because(err error) Step {
	var r *refusal
	if !errors.As(err, &r) {
		return s
	}
	if words, hint := hairpinReason(r.phrase); words != "" {
		s.Words += ": " + words
		if hint != "" {
			s.Hint = hint
		}
	}
	return s
}
