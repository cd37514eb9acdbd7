package nat

// Side is one of two peers, as far as its NAT matters to the other.
type Side struct {
	UDP       Answer // whether UDP passes at all
	Mapping   Behaviour
	Filtering Behaviour
}

// Direct says whether two peers behind different NATs will connect without a relay,
// each by ICE (RFC 8445) with the address a STUN server told it. It is Unknown only if
// what is not known of a side matters. Sides are assumed to keep one external IP
// address (RFC 4787 §4.1, paired pooling).
func Direct(a, b Side) Answer {
	if a.UDP == No || b.UDP == No {
		return No
	}
	result, first := Unknown, true
	for _, x := range a.possible() {
		for _, y := range b.possible() {
			one := answer(x.reaches(y))
			if !first && one != result {
				return Unknown
			}
			result, first = one, false
		}
	}
	return result
}

// possible returns what a side can be.
func (s Side) possible() []Side {
	var all []Side
	for _, m := range possible(s.Mapping) {
		for _, f := range possible(s.Filtering) {
			all = append(all, Side{Yes, m, f})
		}
	}
	return all
}

func possible(b Behaviour) []Behaviour {
	if b == UnknownBehaviour {
		return []Behaviour{EndpointIndependent, AddressDependent, AddressAndPortDependent}
	}
	return []Behaviour{b}
}

// reaches is Direct for sides that are known. It is symmetric.
func (s Side) reaches(t Side) bool {
	const strict = AddressAndPortDependent
	independent, other := s.Mapping == EndpointIndependent, t.Mapping == EndpointIndependent
	switch {
	case independent && other:
		// Both send to where the other's packets will come from, which opens any filter.
		return true
	case independent:
		// The other's packets come from a port nobody could know in advance.
		return s.Filtering != strict
	case other:
		return t.Filtering != strict
	case s.Mapping == strict && t.Mapping == strict:
		// Every answer to a new port comes from one more new port.
		return false
	}
	// Someone must let in a stranger on the mapping that was made for the STUN server,
	// and its answer, which comes from another port, must be let in too.
	return t.Filtering == EndpointIndependent && s.Filtering != strict ||
		s.Filtering == EndpointIndependent && t.Filtering != strict
}

// Peer is a kind of peer that a call may be with.
type Peer struct {
	Name   string `json:"peer"`   // in popular words
	Direct Answer `json:"direct"` // No means that the call needs TURN
}

// Peers returns how calls with the common kinds of peer will connect.
func Peers(s Side) []Peer {
	return []Peer{
		{"no NAT, or full cone", Direct(s, Side{Yes, EndpointIndependent, EndpointIndependent})},
		{"restricted cone", Direct(s, Side{Yes, EndpointIndependent, AddressDependent})},
		{"port-restricted cone, or firewall", Direct(s, Side{Yes, EndpointIndependent, AddressAndPortDependent})},
		{"symmetric", Direct(s, Side{Yes, AddressAndPortDependent, AddressAndPortDependent})},
		{"UDP blocked", Direct(s, Side{UDP: No})},
	}
}
