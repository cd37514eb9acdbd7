package offload

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hairpin/turnserver/offload/xdp"
)

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		facts                 facts
		auto, native, generic Why
	}{
		"a trusted driver":        {facts{kind: kindEthernet, driver: "mlx5_core"}, WhyNone, WhyNone, WhyNone},
		"another driver":          {facts{kind: kindEthernet, driver: "virtio_net"}, WhyUntested, WhyNone, WhyNone},
		"an unknown driver":       {facts{kind: kindEthernet}, WhyUntested, WhyNone, WhyNone},
		"a bridge's port":         {facts{kind: kindEthernet, driver: "ice", part: true}, WhyPart, WhyPart, WhyPart},
		"with a program":          {facts{kind: kindEthernet, driver: "ice", busy: true}, WhyBusy, WhyBusy, WhyBusy},
		"loopback":                {facts{kind: kindLoopback}, WhyLoopback, WhyLoopback, WhyNone},
		"a VLAN":                  {facts{kind: kindOther}, WhyKind, WhyKind, WhyKind},
		"veth that is taken from": {facts{kind: kindVeth, vethPeer: yes}, WhyNone, WhyNone, WhyNone},
		"veth that is not":        {facts{kind: kindVeth, vethPeer: no}, WhyVethPeer, WhyVethPeer, WhyNone},
		"veth into the unknown":   {facts{kind: kindVeth}, WhyVethPeer, WhyNone, WhyNone},
	} {
		t.Run(name, func(t *testing.T) {
			for mode, want := range map[Mode]Why{Auto: c.auto, Native: c.native, Generic: c.generic} {
				if got := judge(mode, c.facts); got != want {
					t.Errorf("%s: %q, want %q", mode, got, want)
				}
			}
		})
	}
}

func TestUnfit(t *testing.T) {
	for name, c := range map[string]struct {
		more map[xdp.Reason]uint64
		want Why
	}{
		"idle":              {nil, WhyNone},
		"relaying":          {map[xdp.Reason]uint64{xdp.RelayedToPeer: 9, xdp.NoFlow: 99}, WhyNone},
		"no room at times":  {map[xdp.Reason]uint64{xdp.RelayedToPeer: 9, xdp.NoHeadroom: 9}, WhyNone},
		"no room mostly":    {map[xdp.Reason]uint64{xdp.RelayedToPeer: 9, xdp.NoHeadroom: 10}, WhyNoHeadroom},
		"half written once": {map[xdp.Reason]uint64{xdp.RelayedToClient: 99, xdp.Broken: 1}, WhySelfTest},
	} {
		before := make([]xdp.Counts, len(xdp.Reasons()))
		for i := range before {
			before[i].Packets = 1000
		}
		now := slices.Clone(before)
		for r, n := range c.more {
			now[r].Packets += n
		}
		if got := unfit(before, now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTakesRedirects(t *testing.T) {
	for _, c := range []struct {
		mode   Mode
		kind   kind
		driver string
		want   bool
	}{
		{Native, kindVeth, "veth", true},
		{Native, kindEthernet, "mlx5_core", true},
		{Native, kindEthernet, "virtio_net", false},
		{Generic, kindEthernet, "virtio_net", true},
		{Generic, kindLoopback, "", false},
	} {
		if got := takesRedirects(c.mode, c.kind, c.driver); got != c.want {
			t.Errorf("%v: %v", c, got)
		}
	}
}

func TestServes(t *testing.T) {
	for _, c := range []struct {
		socket, at string
		want       bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"0.0.0.0", "192.0.2.1", true},
		{"0.0.0.0", "2001:db8::1", false},
		{"::", "192.0.2.1", true},
		{"::", "2001:db8::1", true},
	} {
		if got := serves(netip.MustParseAddr(c.socket), netip.MustParseAddr(c.at)); got != c.want {
			t.Errorf("%s serves %s: %v", c.socket, c.at, got)
		}
	}
}

func TestEveryCodeIsExplained(t *testing.T) {
	for why, e := range explained {
		if e.text == "" || why == WhyNone || strings.ToLower(string(why)) != string(why) {
			t.Errorf("%q: %v", why, e)
		}
	}
	if len(explained) != 15 {
		t.Errorf("%d codes are explained", len(explained))
	}
	for _, s := range Stays() {
		if s.String() == "unknown" {
			t.Errorf("%d has no code", s)
		}
	}
	if Stay(200).String() != "unknown" {
		t.Error("a stay that is none has a code")
	}
}
