package turnserver

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"hairpin/credentials"
	"hairpin/turnserver/nat"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"
)

// twoByTwo returns two loopback addresses with two ports that were just free on both,
// for UDP and TCP, and that the kernel gives to nobody who does not ask for them.
func twoByTwo(t *testing.T) nat.Addresses {
	t.Helper()
	first, second := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	set := nat.Addresses{IP: [2]nat.Address{{Local: first}, {Local: second}}}
	for i := range set.Port {
		for set.Port[i] == 0 {
			all := netip.AddrPortFrom(netip.IPv4Unspecified(), 20_000+rand.N(uint16(12_000)))
			conn, err := udp.Listen(all, udp.Options{})
			if err != nil {
				continue
			}
			defer conn.Close()
			if listener, err := net.Listen("tcp4", all.String()); err == nil {
				defer listener.Close()
				set.Port[i] = all.Port()
			}
		}
	}
	return set
}

// TestDiscovery runs NAT behaviour discovery against the server's own sockets, those
// for each address and the one for all.
func TestDiscovery(t *testing.T) { // N1, N2, N4, N5
	for _, listen := range []string{"127.0.0.1", "0.0.0.0"} {
		t.Run(listen, func(t *testing.T) {
			set := twoByTwo(t)
			start(t, func(c *Config) {
				c.Listen = []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(listen), set.Port[0])}
				c.Discovery = []nat.Addresses{set}
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got, err := nat.Discover(ctx, nat.System{}, nat.Config{Server: netip.AddrPortFrom(set.IP[0].Local, set.Port[0])})
			if err != nil {
				t.Fatal(err)
			}
			if got.Mapping != nat.EndpointIndependent || got.Filtering != nat.EndpointIndependent {
				t.Errorf("mapping %v, filtering %v: %v", got.Mapping, got.Filtering, got.Gaps)
			}
			if want := netip.AddrPortFrom(set.IP[1].Local, set.Port[1]); got.Other != want {
				t.Errorf("other address %v, want %v", got.Other, want)
			}
			if want := (nat.Fragments{Outbound: nat.Yes, Inbound: nat.Yes}); got.Fragments != want {
				t.Errorf("fragments %v: %v", got.Fragments, got.Gaps)
			}
		})
	}
}

func TestDiscoveryIsNotClaimed(t *testing.T) { // N1, N3
	server := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := nat.Discover(ctx, nat.System{}, nat.Config{Server: server.Addrs().UDP[0]})
	if err != nil {
		t.Fatal(err)
	}
	if gap, _ := got.Missing(nat.PropertyFiltering); got.Other.IsValid() || gap.Reason != nat.NoOtherAddress {
		t.Errorf("other address %v, %v", got.Other, gap)
	}
}

func TestDiscoveryNeedsTwoAddresses(t *testing.T) { // N3
	secrets, err := credentials.NewSecrets(credentials.RandomSecret())
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Listen:      []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Relays:      []relay.Address{{Local: loopback4, Advertised: loopback4}},
		Credentials: secrets,
		Discovery:   []nat.Addresses{twoByTwo(t)},
	}
	c.Discovery[0].IP[1] = c.Discovery[0].IP[0]
	s, err := New(c)
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "two addresses are needed") {
		t.Errorf("a server with one address claims two: %v", err)
	}
}
