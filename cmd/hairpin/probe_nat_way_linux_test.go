package main

import (
	"testing"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/nat"
)

// onlyReport returns the report of a probe that has one result.
func onlyReport(t *testing.T, got probedFrom) *nat.Report {
	t.Helper()
	if len(got.Results) != 1 || got.Results[0].Report == nil {
		t.Fatalf("exit code %d: %s", got.code, got.text)
	}
	return got.Results[0].Report
}

// TestProbeNATPathMTU: a link on the way takes shorter packets than Ethernet, as over
// PPPoE or a tunnel.
func TestProbeNATPathMTU(t *testing.T) {
	t.Parallel()
	internet := servedInternet(t)
	site := internet.Attach(labtest.Named("port-restricted-cone"))
	site.MTU(1400)
	for _, six := range []bool{false, true} {
		r := onlyReport(t, probeNATFrom(t, site.Client, "--server", labtest.Servers(six)[0].String()))
		if r.PathMTU != 1400 || r.Fragments != (nat.Fragments{Outbound: nat.Yes, Inbound: nat.Yes}) {
			t.Errorf("IPv6 %v: path MTU %d, fragments %v: %v", six, r.PathMTU, r.Fragments, r.Gaps)
		}
	}
}

// TestProbeNATLifetime: the kernel forgets a mapping after as long as it was told.
func TestProbeNATLifetime(t *testing.T) {
	t.Parallel()
	const seconds = 12
	internet := servedInternet(t)
	site := internet.Attach(labtest.Named("port-restricted-cone"))
	for _, key := range []string{"nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"} {
		site.Boxes[0].Sysctl("net/netfilter/"+key, "12")
	}
	r := onlyReport(t, probeNATFrom(t, site.Client, "--server", labtest.Servers(false)[0].String(), "--lifetime=20s"))
	if l := r.Lifetime; l == nil || l.AtLeastSeconds > seconds || l.BelowSeconds <= seconds || l.BelowSeconds-l.AtLeastSeconds > 8 {
		t.Errorf("lifetime %+v, want %d s: %v", l, seconds, r.Gaps)
	}
}

// TestProbeNATSeveralInterfaces: a host on two networks is told of both, each as it is.
func TestProbeNATSeveralInterfaces(t *testing.T) {
	t.Parallel()
	internet := servedInternet(t)
	wired := internet.Attach(labtest.Named("full-cone"))
	wireless := internet.AttachHost(wired.Client, labtest.Named("symmetric"))
	got := probeNATFrom(t, wired.Client, "--server", labtest.Servers(false)[0].String(),
		"--local", wired.Four.String(), "--local", wireless.Four.String())
	found := make(map[string]string)
	for _, r := range got.Results {
		if r.Report != nil {
			found[r.Report.Local.Addr().String()] = r.Report.PopularName
		}
	}
	if found[wired.Four.String()] != "full cone" || found[wireless.Four.String()] != "symmetric" || len(found) != 2 {
		t.Errorf("found %v: %s", found, got.text)
	}
}
