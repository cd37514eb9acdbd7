package probe_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/probe"

	"github.com/pion/stun/v3"
)

// impatient is how long a probe waits for a server that lies. Those that answer do it
// much sooner.
const impatient = 500 * time.Millisecond

// liar is a UDP server that answers what a test wants. It returns its address.
func liar(t *testing.T, answer func(request []byte, send func([]byte))) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	go func() {
		defer close(ended)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			answer(buf[:n], func(b []byte) { _, _ = conn.WriteTo(b, from) })
		}
	}()
	return conn.LocalAddr().String()
}

// streamLiar is the same over TCP: it has each connection for itself, which is closed
// when serve returns or the test ends.
func streamLiar(t *testing.T, serve func(context.Context, net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); _ = listener.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			go func() {
				defer conn.Close()
				serve(ctx, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// decoded is a request, or nil.
func decoded(b []byte) *stun.Message {
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if m.Decode() != nil || m.Type.Class != stun.ClassRequest {
		return nil
	}
	return m
}

// answerTo builds a response to a request.
func answerTo(m *stun.Message, class stun.MessageClass, with ...stun.Setter) []byte {
	all := append([]stun.Setter{m, stun.NewType(m.Type.Method, class)}, with...)
	return stun.MustBuild(all...).Raw
}

// binds answers Binding requests well, and leaves the rest to another.
func binds(other func(m *stun.Message, send func([]byte))) func([]byte, func([]byte)) {
	return func(b []byte, send func([]byte)) {
		m := decoded(b)
		switch {
		case m == nil:
		case m.Type.Method == stun.MethodBinding:
			send(answerTo(m, stun.ClassSuccessResponse, &stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 4}))
		default:
			other(m, send)
		}
	}
}

func challenge(nonce string) []stun.Setter {
	return []stun.Setter{stun.CodeUnauthorized, stun.NewRealm("r"), stun.NewNonce(nonce)}
}

// lends answers as a server that lends anything to anybody.
func lends(ip string, port int, sign ...stun.Setter) func(*stun.Message, func([]byte)) {
	return func(m *stun.Message, send func([]byte)) {
		with := append([]stun.Setter{
			xorRelayed{&stun.XORMappedAddress{IP: net.ParseIP(ip), Port: port}},
			&stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 4},
			stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 2, 0x58}},
		}, sign...)
		send(answerTo(m, stun.ClassSuccessResponse, with...))
	}
}

type xorRelayed struct{ *stun.XORMappedAddress }

func (x xorRelayed) AddTo(m *stun.Message) error { return x.AddToAs(m, stun.AttrXORRelayedAddress) }

