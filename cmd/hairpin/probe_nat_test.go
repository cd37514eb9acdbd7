package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/probe"
)

// TestProbeNATOneAddress: what a server with one address cannot tell is named, and why.
func TestProbeNATOneAddress(t *testing.T) {
	at := probedServer(t)
	var h hairpin
	if code := h.probeNow(t, "nat", "--server", at); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	text := h.stdout.String()
	for _, want := range []string{
		at + ", IPv4: healthy: no NAT, and perhaps a firewall\n",
		"\n  mapping       endpoint-independent\n",
		"\n  not known     filtering: this takes a server with two addresses, and it named\n",
		"\n  UDP blocked                           by TURN\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Contains(text, "\x1b") || h.stderr.Len() > 0 {
		t.Errorf("colours, or words on stderr, where there is no terminal: %s", &h.stderr)
	}
}

// TestProbeNATInterrupted: the report is printed with what is known.
func TestProbeNATInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var h hairpin
	if code := run(ctx, h.deps(), []string{"probe", "nat", "--json", "--server", "127.0.0.1"}); code != exitFault {
		t.Errorf("exit code %d", code)
	}
	var got natProbed
	if err := json.Unmarshal(h.stdout.Bytes(), &got); err != nil || got.Verdict != probe.Incomplete || len(got.Results) != 1 {
		t.Fatalf("%v: %s", err, &h.stdout)
	}
	if r := got.Results[0].Report; r != nil && r.UDP != nat.Unknown {
		t.Errorf("got %+v", r)
	}
}

func TestAnswersOver(t *testing.T) {
	at := netip.MustParseAddrPort(probedServer(t))
	if (natTarget{server: at}).answersOver(t.Context()) != (streamWay{"TCP", at.Port()}) {
		t.Error("a server that answers does not")
	}
	if (natTarget{at, at.Addr()}).answersOver(t.Context()).name != "TCP" {
		t.Error("it does not from a given address")
	}
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "220 mail.example.org ESMTP, at your service\r\n")
			conn.Close()
		}
	}()
	mail := netip.MustParseAddrPort(other.Addr().String())
	if (natTarget{server: mail}).answersAt(t.Context(), streamWay{"TCP", mail.Port()}) {
		t.Error("a mail server is taken for a STUN server")
	}
	other.Close()
	if (natTarget{server: mail}).answersAt(t.Context(), streamWay{"TCP", mail.Port()}) {
		t.Error("nobody answers")
	}
}

// TestAnswersOverTLS: a certificate that nobody vouches for is no obstacle.
func TestAnswersOverTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	listener, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 20)
			if _, err := io.ReadFull(conn, request); err == nil {
				request[0] = 0x01 // a success response
				_, _ = conn.Write(request)
			}
			conn.Close()
		}
	}()
	at := netip.MustParseAddrPort(listener.Addr().String())
	if got := (natTarget{server: at}).answersOver(t.Context()); got != (streamWay{"TLS", at.Port()}) {
		t.Errorf("it answers over %+v", got)
	}
	listener.Close()
	<-ended
}

