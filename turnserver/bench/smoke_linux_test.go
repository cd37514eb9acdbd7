package bench_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/bench"
	"hairpin/turnserver/labtest"
)

// TestEveryVendor carries a small load of every mode over every transport through
// servers of three makers, and wants all of it to arrive. It measures nothing.
func TestEveryVendor(t *testing.T) {
	labtest.New(t) // or skip
	certificate, key, roots := certify(t)
	servers := []server{
		hairpin(t, "hairpin", hairpinProgram(t)),
		coturn(t, "coturn", "--tls-listening-port", fmt.Sprint(tlsPort), "--cert", certificate, "--pkey", key),
		pionturn(t),
	}
	for i, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			lab := labtest.New(t)
			site := newSite(lab, lab.Host("client"), lab.Host("peer"), byte(i+1))
			site.shortcut(lab)
			process := server.start(t, site, serverCPU)
			for _, transport := range []bench.Transport{bench.UDP, bench.TCP, bench.TLS} {
				if transport == bench.TLS && server.name != "coturn" {
					continue
				}
				config := site.config(4)
				config.Transport, config.Peers = transport, 2
				if transport == bench.TLS {
					config.TLS, config.Dial = &tls.Config{RootCAs: roots, ServerName: serverName}, site.dial(tlsPort)
				}
				for _, mode := range bench.Modes() {
					t.Run(fmt.Sprintf("%s/%s", transport, mode), func(t *testing.T) { carrySome(t, config, mode, process) })
				}
			}
		})
	}
}

const (
	tlsPort    = 5349
	serverName = "turn.example"
)

// dial connects from the site's client to a port of its server.
func (s *site) dial(port uint16) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (conn net.Conn, err error) {
		to := netip.AddrPortFrom(s.listenIP, port).String()
		s.client.Do(func() { conn, err = new(net.Dialer).DialContext(ctx, "tcp", to) })
		return conn, err
	}
}

func carrySome(t *testing.T, config bench.Config, mode bench.Mode, process bench.Process) {
	plan := bench.Plan{Config: config, Load: bench.Load{Mode: mode, Process: process}}
	if mode != bench.Allocate {
		// Servers bound how many Bindings a second they answer one address.
		plan.Load.Rate, plan.Load.Duration = 100, 200*time.Millisecond
	}
	r, err := bench.Measure(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Complete {
		t.Errorf("%+v", r)
	}
	if a := r.Allocations; mode != bench.Binding && (a == nil || a.Count != config.Clients || a.PerSecond <= 0 || a.Delay.P50 <= 0) {
		t.Errorf("allocations: %+v", a)
	}
	if mode == bench.Allocate {
		return
	}
	p := r.Packets
	if p.Sent == 0 || p.Delivered != p.Sent || p.Stray+p.Duplicate+p.Refused != 0 || p.Delay == nil || p.Delay.P50 <= 0 {
		t.Errorf("packets: %+v", p)
	}
	if r.Process == nil || r.Process.CPUSeconds <= 0 || r.Process.MicrosecondsPerPacket <= 0 {
		t.Errorf("process: %+v", r.Process)
	}
	straight := mode != bench.Binding && config.Transport == bench.UDP
	tooSmall := slices.ContainsFunc(r.Notes, func(note string) bool { return strings.Contains(note, "too small to be seen") })
	if straight != (r.Machine != nil || tooSmall) {
		t.Errorf("machine: %+v, notes %q", r.Machine, r.Notes)
	}
}

// certify makes a certificate for serverName, valid for an hour, as files of its chain
// and its key and as what to trust.
func certify(t *testing.T) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "certificate"), filepath.Join(dir, "key")
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	err = errors.Join(os.WriteFile(certificate, public, 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	return certificate, key, roots
}