// TestLiars: whatever a server does, there is a verdict, in time.
func TestLiars(t *testing.T) {
	login := &probe.Login{Username: "alice", Password: "wonderland"}
	tests := []struct {
		name    string
		answer  func([]byte, func([]byte))
		step    string
		reason  string
		verdict probe.Verdict
	}{
		{"silent", func([]byte, func([]byte)) {}, probe.StepReachability, "silent", probe.Unreachable},
		{"echo", func(b []byte, send func([]byte)) { send(b) }, probe.StepReachability, "not-stun", probe.Faulty},
		{"garbage", func(_ []byte, send func([]byte)) { send([]byte("\x00\x01no STUN at all")) }, probe.StepReachability, "not-stun", probe.Faulty},
		{"empty packets", func(_ []byte, send func([]byte)) { send(nil) }, probe.StepReachability, "not-stun", probe.Faulty},
		{"answers of others", func(b []byte, send func([]byte)) {
			b[12]++
			send(stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw)
		}, probe.StepReachability, "not-stun", probe.Faulty},
		{"wrong fingerprint", func(b []byte, send func([]byte)) {
			if m := decoded(b); m != nil {
				answer := answerTo(m, stun.ClassSuccessResponse, stun.Fingerprint)
				answer[len(answer)-1]++
				send(answer)
			}
		}, probe.StepReachability, "not-stun", probe.Faulty},
		{"no mapped address", func(b []byte, send func([]byte)) {
			if m := decoded(b); m != nil {
				send(answerTo(m, stun.ClassSuccessResponse))
			}
		}, probe.StepBinding, "binding-empty", probe.Faulty},
		{"impossible mapped address", func(b []byte, send func([]byte)) {
			if m := decoded(b); m != nil {
				send(answerTo(m, stun.ClassSuccessResponse, &stun.XORMappedAddress{IP: net.IPv4zero, Port: 0}))
			}
		}, probe.StepBinding, "mapped-impossible", probe.Faulty},
		{"RFC 3489", func(b []byte, send func([]byte)) {
			if m := decoded(b); m != nil {
				send(answerTo(m, stun.ClassSuccessResponse, &stun.MappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 4}))
			}
		}, probe.StepBinding, "binding-old", probe.Faulty},
		{"error without a code", func(b []byte, send func([]byte)) {
			if m := decoded(b); m != nil {
				send(answerTo(m, stun.ClassErrorResponse))
			}
		}, probe.StepAuthentication, "challenge-missing", probe.Faulty},
		{"STUN alone", binds(func(*stun.Message, func([]byte)) {}), probe.StepAuthentication, "silent", probe.Faulty},
		{"no realm", binds(func(m *stun.Message, send func([]byte)) {
			send(answerTo(m, stun.ClassErrorResponse, stun.CodeUnauthorized, stun.NewNonce("n")))
		}), probe.StepAuthentication, "challenge-broken", probe.Faulty},
		{"another method", binds(func(m *stun.Message, send func([]byte)) {
			m.Type.Method = stun.MethodRefresh
			send(answerTo(m, stun.ClassErrorResponse, challenge("n")...))
		}), probe.StepAuthentication, "closed", probe.Faulty},
		{"elsewhere", binds(func(m *stun.Message, send func([]byte)) {
			send(answerTo(m, stun.ClassErrorResponse, stun.CodeTryAlternate))
		}), probe.StepAuthentication, "redirected", probe.Faulty},
		{"always 401", binds(func(m *stun.Message, send func([]byte)) {
			send(answerTo(m, stun.ClassErrorResponse, challenge("n")...))
		}), probe.StepAuthentication, "wrong-credentials", probe.Faulty},
		{"always 438", binds(func(m *stun.Message, send func([]byte)) {
			code := stun.CodeStaleNonce
			if !m.Contains(stun.AttrUsername) {
				code = stun.CodeUnauthorized
			}
			send(answerTo(m, stun.ClassErrorResponse, code, stun.NewRealm("r"), stun.NewNonce("n")))
		}), probe.StepAuthentication, "stale-nonce", probe.Faulty},
		{"another realm each time", binds(func(m *stun.Message, send func([]byte)) {
			realm := "first"
			if m.Contains(stun.AttrUsername) {
				realm = "second"
			}
			send(answerTo(m, stun.ClassErrorResponse, stun.CodeUnauthorized, stun.NewRealm(realm), stun.NewNonce("n")))
		}), probe.StepAuthentication, "realm-changes", probe.Faulty},
		{"yes without proof", binds(func(m *stun.Message, send func([]byte)) {
			if m.Contains(stun.AttrUsername) {
				lends("127.0.0.1", 9)(m, send)
				return
			}
			send(answerTo(m, stun.ClassErrorResponse, challenge("n")...))
		}), probe.StepAuthentication, "not-signed", probe.Faulty},
		{"yes without proof", binds(func(m *stun.Message, send func([]byte)) {
			if m.Contains(stun.AttrUsername) {
				lends("127.0.0.1", 9, stun.NewLongTermIntegrity("alice", "r", "another"))(m, send)
				return
			}
			send(answerTo(m, stun.ClassErrorResponse, challenge("n")...))
		}), probe.StepAuthentication, "not-signed", probe.Faulty},
		{"lends nothing", binds(lends("0.0.0.0", 0)), probe.StepAllocation, "relayed-impossible", probe.Faulty},
		{"multicast", binds(lends("224.0.0.1", 9)), probe.StepAllocation, "relayed-impossible", probe.Faulty},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, "turn:"+liar(t, tt.answer), probe.Options{Login: login, Wait: impatient})
			wantStep(t, r, tt.step, probe.Fault, tt.reason)
			if r.Verdict != tt.verdict {
				t.Errorf("got %s, want %s", r.Verdict, tt.verdict)
			}
		})
	}
}