// TestNATConclusion is what the reports come to.
func TestNATConclusion(t *testing.T) {
	const ei, apd = nat.EndpointIndependent, nat.AddressAndPortDependent
	gap := func(code nat.Reason) []nat.Gap {
		return []nat.Gap{{Property: nat.PropertyFiltering, Reason: code, Text: "why"}}
	}
	for _, tt := range []struct {
		report  nat.Report
		err     error
		over    streamWay
		verdict probe.Verdict
		words   string
	}{
		{report: nat.Report{UDP: nat.No}, verdict: probe.Unreachable, words: "nothing came back"},
		{report: nat.Report{UDP: nat.No}, over: streamWay{name: "TCP"}, verdict: probe.Faulty, words: "UDP is blocked: the server answers over TCP"},
		{report: nat.Report{UDP: nat.No}, over: streamWay{"TLS", 443}, verdict: probe.Faulty, words: "UDP is blocked, or nothing is at port 0"},
		{report: nat.Report{UDP: nat.Yes}, err: context.Canceled, verdict: probe.Incomplete, words: "ended before"},
		{err: context.DeadlineExceeded, verdict: probe.Incomplete, words: "ended before"},
		{err: errors.New("no way"), verdict: probe.Unreachable, words: "no way"},
		{report: nat.Report{Gaps: gap(nat.CannotSend)}, verdict: probe.Unreachable, words: "why"},
		{report: nat.Report{UDP: nat.Yes, Gaps: gap(nat.NotSTUN)}, verdict: probe.Faulty, words: "why"},
		{report: nat.Report{UDP: nat.Yes, Gaps: gap(nat.RequestRefused)}, verdict: probe.Faulty, words: "why"},
		{report: nat.Report{UDP: nat.Yes, Gaps: gap(nat.NoMappedAddress)}, verdict: probe.Faulty, words: "why"},
		{report: nat.Report{UDP: nat.Yes, Translated: nat.Yes, Gaps: gap(nat.NoOtherAddress)}, verdict: probe.Healthy, words: "a NAT, of what kind"},
		{report: nat.Report{UDP: nat.Yes, Translated: nat.No, Filtering: ei}, verdict: probe.Healthy, words: "no NAT, and no firewall"},
		{report: nat.Report{UDP: nat.Yes, Translated: nat.No, Filtering: apd}, verdict: probe.Healthy, words: "no NAT, but a firewall"},
		{report: nat.Report{UDP: nat.Yes, Translated: nat.Yes, PopularName: "symmetric"}, verdict: probe.Healthy, words: "a NAT of the kind called symmetric"},
	} {
		r := natResult{Report: &tt.report}
		r.conclude(tt.err, tt.over)
		if r.Verdict != tt.verdict || !strings.HasPrefix(r.Words, tt.words) {
			t.Errorf("%+v, %v: got %s, %q", tt.report, tt.err, r.Verdict, r.Words)
		}
	}
}

func TestNATVerdict(t *testing.T) {
	for _, tt := range []struct {
		all  []probe.Verdict
		want probe.Verdict
	}{
		{[]probe.Verdict{probe.Healthy, unavailable}, probe.Healthy},
		{[]probe.Verdict{unavailable, unavailable}, probe.Unreachable},
		{[]probe.Verdict{probe.Faulty, probe.Unreachable}, probe.Unreachable},
		{[]probe.Verdict{probe.Incomplete, probe.Faulty}, probe.Faulty},
		{[]probe.Verdict{probe.Healthy, probe.Incomplete}, probe.Incomplete},
	} {
		var results []natResult
		for _, v := range tt.all {
			results = append(results, natResult{Verdict: v})
		}
		if got := natVerdict(results); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.all, got, tt.want)
		}
	}
}

