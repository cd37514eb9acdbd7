package nat_test

import (
	"fmt"
	"strings"
	"testing"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/nat/nattest"
)

// grid calls a function with every NAT of the lab.
func grid(f func(b nattest.Behaviour)) {
	for _, m := range behaviours {
		for _, filtering := range behaviours {
			for _, hairpin := range []bool{false, true} {
				for ports := nattest.Preserving; ports <= nattest.Random; ports++ {
					f(nattest.Behaviour{Mapping: m, Filtering: filtering, Hairpin: hairpin, Ports: ports})
				}
			}
		}
	}
}

// hairpinning returns what can be found out of a NAT's hairpinning, with what is known
// of its mapping or without.
func hairpinning(b nattest.Behaviour, known bool) nat.Answer {
	switch {
	case b.Hairpin && (b.Mapping == ei || b.Filtering == ei):
		return nat.Yes
	case known && (b.Mapping == ei || b.Filtering == ei):
		return nat.No
	}
	return nat.Unknown
}

// checkNAT compares a report with the NAT it is about.
func checkNAT(t *testing.T, b nattest.Behaviour, got outcome) {
	t.Helper()
	hairpin := hairpinning(b, true)
	if got.err != nil || got.UDP != nat.Yes || got.Translated != nat.Yes {
		t.Errorf("UDP %v, translated %v: %v", got.UDP, got.Translated, got.err)
	}
	if got.Mapping != b.Mapping || got.Filtering != b.Filtering || got.Hairpinning != hairpin {
		t.Errorf("mapping %v, filtering %v, hairpinning %v: %v", got.Mapping, got.Filtering, got.Hairpinning, got.Gaps)
	}
	if got.took > worksWithin {
		t.Errorf("it took %v", got.took)
	}
}

// checkPorts compares what a report says of ports with how the NAT chooses them. With
// a mapping for each destination a preserving NAT cannot keep all of them, so only the
// ones towards one address count.
func checkPorts(t *testing.T, b nattest.Behaviour, got outcome) {
	t.Helper()
	preserved, parity := nat.No, nat.No
	switch b.Ports {
	case nattest.Preserving:
		preserved, parity = nat.Yes, nat.Yes
	case nattest.Parity:
		parity = nat.Yes
	case nattest.Sequential:
		parity = got.Ports.Parity // as it happens
	}
	if got.Ports.Preservation != preserved || got.Ports.Parity != parity || got.Ports.Sampled != 16 {
		t.Errorf("%v ports: %+v", b.Ports, got.Ports)
	}
}

func TestDiscoverEveryNAT(t *testing.T) {
	for _, six := range []bool{false, true} {
		var seed uint64
		grid(func(b nattest.Behaviour) {
			name := fmt.Sprintf("IPv6=%v/%v/%v/hairpin=%v/%v", six, b.Mapping, b.Filtering, b.Hairpin, b.Ports)
			t.Run(name, func(t *testing.T) {
				seed++
				got := scene{server: full(t), six: six, behind: behind(b), seed: seed}.play(t)
				checkNAT(t, b, got)
				checkPorts(t, b, got)
				if got.Fragments != (nat.Fragments{Outbound: nat.Yes, Inbound: nat.Yes}) || got.PathMTU != 1500 {
					t.Errorf("fragments %v, path MTU %d", got.Fragments, got.PathMTU)
				}
				for _, gap := range got.Gaps {
					if gap.Reason != nat.HairpinningFiltered {
						t.Errorf("gap: %v", gap)
					}
				}
				if len(got.Remarks) > 0 {
					t.Errorf("remarks: %v", got.Remarks)
				}
			})
		})
	}
}

// TestDiscoverGrid prints what a reader wants to see: what each NAT is called, and with
// whom it connects.
func TestDiscoverGrid(t *testing.T) {
	var text strings.Builder
	fmt.Fprintf(&text, "%-28s %-28s %-22s %6s  direct to open, restricted, port-restricted, symmetric, blocked\n",
		"mapping", "filtering", "popular name", "took")
	for _, m := range behaviours {
		for _, f := range behaviours {
			got := scene{server: full(t), behind: behind(nattest.Behaviour{Mapping: m, Filtering: f})}.play(t)
			if got.Mapping != m || got.Filtering != f {
				t.Errorf("%v, %v is taken for %v, %v", m, f, got.Mapping, got.Filtering)
			}
			fmt.Fprintf(&text, "%-28v %-28v %-22s %5.1fs ", got.Mapping, got.Filtering, got.PopularName, got.took.Seconds())
			for _, p := range got.Peers {
				fmt.Fprintf(&text, " %v", p.Direct)
			}
			text.WriteString("\n")
		}
	}
	t.Log("\n" + text.String())
}

// One packet in twenty is lost each way, so one answer in ten does not come.
func TestDiscoverInSpiteOfLoss(t *testing.T) {
	const runs = 20
	for _, m := range behaviours {
		for _, f := range behaviours {
			b := nattest.Behaviour{Mapping: m, Filtering: f, Hairpin: true, Ports: nattest.Random}
			t.Run(fmt.Sprintf("%v/%v", m, f), func(t *testing.T) {
				for seed := range uint64(runs) {
					got := scene{server: full(t), behind: behind(b), loss: 0.05, seed: seed}.play(t)
					checkNAT(t, b, got)
				}
			})
		}
	}
}

func TestDiscoverUDPBlocked(t *testing.T) {
	got := scene{server: full(t), behind: behind(nattest.Behaviour{BlockUDP: true})}.play(t)
	gap, ok := got.Missing(nat.PropertyMapping)
	if got.UDP != nat.No || got.took > blockedWithin || !ok || gap.Reason != nat.UDPBlocked {
		t.Errorf("UDP %v after %v: %v", got.UDP, got.took, gap)
	}
	for _, p := range got.Peers {
		if p.Direct != nat.No {
			t.Errorf("%s: %v", p.Name, p.Direct)
		}
	}
}

