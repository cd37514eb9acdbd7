package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
)

// secured is what a TLS or DTLS handshake came to.
type secured struct {
	certificates []*x509.Certificate // the server's own first
	version      string
	old          bool // below version 1.2
	cipher       string
	alpn         string // what the server took, or empty
}

// A handshakeError is a TLS or DTLS handshake that failed with a host that answered.
type handshakeError struct {
	protocol string
	err      error
}

func (e *handshakeError) Error() string { return e.protocol + " handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// speakTLS makes a connection a TLS one. It takes any certificate: what is wrong with
// it is a result, and nothing secret but the proof of a credential goes through a
// probe's connection.
func speakTLS(ctx context.Context, conn net.Conn, u URI) (*tls.Conn, *secured, error) {
	secure := tls.Client(conn, &tls.Config{
		ServerName:         u.Host,
		NextProtos:         []string{alpn(u)},
		InsecureSkipVerify: true, // #nosec: certificate.go verifies, and says what is wrong
		MinVersion:         tls.VersionTLS10,
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, nil, &handshakeError{"TLS", err}
	}
	state := secure.ConnectionState()
	return secure, &secured{
		certificates: state.PeerCertificates,
		version:      tls.VersionName(state.Version),
		old:          state.Version < tls.VersionTLS12,
		cipher:       tls.CipherSuiteName(state.CipherSuite),
		alpn:         state.NegotiatedProtocol,
	}, nil
}

// alpn returns the protocol that clients name in the handshake (RFC 7443 §3).
func alpn(u URI) string {
	if u.Relays() {
		return "stun.turn"
	}
	return "stun.nat-discovery"
}
