package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
)

// dtlsRetransmit is how long to wait for a flight of the handshake before sending ours
// again; it doubles each time. RFC 6347 §4.2.4.1 has a second: people wait for it.
const dtlsRetransmit = 500 * time.Millisecond

// speakDTLS makes a connected UDP socket a DTLS one (RFC 7350 §4). Like speakTLS it
// takes any certificate. What a host sends that is no DTLS is passed over until ctx ends,
// as anyone may send it; then the error tells of it.
func speakDTLS(ctx context.Context, conn net.Conn, u URI) (*dtls.Conn, *secured, error) {
	heard := &listener{Conn: conn}
	secure, err := dtls.ClientWithOptions(
		heard, conn.RemoteAddr(),
		dtls.WithServerName(u.Host),
		dtls.WithSupportedProtocols(alpn(u)),
		dtls.WithFlightInterval(dtlsRetransmit),
		dtls.WithInsecureSkipVerify(true), // #nosec: certificate.go verifies, and says what is wrong
	)
	if err != nil {
		return nil, nil, &handshakeError{"DTLS", err}
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = secure.Close()
		return nil, nil, heard.because(err)
	}
	state, _ := secure.ConnectionState() // is there after a handshake
	s := &secured{
		version: "DTLS 1.2", // the only one that is spoken here
		cipher:  tls.CipherSuiteName(uint16(state.CipherSuiteID)),
		alpn:    state.NegotiatedProtocol,
	}
	for _, raw := range state.PeerCertificates {
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			_ = secure.Close()
			return nil, nil, &handshakeError{"DTLS", err}
		}
		s.certificates = append(s.certificates, c)
	}
	return secure, s, nil
}

// isDTLS reports whether a packet begins like a DTLS record (RFC 7983 §7).
func isDTLS(p []byte) bool { return len(p) > 0 && p[0] >= 20 && p[0] <= 63 }

// listener is a connected UDP socket as the DTLS library wants it, which remembers how
// the host at its other end began to answer.
type listener struct {
	net.Conn

	mu      sync.Mutex // guards what follows
	answers bool       // in DTLS
	noise   []byte     // the beginning of the first packet that is none
	failed  error      // what the socket last said
}

// ReadFrom implements [net.PacketConn]. What is no DTLS is passed over.
func (l *listener) ReadFrom(buf []byte) (int, net.Addr, error) {
	for {
		n, err := l.Read(buf)
		if l.note(buf[:n], err) || err != nil {
			return n, l.RemoteAddr(), err
		}
	}
}

// note remembers what came, and reports whether it is DTLS.
func (l *listener) note(p []byte, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.failed = err
	case isDTLS(p):
		l.answers = true
	case l.noise == nil:
		l.noise = append([]byte{}, p[:min(len(p), maxShown+1)]...)
	}
	return err == nil && isDTLS(p)
}

// WriteTo implements [net.PacketConn].
func (l *listener) WriteTo(p []byte, _ net.Addr) (int, error) { return l.Write(p) }

// because says why a handshake failed: a host that is not there or says nothing is
// another matter than one that does not speak DTLS.
func (l *listener) because(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case l.answers:
		return &handshakeError{"DTLS", err}
	case l.noise != nil:
		return &garbageError{"DTLS", l.noise}
	case l.failed != nil && isRefused(l.failed):
		return l.failed
	}
	return errSilent
}
