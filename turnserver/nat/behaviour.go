package nat

import (
	"encoding"
	"fmt"
	"slices"
)

// Behaviour is what a mapping, or the decision to let a packet in, depends on (RFC 4787
// §4.1, §5). The zero value is not known.
type Behaviour uint8

// The behaviours, from the most open to the strictest.
const (
	UnknownBehaviour Behaviour = iota
	EndpointIndependent
	AddressDependent
	AddressAndPortDependent
)

var behaviourNames = []string{"unknown", "endpoint-independent", "address-dependent", "address-and-port-dependent"}

// String returns the RFC's words.
func (b Behaviour) String() string { return nameOf(behaviourNames, int(b)) }

// MarshalText returns the RFC's words.
func (b Behaviour) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText returns.
func (b *Behaviour) UnmarshalText(text []byte) error {
	i, err := indexOf(behaviourNames, text)
	*b = Behaviour(i)
	return err
}

// Answer is what was found out of a yes-or-no question. The zero value is not known.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	No
	Yes
)

var answerNames = []string{"unknown", "no", "yes"}

// String returns "unknown", "no" or "yes".
func (a Answer) String() string { return nameOf(answerNames, int(a)) }

// MarshalText returns what String does.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText returns.
func (a *Answer) UnmarshalText(text []byte) error {
	i, err := indexOf(answerNames, text)
	*a = Answer(i)
	return err
}

var (
	_ encoding.TextUnmarshaler = (*Behaviour)(nil)
	_ encoding.TextUnmarshaler = (*Answer)(nil)
)

// answer returns Yes or No.
func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return names[0]
}

func indexOf(names []string, text []byte) (int, error) {
	if i := slices.Index(names, string(text)); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("%q is none of %q", text, names)
}

// PopularName returns what a NAT with these behaviours is called outside the RFCs, or
// "" where that depends on what is not known.
func PopularName(mapping, filtering Behaviour) string {
	switch {
	case mapping == UnknownBehaviour:
		return ""
	case mapping != EndpointIndependent:
		return "symmetric"
	}
	return [...]string{"", "full cone", "restricted cone", "port-restricted cone"}[filtering&3]
}