// TestNATConsequences is what the reports mean for calls.
func TestNATConsequences(t *testing.T) {
	const ei, apd = nat.EndpointIndependent, nat.AddressAndPortDependent
	for _, tt := range []struct {
		report nat.Report
		want   []string // how the sentences begin
	}{
		{nat.Report{UDP: nat.No}, []string{"Every call needs TURN over TCP", "Let UDP out"}},
		{nat.Report{UDP: nat.Yes, Mapping: ei, Filtering: ei}, []string{"Two peers like this one connect directly", "TURN is needed with these peers: UDP blocked."}},
		{nat.Report{UDP: nat.Yes, Mapping: ei, Filtering: apd}, []string{
			"Two peers like this one connect directly", "TURN is needed with these peers: symmetric; UDP blocked.", "Address-dependent filtering",
		}},
		{nat.Report{UDP: nat.Yes, Mapping: apd, Filtering: apd}, []string{
			"Two peers like this one need TURN", "TURN is needed with these peers: port-restricted cone, or firewall; symmetric; UDP", "Endpoint-independent mapping",
		}},
		{nat.Report{UDP: nat.Yes, Mapping: ei}, []string{"Two peers like this one connect directly", "TURN is needed"}},
		{nat.Report{UDP: nat.Yes}, []string{"Whether two peers like this one need TURN is not known", "TURN is needed"}},
		{
			nat.Report{
				UDP: nat.Yes, Mapping: ei, Filtering: ei, Hairpinning: nat.No, Lifetime: &nat.Lifetime{AtLeastSeconds: 30, BelowSeconds: 35},
				Remarks: []nat.Remark{{Reason: nat.CarrierGrade}}, Fragments: nat.Fragments{Inbound: nat.No},
			},
			[]string{"Two", "TURN", "Two peers behind this NAT", "Mappings lapse before the two minutes of RFC 4787 REQ-5: keep them alive every 15 s.", "A carrier's NAT", "Fragments"},
		},
	} {
		tt.report.Peers = nat.Peers(tt.report.Side())
		got := consequences(&tt.report)
		if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
			t.Errorf("%+v: got %q", tt.report, got)
		}
	}
}

// TestNATScreen holds the text of a whole report against a terminal's lines.
func TestNATScreen(t *testing.T) {
	at := netip.MustParseAddrPort
	report := nat.Report{
		Server: at("203.0.113.1:3478"), Other: at("203.0.113.2:3479"), Software: "evil\x1b[31m", RoundTripMs: 12.34,
		Local: at("192.168.1.7:50000"), Mapped: at("198.51.100.4:50000"), UDP: nat.Yes, Translated: nat.Yes,
		Mapping: nat.EndpointIndependent, Filtering: nat.AddressAndPortDependent, PopularName: "port-restricted cone",
		Hairpinning: nat.No, Ports: nat.Ports{Preservation: nat.No, Parity: nat.Yes, Sampled: 10},
		Fragments: nat.Fragments{Outbound: nat.Yes, Inbound: nat.No}, PathMTU: 1492,
		Lifetime: &nat.Lifetime{AtLeastSeconds: 30, BelowSeconds: 35},
		Remarks:  []nat.Remark{{Reason: nat.StrayPackets, Text: "3 packets came that nobody had asked for"}},
		Gaps:     []nat.Gap{{Property: nat.PropertyPathMTU, Reason: nat.Lost, Text: "lost"}, {Property: nat.PropertyPorts, Reason: nat.Lost, Text: "lost"}},
	}
	report.Peers = nat.Peers(report.Side())
	result := natResult{Family: "IPv4", Report: &report, Consequences: []string{"One.", "Two."}}
	result.conclude(nil, streamWay{})
	var out strings.Builder
	if err := printNATs(&out, natProbed{Server: "stun.example.org", Results: []natResult{result}}); err != nil {
		t.Fatal(err)
	}
	want := `stun.example.org, IPv4: healthy: a NAT of the kind called port-restricted cone
  server        "203.0.113.1:3478 and 203.0.113.2:3479, evil\x1b[31m"
  UDP           passes, there and back in 12.3 ms
  address       192.168.1.7:50000 becomes 198.51.100.4:50000
  mapping       endpoint-independent
  filtering     address-and-port-dependent ("port-restricted cone")
  hairpinning   no
  ports         chosen anew, of the same parity, in 10 mappings
  lifetime      30 to 35 s without a packet
  fragments     pass out, do not pass in
  path MTU      1492 bytes pass unfragmented, the most of the sizes tried
  carrier NAT   no sign of one
  remark        3 packets came that nobody had asked for
  not known     pathMTU, ports: lost
  so            One.
                Two.
  with a peer behind                    a call connects
  no NAT, or full cone                  directly
  restricted cone                       directly
  port-restricted cone, or firewall     directly
  symmetric                             by TURN
  UDP blocked                           by TURN
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