// TestYes: a server that says yes to whatever anybody asks, and does nothing of it.
func TestYes(t *testing.T) {
	r := run(t, "turn:"+liar(t, binds(lends("127.0.0.1", 9))), probe.Options{Wait: impatient})
	wantStep(t, r, probe.StepAuthentication, probe.Fault, "no-authentication")
	wantStep(t, r, probe.StepIndication, probe.Fault, "relay-dead")
	wantStep(t, r, probe.StepChannel, probe.Fault, "relay-dead")
	wantStep(t, r, probe.StepPeerPolicy, probe.Fault, "peer-policy-hole")
	wantStep(t, r, probe.StepFeatures, probe.Fault, "feature-broken")
}

// TestFlood: a server that sends all it can gets a verdict, and no memory.
func TestFlood(t *testing.T) {
	noise := bytes.Repeat([]byte{0x80}, 100)
	indication := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodData, stun.ClassIndication),
		stun.RawAttribute{Type: stun.AttrData, Value: noise}).Raw
	data := append([]byte{0x40, 0, 0, 100}, noise...)
	good := binds(func(m *stun.Message, send func([]byte)) {
		send(answerTo(m, stun.ClassErrorResponse, challenge("n")...))
	})
	at := liar(t, func(b []byte, send func([]byte)) {
		for range 3000 {
			send(noise)
			send(indication)
			send(data)
		}
		good(b, send)
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := run(t, "turn:"+at, probe.Options{Login: &probe.Login{Username: "alice", Password: "wonderland"}, Wait: 2 * time.Second})
	runtime.ReadMemStats(&after)
	if r.Verdict != probe.Faulty && r.Verdict != probe.Unreachable {
		t.Errorf("got %s", r.Verdict)
	}
	if held := int64(after.HeapInuse) - int64(before.HeapInuse); held > 16<<20 {
		t.Errorf("the heap grew by %d MB", held>>20)
	}
}

// TestStreamLiars: the same over TCP, where a lie can also be in the framing.
func TestStreamLiars(t *testing.T) {
	respond := func(text string) func(context.Context, net.Conn) {
		return func(_ context.Context, conn net.Conn) {
			_, _ = conn.Read(make([]byte, 100))
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	tests := []struct {
		name, reason, words string
		serve               func(context.Context, net.Conn)
	}{
		{"silent", "silent", "does not answer", func(_ context.Context, c net.Conn) { _, _ = io.Copy(io.Discard, c) }},
		{"never reads", "silent", "does not answer", func(ctx context.Context, _ net.Conn) { <-ctx.Done() }},
		{"closes", "closed", "closes the connection", func(context.Context, net.Conn) {}},
		{"HTTP", "not-stun", `"HTTP/1.1 400 Bad Request"`, respond("HTTP/1.1 400 Bad Request\r\n\r\n")},
		{"SSH", "not-stun", `"SSH-2.0-x`, respond("SSH-2.0-x\r\n")},
		{"lengths that wrap", "silent", "", respond("\x40\x00\xff\xfc\x00\x00\x00\x00\x00")},
		{"half a header", "silent", "", respond("\x01\x01")},
		{"half a message", "silent", "", respond("\x01\x01\x00\x0c\x21\x12\xa4\x42")},
		{"odd length", "not-stun", "", respond("\x01\x01\x00\x03\x21\x12\xa4\x42")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, "turn:"+streamLiar(t, tt.serve)+"?transport=tcp", probe.Options{Wait: impatient})
			step := wantStep(t, r, probe.StepReachability, probe.Fault, tt.reason)
			if !strings.Contains(step.Words, tt.words) {
				t.Errorf("got %q, want %q", step.Words, tt.words)
			}
			if r.Verdict != probe.Faulty { // something is there
				t.Errorf("got %s", r.Verdict)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		r := run(t, "turn:"+listener.Addr().String()+"?transport=tcp", probe.Options{Wait: impatient})
		wantStep(t, r, probe.StepReachability, probe.Fault, "refused")
		if r.Verdict != probe.Unreachable {
			t.Errorf("got %s", r.Verdict)
		}
	})
}

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	a.cert = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate) *x509.Certificate {
	a.t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &a.key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

// leaf is a certificate for an address that is valid until then.
func (a *authority) leaf(address string, until time.Time) tls.Certificate {
	c := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test leaf"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(address)},
	}, a.cert)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: a.key}
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// behindTLS puts TLS before a TCP server.
func behindTLS(t *testing.T, server netip.AddrPort, config *tls.Config) string {
	return streamLiar(t, func(_ context.Context, conn net.Conn) {
		secure := tls.Server(conn, config)
		behind, err := net.Dial("tcp", server.String())
		if err != nil {
			return
		}
		defer behind.Close()
		go func() { _, _ = io.Copy(behind, secure); behind.Close() }()
		_, _ = io.Copy(secure, behind)
	})
}

func TestCertificates(t *testing.T) {
	s := serve(t, nil)
	ca := newAuthority(t)
	good := ca.leaf("127.0.0.1", time.Now().Add(500*time.Hour))
	tests := []struct {
		name   string
		config *tls.Config
		roots  *x509.CertPool
		reason string
		words  string
	}{
		{"good", &tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"stun.turn"}}, ca.roots(), "", "20 days left, chain of 1, TLS 1.3, ALPN stun.turn"},
		{"no ALPN", &tls.Config{Certificates: []tls.Certificate{good}}, ca.roots(), "", "no ALPN"},
		{"unknown root", &tls.Config{Certificates: []tls.Certificate{good}}, newAuthority(t).roots(), "certificate-chain", ""},
		{"expired", &tls.Config{Certificates: []tls.Certificate{ca.leaf("127.0.0.1", time.Now().Add(-time.Hour))}}, ca.roots(), "certificate-expired", "expired 60 min ago"},
		{"ends soon", &tls.Config{Certificates: []tls.Certificate{ca.leaf("127.0.0.1", time.Now().Add(60*time.Hour))}}, ca.roots(), "certificate-ends-soon", "ends in 2 days"},
		{"another name", &tls.Config{Certificates: []tls.Certificate{ca.leaf("192.0.2.7", time.Now().Add(500*time.Hour))}}, ca.roots(), "certificate-name", "for 192.0.2.7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := behindTLS(t, s.Addrs().TCP[0], tt.config)
			r := run(t, "turns:"+at, probe.Options{Login: s.login(t), Roots: tt.roots})
			status := probe.OK
			if tt.reason != "" {
				status = probe.Fault
			}
			step := wantStep(t, r, probe.StepCertificate, status, tt.reason)
			if !strings.Contains(step.Words, tt.words) {
				t.Errorf("got %q, want %q", step.Words, tt.words)
			}
			wantStep(t, r, probe.StepChannel, probe.OK, "") // a certificate does not keep us from looking on
		})
	}
}

func TestTLSWhereThereIsNone(t *testing.T) {
	s := serve(t, nil)
	r := run(t, "turns:"+s.Addrs().TCP[0].String(), probe.Options{Wait: impatient})
	wantStep(t, r, probe.StepReachability, probe.Fault, "tls-failed")
	wantStep(t, r, probe.StepCertificate, probe.Skipped, "needs")
}
