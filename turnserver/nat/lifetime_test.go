package nat_test

import (
	"sync/atomic"
	"testing"
	"time"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/nat/nattest"
)

func TestLifetime(t *testing.T) {
	const longest = 5 * time.Minute
	for _, ports := range []nattest.Allocation{nattest.Preserving, nattest.Random} {
		for _, f := range behaviours {
			for _, seconds := range []int{10, 30, 60, 120, 299, 3600} {
				life := time.Duration(seconds)*time.Second + time.Second/2
				b := nattest.Behaviour{Mapping: ei, Filtering: f, Ports: ports, Lifetime: life}
				var told int
				c := nat.Config{Lifetime: longest, Progress: func(string) { told++ }}
				got := scene{server: full(t), behind: behind(b), config: c, loss: 0.05, seed: uint64(seconds)}.play(t)
				if got.Lifetime == nil {
					t.Fatalf("%v: %v", life, got.Gaps)
				}
				l := *got.Lifetime
				switch {
				case seconds > 300:
					if l.AtLeastSeconds != 300 || l.BelowSeconds != 0 {
						t.Errorf("%v: %+v", life, l)
					}
				case l.AtLeastSeconds > seconds, l.BelowSeconds <= seconds, l.BelowSeconds-l.AtLeastSeconds > 8:
					t.Errorf("%v: %+v", life, l)
				}
				if told < 5 || got.took > 3*longest {
					t.Errorf("%v: it took %v, and told of it %d times", life, got.took, told)
				}
			}
		}
	}
}

func TestLifetimeNeedsResponsePort(t *testing.T) {
	b := nattest.Behaviour{Mapping: ei, Filtering: ei, Lifetime: time.Minute}
	for name, c := range map[string]struct {
		server nattest.Answer
		want   nat.Reason
	}{
		"refused": {without(full(t), 0x0027), nat.ResponsePortRefused},
		"ignored": {toSource(full(t)), nat.ResponsePortIgnored},
	} {
		got := scene{server: c.server, behind: behind(b), config: nat.Config{Lifetime: time.Minute}}.play(t)
		if gap, _ := got.Missing(nat.PropertyLifetime); got.Lifetime != nil || gap.Reason != c.want {
			t.Errorf("%s: %v, %v", name, got.Lifetime, gap)
		}
	}
}

// The answer goes to the address that asks, so the mapping must have the same one.
func TestLifetimeWithAPoolOfAddresses(t *testing.T) {
	b := nattest.Behaviour{Mapping: ei, Filtering: ei, Mixed: true, Lifetime: 31 * time.Second}
	got := scene{server: full(t), behind: behind(b), config: nat.Config{Lifetime: time.Minute}}.play(t)
	if l := got.Lifetime; l == nil || l.AtLeastSeconds > 31 || l.BelowSeconds <= 31 {
		t.Errorf("%v, %v", l, got.Gaps)
	}
}

// Without a host whose mappings share an address there is nothing to conclude.
func TestLifetimeWithMappingsThatNeverMatch(t *testing.T) {
	var count atomic.Uint32
	another := func() []byte { return []byte{0, 1, 0x51, 0x12, 0xE1, 0x12, byte(count.Add(1)), 0x43} }
	server := naming(single(), mappedKind, another)
	b := nattest.Behaviour{Mapping: ei, Filtering: ei}
	got := scene{server: server, behind: behind(b), config: nat.Config{Lifetime: time.Minute}}.play(t)
	if gap, _ := got.Missing(nat.PropertyLifetime); got.Lifetime != nil || gap.Reason != nat.MappingUnstable {
		t.Errorf("%v, %v", got.Lifetime, gap)
	}
}
