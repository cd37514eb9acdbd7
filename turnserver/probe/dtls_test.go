package probe_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/probe"

	"github.com/pion/dtls/v3"
)

// behindDTLS puts DTLS before a UDP server.
func behindDTLS(t *testing.T, server netip.AddrPort, with ...dtls.ServerOption) string {
	t.Helper()
	at, err := dtls.ListenWithOptions("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, with...)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = at.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := at.Accept()
			if err != nil {
				return
			}
			running.Go(func() { bridge(conn, server) })
		}
	})
	return at.Addr().String()
}

// bridge passes datagrams on in both directions, until the client's side ends.
func bridge(conn net.Conn, server netip.AddrPort) {
	defer conn.Close()
	behind, err := net.Dial("udp4", server.String())
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { copyDatagrams(conn, behind) })
	copyDatagrams(behind, conn)
	_ = behind.Close()
	back.Wait()
}

func copyDatagrams(to io.Writer, from io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestDTLS(t *testing.T) {
	s := serve(t, nil)
	ca := newAuthority(t)
	good := ca.leaf("127.0.0.1", time.Now().Add(500*time.Hour))
	for _, c := range []struct {
		name   string
		with   []dtls.ServerOption
		roots  *x509.CertPool
		reason string
		words  string
	}{
		{"good", []dtls.ServerOption{dtls.WithCertificates(good), dtls.WithSupportedProtocols("stun.turn")}, ca.roots(), "", "20 days left, chain of 1, DTLS 1.2, ALPN stun.turn"},
		{"no ALPN", []dtls.ServerOption{dtls.WithCertificates(good)}, ca.roots(), "", "DTLS 1.2, no ALPN"},
		{"unknown root", []dtls.ServerOption{dtls.WithCertificates(good)}, newAuthority(t).roots(), "certificate-chain", ""},
		{"expired", []dtls.ServerOption{dtls.WithCertificates(ca.leaf("127.0.0.1", time.Now().Add(-time.Hour)))}, ca.roots(), "certificate-expired", "expired 60 min ago"},
		{"another name", []dtls.ServerOption{dtls.WithCertificates(ca.leaf("192.0.2.7", time.Now().Add(500*time.Hour)))}, ca.roots(), "certificate-name", "for 192.0.2.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := behindDTLS(t, s.Addrs().UDP[0], c.with...)
			r := run(t, "turns:"+at+"?transport=udp", probe.Options{Login: s.login(t), Roots: c.roots})
			status := probe.OK
			if c.reason != "" {
				status = probe.Fault
			}
			step := wantStep(t, r, probe.StepCertificate, status, c.reason)
			if !strings.Contains(step.Words, c.words) {
				t.Errorf("got %q, want %q", step.Words, c.words)
			}
			for _, name := range []string{probe.StepAllocation, probe.StepIndication, probe.StepChannel} {
				wantStep(t, r, name, probe.OK, "")
			}
		})
	}
}

// A server that does not speak DTLS gets a verdict within the wait, whatever it does
// instead.
func TestDTLSWhereThereIsNone(t *testing.T) {
	s := serve(t, nil)
	junk := bytes.Repeat([]byte("HTTP/1.1 400 Bad Request "), 4)
	hello := []byte{22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 2, 0, 0} // of a handshake, cut off
	closed, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	answering := func(answers ...[]byte) string {
		return liar(t, func(_ []byte, send func([]byte)) {
			for _, a := range answers {
				send(a)
			}
		})
	}
	flood := make([][]byte, 2000)
	for i := range flood {
		flood[i] = junk
	}
	for name, c := range map[string]struct {
		at      string
		reason  string
		verdict probe.Verdict
	}{
		"our server, without DTLS": {s.Addrs().UDP[0].String(), "silent", probe.Unreachable},
		"silence":                  {answering(), "silent", probe.Unreachable},
		"a closed port":            {closed.LocalAddr().String(), "refused", probe.Unreachable},
		"garbage":                  {answering(junk), "not-stun", probe.Faulty},
		"a flood":                  {answering(flood...), "not-stun", probe.Faulty},
		"nothing in a packet":      {answering([]byte{}), "not-stun", probe.Faulty},
		"a broken handshake":       {answering(hello, hello[:13], hello[:5]), "tls-failed", probe.Faulty},
		"an alert":                 {answering([]byte{21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40}), "tls-failed", probe.Faulty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			r := run(t, "turns:"+c.at+"?transport=udp", probe.Options{Wait: impatient})
			wantStep(t, r, probe.StepReachability, probe.Fault, c.reason)
			wantStep(t, r, probe.StepCertificate, probe.Skipped, "needs")
			if r.Verdict != c.verdict {
				t.Errorf("verdict %s, want %s", r.Verdict, c.verdict)
			}
			if took := time.Since(begun); took > 20*impatient {
				t.Errorf("took %v", took)
			}
		})
	}
}

// pemFiles writes a certificate and its key as OpenSSL reads them.
func pemFiles(t *testing.T, c tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", c.Certificate[0]), write("key.pem", "PRIVATE KEY", der)
}

func TestCoturnOverTLSAndDTLS(t *testing.T) {
	text, secrets := randomSecret(t)
	ca := newAuthority(t)
	cert, key := pemFiles(t, ca.leaf("127.0.0.1", time.Now().Add(500*time.Hour)))
	port := strconv.Itoa(freePort(t))
	coturn(t, "--use-auth-secret", "--static-auth-secret", text, "--allow-loopback-peers",
		"--cert", cert, "--pkey", key, "--tls-listening-port", port)
	for transport, version := range map[string]string{"tcp": " TLS 1.", "udp": "DTLS 1.2"} {
		t.Run(transport, func(t *testing.T) {
			r := run(t, "turns:127.0.0.1:"+port+"?transport="+transport, probe.Options{
				Mint: []probe.Mint{mint(secrets)}, Roots: ca.roots(),
			})
			step := wantStep(t, r, probe.StepCertificate, probe.OK, "")
			if !strings.Contains(step.Words, version) {
				t.Errorf("got %q, want %s", step.Words, version)
			}
			for _, name := range []string{
				probe.StepReachability, probe.StepBinding, probe.StepAuthentication, probe.StepAllocation,
				probe.StepPermission, probe.StepIndication, probe.StepChannel,
			} {
				wantStep(t, r, name, probe.OK, "")
			}
		})
	}
}
