package main

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/nat"
	"hairpin/turnserver/probe"
)

// freePort returns a port that is free on all addresses as the next one is, of those
// the kernel gives only to who asks for them.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := 20_000 + rand.N(uint16(12_000))
		if isFree(t, port) && isFree(t, port+1) {
			return portText(port)
		}
	}
}

func isFree(t *testing.T, port uint16) bool {
	t.Helper()
	packets, err := net.ListenPacket("udp4", ":"+portText(port))
	if err != nil {
		return false
	}
	defer packets.Close()
	streams, err := net.Listen("tcp4", ":"+portText(port))
	if err == nil {
		streams.Close()
	}
	return err == nil
}

// TestServeOffersDiscovery probes a server by each of the ways to give it two
// addresses. Of what it listens on for discovery alone, pages are not told.
func TestServeOffersDiscovery(t *testing.T) {
	port := freePort(t)
	for _, args := range [][]string{
		{"--listen", "127.0.0.1:" + port, "--alternate-address", "127.0.0.2"},
		{"--listen", "0.0.0.0:" + port, "--alternate-address", "127.0.0.2"},
		{"--listen", "127.0.0.1:" + port + ",127.0.0.2:" + port},
	} {
		s := runServe(t, append([]string{"serve", "--relay-address", "127.0.0.1", "--http", "127.0.0.1:0", "--log-format", "json"}, args...)...)
		s.ready = s.await("ready")
		var h hairpin
		if code := h.probeNow(t, "nat", "--json", "--server", "127.0.0.1:"+port); code != exitOK {
			t.Errorf("%q: exit code %d", args, code)
		}
		var got natProbed
		if err := json.Unmarshal(h.stdout.Bytes(), &got); err != nil || len(got.Results) != 1 {
			t.Fatalf("%v: %s", err, &h.stdout)
		}
		r := got.Results[0].Report
		if r.Filtering != nat.EndpointIndependent || r.Other.Addr() != netip.MustParseAddr("127.0.0.2") {
			t.Errorf("%q: filtering %v, other address %v", args, r.Filtering, r.Other)
		}
		if _, body := s.get("/v1/ice-servers"); strings.Contains(body, portText(r.Other.Port())) {
			t.Errorf("%q: pages are sent to %v: %s", args, r.Other, body)
		}
		s.signal(os.Interrupt)
		if err := s.exit(); err != nil {
			t.Error(err)
		}
	}
}

// TestProbeNATInLab runs the program behind the kernel's own NATs, against the program
// on a host with two addresses.
func TestProbeNATInLab(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil && os.Getenv("HAIRPIN_TEST_FULL") != "1" {
		t.Skip("nft is needed")
	}
	const masquerade = `chain n { type nat hook postrouting priority 100; oifname OUT masquerade; }
`
	for _, tt := range []struct {
		name, rules string
		code        int
		words       string
		direct      nat.Answer // with a peer behind a port-restricted cone
	}{
		{"masquerade", masquerade, exitOK, "a NAT of the kind called port-restricted cone", nat.Yes},
		{
			"masquerade at random", `chain n { type nat hook postrouting priority 100; oifname OUT meta l4proto udp masquerade to :20000-60000 fully-random; }`,
			exitOK, "a NAT of the kind called symmetric", nat.No,
		},
		{
			"full cone", masquerade + `chain d { type nat hook prerouting priority -100; iifname OUT meta l4proto udp dnat to 10.7.0.2; }`,
			exitOK, "a NAT of the kind called full cone", nat.Yes,
		},
		{
			"UDP blocked", masquerade + `chain f { type filter hook forward priority 0; meta l4proto udp drop; }`,
			exitFault, "UDP is blocked: the server answers over TCP, and not over UDP", nat.No,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := natLab(t, tt.rules)
			out, err := client.Command(program(t), "probe", "nat", "--json", "--server", "203.0.113.1").Output()
			var exit *exec.ExitError
			code := exitOK
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			var got natProbed
			if err := json.Unmarshal(out, &got); err != nil || len(got.Results) != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			r := got.Results[0]
			if code != tt.code || r.Words != tt.words || r.Report.Peers[2].Direct != tt.direct || r.Verdict == probe.Incomplete {
				t.Errorf("exit code %d: %s", code, out)
			}
		})
	}
}

// natLab makes a client, a router with rules for nftables, and a host with two
// addresses that serves. It returns the client.
func natLab(t *testing.T, rules string) *labtest.Host {
	t.Helper()
	lab := labtest.New(t)
	client, router, server := lab.Host("client"), lab.Host("router"), lab.Host("server")
	end := func(h *labtest.Host, prefix string) labtest.End {
		return labtest.End{Host: h, Address: netip.MustParsePrefix(prefix)}
	}
	lab.Link(end(client, "10.7.0.2/24"), end(router, "10.7.0.1/24"))
	outside, inside := lab.Link(end(router, "203.0.113.9/24"), end(server, "203.0.113.1/24"))
	router.Sysctl("net/ipv4/ip_forward", "1")
	client.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.7.0.1"))
	server.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("203.0.113.9"))
	table := router.Command("nft", "-f", "-")
	table.Stdin = strings.NewReader("table ip t {\n" + strings.ReplaceAll(rules, "OUT", outside) + "\n}\n")
	for _, cmd := range []*exec.Cmd{server.Command("ip", "address", "add", "203.0.113.2/24", "dev", inside), table} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", cmd.Args, err, out)
		}
	}
	s := followServe(t, server.Command(program(t), "serve", "--alternate-address", "203.0.113.2", "--http", "127.0.0.1:0", "--log-format", "json"))
	s.await("ready")
	return client
}
