package nat_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/nat/nattest"

	"github.com/pion/stun/v3"
)

func prefix(addr string) netip.Addr { return netip.MustParseAddr(addr) }

// without is a server that does not understand an attribute.
func without(honest nattest.Answer, kind uint16) nattest.Answer {
	return func(request []byte, source, local netip.AddrPort) []nattest.Packet {
		m := new(stun.Message)
		if stun.Decode(request, m) == nil && m.Contains(stun.AttrType(kind)) {
			reply := stun.MustBuild(m, stun.NewType(stun.MethodBinding, stun.ClassErrorResponse), stun.CodeUnknownAttribute)
			return []nattest.Packet{{Source: local, Destination: source, Data: reply.Raw}}
		}
		return honest(request, source, local)
	}
}

// toSource is a server that always answers to where the request came from.
func toSource(honest nattest.Answer) nattest.Answer {
	return altered(honest, func(p *nattest.Packet, source, _ netip.AddrPort) { p.Destination = source })
}

// altered changes what a server answers.
func altered(honest nattest.Answer, change func(p *nattest.Packet, source, local netip.AddrPort)) nattest.Answer {
	return func(request []byte, source, local netip.AddrPort) []nattest.Packet {
		all := honest(request, source, local)
		for i := range all {
			change(&all[i], source, local)
		}
		return all
	}
}

// naming changes the value of an attribute of all answers.
func naming(honest nattest.Answer, kind uint16, value func() []byte) nattest.Answer {
	return altered(honest, func(p *nattest.Packet, _, _ netip.AddrPort) {
		for at := 20; at+4 <= len(p.Data); {
			n := int(binary.BigEndian.Uint16(p.Data[at+2:]))
			if binary.BigEndian.Uint16(p.Data[at:]) == kind {
				copy(p.Data[at+4:at+4+n], value())
			}
			at += 4 + (n+3)&^3
		}
	})
}

// fixed returns a function that returns the bytes of a hexadecimal text.
func fixed(text string) func() []byte {
	return func() []byte {
		p, err := hex.DecodeString(text)
		if err != nil {
			panic(err)
		}
		return p
	}
}

// rewrite is what an ALG does: it puts the internal address where it finds the mapped.
func rewrite(data []byte, mapped, internal netip.AddrPort) []byte {
	from, to := plain(mapped), plain(internal)
	return bytes.ReplaceAll(data, from, to)
}

func plain(a netip.AddrPort) []byte {
	ip := a.Addr().AsSlice()
	return append(binary.BigEndian.AppendUint16(nil, a.Port()), ip...)
}

const (
	mappedKind = 0x0020
	otherKind  = 0x802C
)

