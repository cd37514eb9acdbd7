package main

import (
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"hairpin/turnserver/nat"
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
