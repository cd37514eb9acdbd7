package nat_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
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

// family is the addresses of a kernel lab: client, both sides of the router, server.
type family struct {
	name                            string
	client, within, without, server string
	second                          string // the server's second address
	length                          int
	forward                         string // the switch for it
}

var families = []family{
	{"ip", "10.7.0.2", "10.7.0.1", "203.0.113.9", "203.0.113.1", "203.0.113.2", 24, "net/ipv4/ip_forward"},
	{"ip6", "fd07::2", "fd07::1", "2001:db8::9", "2001:db8::1", "2001:db8::2", 64, "net/ipv6/conf/all/forwarding"},
}

// kernelNAT is what nftables is told, and what that makes of the router.
type kernelNAT struct {
	name  string
	rules string // with "OUT" for the interface outside, "CLIENT" for the client
	want  nat.Report
}

var kernelNATs = []kernelNAT{
	{"forwarding alone", "", nat.Report{UDP: nat.Yes, Translated: nat.No, Mapping: ei, Filtering: ei}},
	{
		"firewall", `chain f { type filter hook forward priority 0; policy drop;
			ct state established accept; oifname OUT accept; meta l4proto ipv6-icmp accept; }`,
		nat.Report{UDP: nat.Yes, Translated: nat.No, Mapping: ei, Filtering: apd},
	},
	{
		"masquerade", `chain n { type nat hook postrouting priority 100; oifname OUT masquerade; }`,
		nat.Report{UDP: nat.Yes, Translated: nat.Yes, Mapping: ei, Filtering: apd},
	},
	{
		"masquerade at random", `chain n { type nat hook postrouting priority 100;
			oifname OUT meta l4proto udp masquerade to :20000-60000 fully-random; }`,
		nat.Report{UDP: nat.Yes, Translated: nat.Yes, Mapping: apd, Filtering: apd},
	},
	{
		"full cone", `chain n { type nat hook postrouting priority 100; oifname OUT masquerade; }
			chain d { type nat hook prerouting priority -100; iifname OUT meta l4proto udp dnat to CLIENT; }`,
		nat.Report{UDP: nat.Yes, Translated: nat.Yes, Mapping: ei, Filtering: ei},
	},
	{
		"UDP blocked", `chain f { type filter hook forward priority 0; meta l4proto udp drop; }`,
		nat.Report{UDP: nat.No},
	},
}

// TestKernelNATs builds all labs, runs discovery in all of them at once, since it mostly
// waits, and compares. How long it takes is for the lab in memory to say, whose clock
// does not depend on the machine's load.
func TestKernelNATs(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil && os.Getenv("HAIRPIN_TEST_FULL") != "1" {
		t.Skip("nft is needed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := make([]outcome, len(families)*len(kernelNATs))
	var runs sync.WaitGroup
	for i := range got {
		network, server := kernelNATs[i%len(kernelNATs)].build(t, families[i/len(kernelNATs)])
		runs.Go(func() {
			report, err := nat.Discover(ctx, network, nat.Config{Server: server})
			got[i] = outcome{Report: report, err: err}
		})
	}
	runs.Wait()
	for i, g := range got {
		k := kernelNATs[i%len(kernelNATs)]
		t.Run(families[i/len(kernelNATs)].name+"/"+k.name, func(t *testing.T) { k.check(t, g) })
	}
}

func (k kernelNAT) check(t *testing.T, got outcome) {
	if got.err != nil || got.UDP != k.want.UDP || got.Translated != k.want.Translated ||
		got.Mapping != k.want.Mapping || got.Filtering != k.want.Filtering {
		t.Errorf("UDP %v, translated %v, mapping %v, filtering %v: %v, %v",
			got.UDP, got.Translated, got.Mapping, got.Filtering, got.Gaps, got.err)
	}
	if got.UDP == nat.Yes && (got.PathMTU != 1500 || got.Fragments != (nat.Fragments{Outbound: nat.Yes, Inbound: nat.Yes})) {
		t.Errorf("path MTU %d, fragments %v", got.PathMTU, got.Fragments)
	}
}

// build makes a client, a router with the NAT's rules and a server that is running. It
// returns the client's network and the server's address.
func (k kernelNAT) build(t *testing.T, f family) (nat.Network, netip.AddrPort) {
	t.Helper()
	lab := labtest.New(t)
	client, router, server := lab.Host("client"), lab.Host("router"), lab.Host("server")
	end := func(h *labtest.Host, addr string) labtest.End {
		return labtest.End{Host: h, Address: netip.PrefixFrom(netip.MustParseAddr(addr), f.length)}
	}
	lab.Link(end(client, f.client), end(router, f.within))
	out, in := lab.Link(end(router, f.without), end(server, f.server))
	run(t, server.Command("ip", "address", "add", end(server, f.second).Address.String(), "dev", in, "nodad"), "")
	router.Sysctl(f.forward, "1")
	everywhere := netip.PrefixFrom(netip.MustParseAddr(f.within), 0).Masked()
	client.Route(everywhere, netip.MustParseAddr(f.within))
	server.Route(everywhere, netip.MustParseAddr(f.without))
	rules := strings.NewReplacer("OUT", out, "CLIENT", f.client).Replace(k.rules)
	run(t, router.Command("nft", "-f", "-"), "table "+f.name+" t {\n"+rules+"\n}\n")
	set := addresses(netip.MustParseAddr(f.server), netip.MustParseAddr(f.second))
	serveAll(t, set, bindOn(t, server, set))
	return inside{host: client}, netip.AddrPortFrom(set.IP[0].Local, set.Port[0])
}

func run(t *testing.T, cmd *exec.Cmd, input string) {
	t.Helper()
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, out)
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