// hostile are servers that must not be believed, and what must be said of them.
func hostile(t *testing.T) map[string]struct {
	server   nattest.Answer
	property nat.Property
	want     nat.Reason
} {
	none := func([]byte, netip.AddrPort, netip.AddrPort) []nattest.Packet { return nil }
	echo := func(request []byte, source, local netip.AddrPort) []nattest.Packet {
		return []nattest.Packet{{Source: local, Destination: source, Data: bytes.Clone(request)}}
	}
	var count atomic.Uint32
	changing := func() []byte {
		n := byte(count.Add(1))
		return []byte{0, 1, n, n, 0xE1, 0x12, 0xA6, 0x43}
	}
	garbage := func(n int) nattest.Answer {
		return func(_ []byte, source, local netip.AddrPort) []nattest.Packet {
			all := make([]nattest.Packet, n)
			for i := range all {
				all[i] = nattest.Packet{Source: local, Destination: source, Data: bytes.Repeat([]byte{byte(i)}, i%600)}
			}
			return all
		}
	}
	truncated := func(p *nattest.Packet, _, _ netip.AddrPort) { p.Data = p.Data[:len(p.Data)-3] }
	otherID := func(p *nattest.Packet, _, _ netip.AddrPort) { p.Data[8] ^= 1 }
	stubborn := func(p *nattest.Packet, _, local netip.AddrPort) { p.Source = local }
	mute := func(p *nattest.Packet, source, local netip.AddrPort) {
		if p.Source != local {
			p.Source = netip.AddrPort{} // it only says that it answers from elsewhere
		}
	}
	type verdict = struct {
		server   nattest.Answer
		property nat.Property
		want     nat.Reason
	}
	return map[string]verdict{
		"silent":                            {none, nat.PropertyMapping, nat.UDPBlocked},
		"echoing":                           {echo, nat.PropertyMapping, nat.UDPBlocked},
		"garbage":                           {garbage(3), nat.PropertyMapping, nat.NotSTUN},
		"flooding with garbage":             {garbage(3000), nat.PropertyMapping, nat.NotSTUN},
		"cutting messages":                  {altered(full(t), truncated), nat.PropertyMapping, nat.NotSTUN},
		"wrong transactions":                {altered(full(t), otherID), nat.PropertyMapping, nat.NotSTUN},
		"ignoring CHANGE-REQUEST":           {altered(full(t), stubborn), nat.PropertyFiltering, nat.ChangeRequestIgnored},
		"refusing CHANGE-REQUEST":           {without(full(t), 0x0003), nat.PropertyFiltering, nat.ChangeRequestRefused},
		"claiming to answer from elsewhere": {altered(full(t), mute), nat.PropertyFiltering, nat.ChangeRequestIgnored},
		"making up mappings":                {naming(full(t), mappedKind, changing), nat.PropertyMapping, nat.MappingUnstable},
		"a mapped address of this host":     {naming(full(t), mappedKind, fixed("00011111"+"5e12a443")), nat.PropertyTranslated, nat.NoMappedAddress},
		"an unreadable mapped address":      {naming(without1(full(t)), mappedKind, fixed("0007111100000000")), nat.PropertyTranslated, nat.NoMappedAddress},
		"its own other address":             {naming(full(t), otherKind, fixed("00010d96cb007101")), nat.PropertyFiltering, nat.OtherAddressUnusable},
		"loopback as other address":         {naming(full(t), otherKind, fixed("00010d977f000001")), nat.PropertyFiltering, nat.OtherAddressUnusable},
		"private other address":             {naming(full(t), otherKind, fixed("00010d970a000001")), nat.PropertyFiltering, nat.OtherAddressUnusable},
		"broadcast as other address":        {naming(full(t), otherKind, fixed("00010d97ffffffff")), nat.PropertyFiltering, nat.OtherAddressUnusable},
		"port 0 as other address":           {naming(full(t), otherKind, fixed("00010000cb007102")), nat.PropertyFiltering, nat.OtherAddressUnusable},
		"an unreadable other address":       {naming(full(t), otherKind, fixed("00020d97cb007102")), nat.PropertyFiltering, nat.NoOtherAddress},
		"an other address of nobody":        {naming(full(t), otherKind, fixed("00010d97cb0071fe")), nat.PropertyMapping, nat.OtherAddressSilent},
	}
}

// without1 is a server whose MAPPED-ADDRESS cannot be read either.
func without1(honest nattest.Answer) nattest.Answer {
	return naming(honest, 0x0001, fixed("0007"))
}

func TestDiscoverHostileServers(t *testing.T) {
	for _, f := range behaviours {
		b := nattest.Behaviour{Mapping: ei, Filtering: f, Ports: nattest.Random}
		for name, c := range hostile(t) {
			t.Run(fmt.Sprintf("%s/%v", name, f), func(t *testing.T) {
				got := scene{server: c.server, behind: behind(b)}.play(t)
				if got.err != nil || got.took > blockedWithin {
					t.Errorf("after %v: %v", got.took, got.err)
				}
				if gap, _ := got.Missing(c.property); gap.Reason != c.want || gap.Text == "" {
					t.Errorf("%v: %v; want %v; all: %v", c.property, gap, c.want, got.Gaps)
				}
				if got.Filtering != nat.UnknownBehaviour && got.Filtering != f {
					t.Errorf("believed: filtering %v", got.Filtering)
				}
			})
		}
	}
}