func TestDiscoverNoNAT(t *testing.T) {
	public := func(n *nattest.Internet) *nattest.Host { return n.Host(externals...) }
	got := scene{server: full(t), behind: public}.play(t)
	if got.Translated != nat.No || got.Mapping != ei || got.Filtering != ei || got.PopularName != "" {
		t.Errorf("translated %v, mapping %v, filtering %v, called %q", got.Translated, got.Mapping, got.Filtering, got.PopularName)
	}
	for _, p := range []nat.Property{nat.PropertyHairpinning, nat.PropertyPorts} {
		if gap, _ := got.Missing(p); gap.Reason != nat.NothingTranslated {
			t.Errorf("%v: %v", p, gap)
		}
	}
	for _, f := range behaviours {
		firewalled := func(n *nattest.Internet) *nattest.Host {
			return n.NAT(nattest.Behaviour{Firewall: true, Mapping: ei, Filtering: f}).Host(externals...)
		}
		got := scene{server: full(t), behind: firewalled}.play(t)
		if got.Translated != nat.No || got.Mapping != ei || got.Filtering != f {
			t.Errorf("firewall %v: translated %v, mapping %v, filtering %v", f, got.Translated, got.Mapping, got.Filtering)
		}
	}
}

func TestDiscoverServerWithOneAddress(t *testing.T) {
	grid(func(b nattest.Behaviour) {
		got := scene{server: single(), behind: behind(b)}.play(t)
		if got.Mapping != nat.UnknownBehaviour || got.Filtering != nat.UnknownBehaviour {
			t.Errorf("%v: mapping %v, filtering %v without a way to know", b, got.Mapping, got.Filtering)
		}
		for _, p := range []nat.Property{nat.PropertyMapping, nat.PropertyFiltering} {
			if gap, _ := got.Missing(p); gap.Reason != nat.NoOtherAddress {
				t.Errorf("%v: %v", p, gap)
			}
		}
		if got.Hairpinning != hairpinning(b, false) {
			t.Errorf("%v: hairpinning %v", b, got.Hairpinning)
		}
		checkPorts(t, b, got)
	})
}

// doubled is a client behind its own NAT and its carrier's.
func doubled(home, carrier nattest.Behaviour, between string) func(*nattest.Internet) *nattest.Host {
	return func(n *nattest.Internet) *nattest.Host {
		return n.NAT(carrier, externals...).NAT(home, prefix(between)).Host(internals[0])
	}
}

func TestDiscoverTwoNATs(t *testing.T) {
	for _, home := range behaviours {
		for _, carrier := range behaviours {
			h := nattest.Behaviour{Mapping: home, Filtering: home}
			c := nattest.Behaviour{Mapping: carrier, Filtering: carrier, Ports: nattest.Random}
			got := scene{server: full(t), behind: doubled(h, c, "100.64.0.7")}.play(t)
			if want := max(home, carrier); got.Mapping != want || got.Filtering != want {
				t.Errorf("%v behind %v is taken for %v, %v", home, carrier, got.Mapping, got.Filtering)
			}
		}
	}
}

func TestDiscoverSignsOfCarriers(t *testing.T) {
	b := nattest.Behaviour{Mapping: ei, Filtering: ei}
	mixed := b
	mixed.Mixed = true
	rewriting := b
	rewriting.Rewrite = rewrite
	for name, c := range map[string]struct {
		behind func(*nattest.Internet) *nattest.Host
		want   nat.Reason
	}{
		"an address between NATs": {
			func(n *nattest.Internet) *nattest.Host { return n.NAT(b, externals...).Host(prefix("100.64.0.9")) }, nat.CarrierGrade,
		},
		"a pool of addresses": {behind(mixed), nat.MappedAddressesMix},
		"an ALG":              {behind(rewriting), nat.AddressRewritten},
	} {
		got := scene{server: full(t), behind: c.behind}.play(t)
		if !got.Remarked(c.want) {
			t.Errorf("%s: remarks %v", name, got.Remarks)
		}
		if got.Mapping != ei || got.Filtering != ei {
			t.Errorf("%s: mapping %v, filtering %v", name, got.Mapping, got.Filtering)
		}
	}
}

func TestDiscoverFragmentsAndPathMTU(t *testing.T) {
	all := nat.Fragments{Outbound: nat.Yes, Inbound: nat.Yes}
	for _, c := range []struct {
		mtu       int
		drop      bool
		server    nattest.Answer
		fragments nat.Fragments
		path      int
		gap       nat.Reason
	}{
		{1500, false, full(t), all, 1500, ""},
		{1492, false, full(t), all, 1492, ""},
		{1300, false, full(t), all, 1280, ""},
		{1500, true, full(t), nat.Fragments{Outbound: nat.No}, 1500, nat.LongRequestsSilent},
		{1500, false, single(), all, 1500, ""},
		{1500, false, without(full(t), 0x0026), nat.Fragments{Outbound: nat.Yes}, 1500, nat.PaddingRefused},
	} {
		b := nattest.Behaviour{Mapping: ei, Filtering: ei, MTU: c.mtu, DropFragments: c.drop}
		got := scene{server: c.server, behind: behind(b)}.play(t)
		gap, _ := got.Missing(nat.PropertyFragments)
		if got.Fragments != c.fragments || got.PathMTU != c.path || gap.Reason != c.gap {
			t.Errorf("%+v: fragments %v, path MTU %d, gap %v", c, got.Fragments, got.PathMTU, gap)
		}
	}
}
