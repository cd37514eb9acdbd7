package nat

import (
	"net/netip"
	"slices"
)

// Report is what was found out about the way between this host and a server. The JSON
// names are stable.
type Report struct {
	Server      netip.AddrPort `json:"server"`
	Other       netip.AddrPort `json:"otherAddress,omitzero"` // of the server
	Software    string         `json:"software,omitempty"`    // of the server, by its own word
	RoundTripMs float64        `json:"roundTripMs,omitzero"`

	Local      netip.AddrPort `json:"local,omitzero"`
	Mapped     netip.AddrPort `json:"mapped,omitzero"` // what became of Local
	UDP        Answer         `json:"udp"`             // whether it passes at all
	Translated Answer         `json:"translated"`      // whether there is a NAT

	Mapping     Behaviour `json:"mapping"`
	Filtering   Behaviour `json:"filtering"`
	PopularName string    `json:"popularName,omitempty"`
	Hairpinning Answer    `json:"hairpinning"`
	Ports       Ports     `json:"ports"`
	Fragments   Fragments `json:"fragments"`

	// PathMTU is the longest IP packet that reached the server unfragmented, in bytes,
	// of the lengths that were tried; 0 if not known.
	PathMTU  int       `json:"pathMTU,omitzero"`
	Lifetime *Lifetime `json:"lifetime,omitempty"` // if it was asked for and found

	Remarks []Remark `json:"remarks,omitempty"`
	Gaps    []Gap    `json:"undetermined,omitempty"`
	Peers   []Peer   `json:"peers"`
}

// Ports says how a NAT chooses the ports of its mappings (RFC 4787 §4.2).
type Ports struct {
	Preservation Answer `json:"preservation"` // each is the internal port
	Parity       Answer `json:"parity"`       // each is odd if the internal port is
	Sampled      int    `json:"sampled"`      // how many mappings were looked at
}

// Fragments says whether fragmented packets pass, each way.
type Fragments struct {
	Outbound Answer `json:"outbound"`
	Inbound  Answer `json:"inbound"`
}

// Lifetime bounds how long a mapping lives that nothing is sent from.
type Lifetime struct {
	AtLeastSeconds int `json:"atLeastSeconds"`
	BelowSeconds   int `json:"belowSeconds,omitzero"` // 0 if no end was found
}

// Side returns what a report says of this host as somebody's peer.
func (r *Report) Side() Side { return Side{UDP: r.UDP, Mapping: r.Mapping, Filtering: r.Filtering} }

// Property is something a report may have to leave open, by its JSON name.
type Property string

// The properties.
const (
	PropertyUDP         Property = "udp"
	PropertyTranslated  Property = "translated"
	PropertyMapping     Property = "mapping"
	PropertyFiltering   Property = "filtering"
	PropertyHairpinning Property = "hairpinning"
	PropertyPorts       Property = "ports"
	PropertyFragments   Property = "fragments"
	PropertyPathMTU     Property = "pathMTU"
	PropertyLifetime    Property = "lifetime"
)

// Gap is a property that could not be determined, and why.
type Gap struct {
	Property Property `json:"property"`
	Reason   Reason   `json:"reason"`
	Text     string   `json:"text"`
}

// Remark is something seen on the way that a network engineer should know.
type Remark struct {
	Reason Reason `json:"reason"`
	Text   string `json:"text"`
}

// Reason is a stable code for a gap or a remark.
type Reason string

// Why something is not known.
const (
	UDPBlocked           Reason = "udp-blocked"
	CannotSend           Reason = "cannot-send"
	NotSTUN              Reason = "not-stun"
	RequestRefused       Reason = "request-refused"
	NoMappedAddress      Reason = "no-mapped-address"
	NoOtherAddress       Reason = "no-other-address"
	OtherAddressUnusable Reason = "other-address-unusable"
	OtherAddressSilent   Reason = "other-address-silent"
	ChangeRequestIgnored Reason = "change-request-ignored"
	ChangeRequestRefused Reason = "change-request-refused"
	ResponsePortIgnored  Reason = "response-port-ignored"
	ResponsePortRefused  Reason = "response-port-refused"
	PaddingIgnored       Reason = "padding-ignored"
	PaddingRefused       Reason = "padding-refused"
	HairpinningFiltered  Reason = "hairpinning-filtered"
	LongRequestsSilent   Reason = "long-requests-silent"
	MappingUnstable      Reason = "mapping-unstable"
	NothingTranslated    Reason = "not-translated"
	NotSupportedHere     Reason = "not-supported-here"
	Interrupted          Reason = "interrupted"
	Lost                 Reason = "lost"
)

// What was seen on the way.
const (
	CarrierGrade       Reason = "carrier-grade"
	MappedPrivate      Reason = "mapped-private"
	MappedAddressesMix Reason = "mapped-addresses-differ"
	AddressRewritten   Reason = "address-rewritten"
	ServerTranslated   Reason = "server-translated"
	StrayPackets       Reason = "stray-packets"
)

// Missing returns the gap of a property, if it has one.
func (r *Report) Missing(p Property) (Gap, bool) {
	i := slices.IndexFunc(r.Gaps, func(g Gap) bool { return g.Property == p })
	if i < 0 {
		return Gap{}, false
	}
	return r.Gaps[i], true
}

// Remarked reports whether the report has a remark with this code.
func (r *Report) Remarked(code Reason) bool {
	return slices.ContainsFunc(r.Remarks, func(m Remark) bool { return m.Reason == code })
}

// open returns the properties that are not known.
func (r *Report) open() []Property {
	var all []Property
	for _, p := range []struct {
		name  Property
		known bool
	}{
		{PropertyUDP, r.UDP != Unknown},
		{PropertyTranslated, r.Translated != Unknown},
		{PropertyMapping, r.Mapping != UnknownBehaviour},
		{PropertyFiltering, r.Filtering != UnknownBehaviour},
		{PropertyHairpinning, r.Hairpinning != Unknown},
		{PropertyPorts, r.Ports.Preservation != Unknown},
		{PropertyFragments, r.Fragments.Outbound != Unknown && r.Fragments.Inbound != Unknown},
		{PropertyPathMTU, r.PathMTU != 0},
	} {
		if !p.known {
			all = append(all, p.name)
		}
	}
	return all
}