func TestDiscoverAnsweredFromElsewhere(t *testing.T) {
	moved := altered(full(t), func(p *nattest.Packet, _, _ netip.AddrPort) { p.Source = sites()[0].at(1, 1) })
	for f, want := range map[nat.Behaviour]nat.Reason{ei: nat.NotSTUN, apd: nat.UDPBlocked} {
		got := scene{server: moved, behind: behind(nattest.Behaviour{Mapping: ei, Filtering: f})}.play(t)
		if gap, _ := got.Missing(nat.PropertyMapping); gap.Reason != want {
			t.Errorf("%v: %v", f, gap)
		}
	}
}

func TestDiscoverRefusedByServer(t *testing.T) {
	refuse := func(request []byte, source, local netip.AddrPort) []nattest.Packet {
		m := new(stun.Message)
		if stun.Decode(request, m) != nil {
			return nil
		}
		reply := stun.MustBuild(m, stun.NewType(stun.MethodBinding, stun.ClassErrorResponse), stun.CodeUnauthorized)
		return []nattest.Packet{{Source: local, Destination: source, Data: reply.Raw}}
	}
	got := scene{server: refuse, behind: behind(nattest.Behaviour{Mapping: ei, Filtering: ei})}.play(t)
	gap, _ := got.Missing(nat.PropertyMapping)
	if got.UDP != nat.Yes || gap.Reason != nat.RequestRefused || !strings.Contains(gap.Text, "401") {
		t.Errorf("UDP %v, %v", got.UDP, gap)
	}
}

// A server's name for itself goes to a terminal.
func TestDiscoverSoftwareIsHarmless(t *testing.T) {
	named := func(request []byte, source, local netip.AddrPort) []nattest.Packet {
		m := new(stun.Message)
		if stun.Decode(request, m) != nil {
			return nil
		}
		reply := stun.MustBuild(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: source.Addr().AsSlice(), Port: int(source.Port())},
			stun.NewSoftware("evil\x1b[2J\nname"+strings.Repeat("x", 500)))
		return []nattest.Packet{{Source: local, Destination: source, Data: reply.Raw}}
	}
	got := scene{server: named, behind: behind(nattest.Behaviour{Mapping: ei, Filtering: ei})}.play(t)
	if !strings.HasPrefix(got.Software, "evil[2Jname") || len(got.Software) > 128 {
		t.Errorf("software %q", got.Software)
	}
}

func TestDiscoverStopsWithItsContext(t *testing.T) {
	b := nattest.Behaviour{Mapping: ei, Filtering: apd, Ports: nattest.Random}
	for _, after := range []time.Duration{0, 10 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			got := scene{server: full(t), behind: behind(b), config: nat.Config{Lifetime: time.Hour}}.run(t, ctx)
			if !errors.Is(got.err, context.DeadlineExceeded) || got.took > after {
				t.Errorf("%v: ended after %v: %v", after, got.took, got.err)
			}
			if known := after > 100*time.Millisecond; (got.UDP == nat.Yes) != known {
				t.Errorf("%v: UDP %v", after, got.UDP)
			}
			if gap, ok := got.Missing(nat.PropertyFiltering); ok && gap.Reason != nat.Interrupted {
				t.Errorf("%v: %v", after, gap)
			}
			if after > worksWithin && got.Filtering != apd {
				t.Errorf("%v: what was known is lost: %v", after, got.Gaps)
			}
		})
	}
}

func TestDiscoverRefusesConfig(t *testing.T) {
	report, err := nat.Discover(t.Context(), nat.System{}, nat.Config{})
	if err == nil || report == nil {
		t.Errorf("no server is no fault: %v, %v", report, err)
	}
}
