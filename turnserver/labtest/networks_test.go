package labtest_test

import (
	"regexp"
	"testing"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/nat"
)

// TestNetworks holds the file of networks against what is built from it.
func TestNetworks(t *testing.T) {
	seen := make(map[string]bool)
	name := regexp.MustCompile(`^[a-z0-9-]+$`)
	for _, n := range labtest.Networks() {
		if seen[n.Name] || !name.MatchString(n.Name) || n.Is == "" || len(n.Boxes) == 0 {
			t.Errorf("network %q, %q has %d boxes", n.Name, n.Is, len(n.Boxes))
		}
		seen[n.Name] = true
		for _, b := range n.Boxes {
			if b.Inside != labtest.Private && b.Inside != labtest.Carrier && b.Inside != labtest.Public {
				t.Errorf("%s: inside is %q", n.Name, b.Inside)
			}
		}
		if n.Want.UDP == nat.Unknown || n.Want.UDP == nat.Yes && n.Want.Mapping == nat.UnknownBehaviour {
			t.Errorf("%s: it is not said what is to be found out", n.Name)
		}
	}
	if len(seen) == 0 {
		t.Error("there is no network")
	}
}
