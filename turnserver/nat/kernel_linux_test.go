package nat_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/nat"
)

// inside is the network of a host.
type inside struct {
	nat.System
	host *labtest.Host
}

func (n inside) Route(to netip.AddrPort) (local netip.Addr, err error) {
	n.host.Do(func() { local, err = n.System.Route(to) })
	return local, err
}

func (n inside) Listen(local netip.Addr, dontFragment bool) (s nat.Socket, err error) {
	n.host.Do(func() { s, err = n.System.Listen(local, dontFragment) })
	return s, err
}

// TestKernelNATs runs discovery behind the NATs of the kernel, against a responder on a
// host of two addresses: in all networks at once, since it mostly waits. How long it
// takes is for the lab in memory to say, whose clock does not depend on the machine's
// load.
func TestKernelNATs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	internet := labtest.New(t).Internet()
	networks := labtest.Networks()
	got := make([]outcome, 2*len(networks))
	var runs sync.WaitGroup
	for _, six := range []bool{false, true} {
		servers := labtest.Servers(six)
		set := addresses(servers[0], servers[1])
		serveAll(t, set, bindOn(t, internet.Server, set))
	}
	for i, network := range networks {
		client := inside{host: internet.Attach(network).Client}
		for family := range 2 {
			of := addresses(labtest.Servers(family == 1)[0], labtest.Servers(family == 1)[1])
			runs.Go(func() {
				report, err := nat.Discover(ctx, client, nat.Config{Server: netip.AddrPortFrom(of.IP[0].Local, of.Port[0])})
				got[2*i+family] = outcome{Report: report, err: err}
			})
		}
	}
	runs.Wait()
	for i, g := range got {
		network := networks[i/2]
		t.Run(network.Name+"/"+[]string{"IPv4", "IPv6"}[i%2], func(t *testing.T) { checkKernel(t, network.Want, g) })
	}
}

func checkKernel(t *testing.T, want nat.Report, got outcome) {
	t.Helper()
	if got.err != nil || got.UDP != want.UDP || got.Translated != want.Translated || got.Mapping != want.Mapping || got.Filtering != want.Filtering {
		t.Errorf("UDP %v, translated %v, mapping %v, filtering %v: %v, %v",
			got.UDP, got.Translated, got.Mapping, got.Filtering, got.Gaps, got.err)
	}
	if got.Hairpinning != want.Hairpinning || got.Ports.Preservation != want.Ports.Preservation || got.Ports.Parity != want.Ports.Parity {
		t.Errorf("hairpinning %v, ports %v", got.Hairpinning, got.Ports)
	}
	if got.UDP == nat.Yes && (got.PathMTU != 1500 || got.Fragments != (nat.Fragments{Outbound: nat.Yes, Inbound: nat.Yes})) {
		t.Errorf("path MTU %d, fragments %v", got.PathMTU, got.Fragments)
	}
}

// bindOn opens the sockets of a server on a host that has nothing else.
func bindOn(t *testing.T, h *labtest.Host, set nat.Addresses) map[netip.AddrPort]*net.UDPConn {
	t.Helper()
	conns := make(map[netip.AddrPort]*net.UDPConn)
	for i := range 4 {
		at := netip.AddrPortFrom(set.IP[i/2].Local, set.Port[i%2])
		h.Do(func() {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
			if err != nil {
				t.Fatal(err)
			}
			conns[at] = conn
		})
	}
	return conns
}
