package nat_test

import (
	"encoding/json"
	"testing"

	"hairpin/turnserver/nat"
)

const (
	ei     = nat.EndpointIndependent
	ad     = nat.AddressDependent
	apd    = nat.AddressAndPortDependent
	unsure = nat.UnknownBehaviour
)

func TestDirect(t *testing.T) {
	side := func(m, f nat.Behaviour) nat.Side { return nat.Side{UDP: nat.Yes, Mapping: m, Filtering: f} }
	for _, c := range []struct {
		a, b nat.Side
		want nat.Answer
	}{
		{side(ei, apd), side(ei, apd), nat.Yes},
		{side(ei, unsure), side(ei, unsure), nat.Yes},
		{side(ei, ad), side(apd, apd), nat.Yes},
		{side(ei, apd), side(apd, apd), nat.No},
		{side(ei, unsure), side(apd, apd), nat.Unknown},
		{side(unsure, unsure), side(ei, ei), nat.Yes},
		{side(apd, apd), side(apd, apd), nat.No},
		{side(unsure, unsure), side(apd, apd), nat.Unknown},
		{side(unsure, unsure), nat.Side{UDP: nat.No}, nat.No},
	} {
		if got, back := nat.Direct(c.a, c.b), nat.Direct(c.b, c.a); got != c.want || back != got {
			t.Errorf("%v and %v: %v, and %v the other way, want %v", c.a, c.b, got, back, c.want)
		}
	}
}

func TestPeers(t *testing.T) {
	for _, c := range []struct {
		mapping, filtering nat.Behaviour
		name               string
		want               [5]nat.Answer
	}{
		{ei, ei, "full cone", [5]nat.Answer{nat.Yes, nat.Yes, nat.Yes, nat.Yes, nat.No}},
		{ei, ad, "restricted cone", [5]nat.Answer{nat.Yes, nat.Yes, nat.Yes, nat.Yes, nat.No}},
		{ei, apd, "port-restricted cone", [5]nat.Answer{nat.Yes, nat.Yes, nat.Yes, nat.No, nat.No}},
		{apd, apd, "symmetric", [5]nat.Answer{nat.Yes, nat.Yes, nat.No, nat.No, nat.No}},
		{ei, unsure, "", [5]nat.Answer{nat.Yes, nat.Yes, nat.Yes, nat.Unknown, nat.No}},
	} {
		if name := nat.PopularName(c.mapping, c.filtering); name != c.name {
			t.Errorf("%v, %v is called %q", c.mapping, c.filtering, name)
		}
		for i, p := range nat.Peers(nat.Side{UDP: nat.Yes, Mapping: c.mapping, Filtering: c.filtering}) {
			if p.Direct != c.want[i] {
				t.Errorf("%s with %s: %v", c.name, p.Name, p.Direct)
			}
		}
	}
}

func TestWordsAreReadBack(t *testing.T) {
	type words struct {
		B nat.Behaviour
		A nat.Answer
	}
	for b := unsure; b <= apd; b++ {
		for a := nat.Unknown; a <= nat.Yes; a++ {
			text, err := json.Marshal(words{b, a})
			if err != nil {
				t.Fatal(err)
			}
			var back words
			if err := json.Unmarshal(text, &back); err != nil || back != (words{b, a}) {
				t.Errorf("%s became %v: %v", text, back, err)
			}
		}
	}
	if nat.Behaviour(9).String() != "unknown" || new(nat.Answer).UnmarshalText([]byte("perhaps")) == nil {
		t.Error("what is not a word is taken for one")
	}
}
