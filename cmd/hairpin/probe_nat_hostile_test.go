package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v3"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/probe"
)

// badServer answers every packet with what a function makes of it, until the test ends.
func badServer(t *testing.T, answers func(request []byte, from *net.UDPAddr) [][]byte) string {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			for _, answer := range answers(buf[:n], from) {
				_, _ = conn.WriteToUDP(answer, from) // a full queue is the client's to drain
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return conn.LocalAddr().String()
}

// responding is a server that answers Binding requests with attributes of its choice.
func responding(attributes func(from *net.UDPAddr) []stun.Setter) func([]byte, *net.UDPAddr) [][]byte {
	return func(request []byte, from *net.UDPAddr) [][]byte {
		m := new(stun.Message)
		if stun.Decode(request, m) != nil {
			return nil
		}
		all := append([]stun.Setter{m, stun.BindingSuccess}, attributes(from)...)
		return [][]byte{stun.MustBuild(all...).Raw}
	}
}

// TestProbeNATOfBadServers: a server that lies, is silent, answers garbage or floods
// gets a clear verdict, in time.
func TestProbeNATOfBadServers(t *testing.T) {
	mapped := func(ip string, port int) stun.Setter { return &stun.XORMappedAddress{IP: net.ParseIP(ip), Port: port} }
	garbage := func(n int) func([]byte, *net.UDPAddr) [][]byte {
		return func([]byte, *net.UDPAddr) [][]byte {
			all := make([][]byte, n)
			for i := range all {
				all[i] = bytes.Repeat([]byte{byte(i)}, i%600)
			}
			return all
		}
	}
	honest := func(from *net.UDPAddr) stun.Setter { return mapped(from.IP.String(), from.Port) }
	made := 0
	for _, tt := range []struct {
		name    string
		answers func([]byte, *net.UDPAddr) [][]byte
		code    int
		verdict probe.Verdict
		words   string
		open    nat.Reason // why filtering is not known
	}{
		{"silent", garbage(0), exitUnreachable, probe.Unreachable, "nothing came back", nat.UDPBlocked},
		{"garbage", garbage(3), exitFault, probe.Faulty, "packets came back, but none was an answer", nat.NotSTUN},
		{"flood", garbage(3000), exitFault, probe.Faulty, "packets came back, but none was an answer", nat.NotSTUN},
		{
			"no mapped address", responding(func(*net.UDPAddr) []stun.Setter { return nil }),
			exitFault, probe.Faulty, "the server did not say what address it sees", nat.NoMappedAddress,
		},
		{
			"an impossible mapped address", responding(func(*net.UDPAddr) []stun.Setter { return []stun.Setter{mapped("224.0.0.1", 5)} }),
			exitFault, probe.Faulty, "the server did not say what address it sees", nat.NoMappedAddress,
		},
		{
			"an other address of nobody", responding(func(from *net.UDPAddr) []stun.Setter {
				return []stun.Setter{honest(from), &stun.OtherAddress{IP: net.IPv4(127, 0, 0, 9), Port: 9}}
			}),
			exitOK, probe.Healthy, "no NAT, and perhaps a firewall", nat.ChangeRequestIgnored,
		},
		{
			"mappings made up", responding(func(from *net.UDPAddr) []stun.Setter {
				made++
				return []stun.Setter{mapped("127.0.0.7", 1000+made), &stun.OtherAddress{IP: net.IPv4(127, 0, 0, 9), Port: 9}}
			}),
			exitOK, probe.Healthy, "a NAT, of what kind is not known", nat.ChangeRequestIgnored,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at := badServer(t, tt.answers)
			var h hairpin
			if code := h.probeNow(t, "nat", "--json", "--server", at); code != tt.code {
				t.Errorf("exit code %d", code)
			}
			var got natProbed
			if err := json.Unmarshal(h.stdout.Bytes(), &got); err != nil || len(got.Results) != 1 {
				t.Fatalf("%v: %s", err, &h.stdout)
			}
			r := got.Results[0]
			if r.Verdict != tt.verdict || !strings.HasPrefix(r.Words, tt.words) || r.Report.Server != netip.MustParseAddrPort(at) {
				t.Errorf("%s: %q", r.Verdict, r.Words)
			}
			if gap, _ := r.Report.Missing(nat.PropertyFiltering); gap.Reason != tt.open {
				t.Errorf("filtering %v: %v", r.Report.Filtering, gap)
			}
		})
	}
}
