package control

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"net/netip"
	"sync"
	"time"
)

// securityFeatures is the set of features that the nonce cookie announces, so that
// nobody on the way can hide them from the client (RFC 8489 §9.2, §18.1). Password
// algorithms would be 1<<23 and username anonymity 1<<22: the RFC counts 24 bits from
// the most significant.
type securityFeatures uint32

// featuresOffered are those that this server has.
const featuresOffered securityFeatures = 0

// A nonce is 28 bytes, so that the 401 that carries it is no larger than 72 (SEC-24):
// the nonce cookie with the features, then the proof that the nonce is ours, in the
// base64 alphabet that needs no quoting.
const (
	nonceCookie    = "obMatJos2"
	nonceHeaderLen = len(nonceCookie) + 4
	nonceLen       = nonceHeaderLen + 15

	// The proof, before it is base64: when the nonce was made, in seconds since 1970
	// and modulo 2^32, and part of a MAC. 56 bits cannot be guessed in ten minutes.
	nonceStampLen = 4
	nonceProofLen = nonceStampLen + 7
)

const (
	// nonceLifetime is how long a nonce is good for (SEC-17). RFC 8489 §9.2 asks for
	// no more than an hour.
	nonceLifetime = 10 * time.Minute

	// nonceAhead is how far a nonce may lie in the future: our clock may have been set
	// back a little since.
	nonceAhead = 5 * time.Second
)

// nonces makes and checks nonces, each good for one client address and port, and keeps
// none. Its methods are safe for concurrent use and do not allocate.
type nonces struct {
	lifetime time.Duration
	macs     sync.Pool // of *nonceMAC
}

// nonceMAC is what one computation needs, kept together so that it stays off the heap.
type nonceMAC struct {
	hash.Hash
	input [nonceStampLen + 16 + 2]byte      // stamp, IP address, port
	proof [nonceStampLen + sha256.Size]byte // stamp, MAC
	nonce [nonceLen]byte                    // its header never changes
}

// newNonces returns nonces under a fresh key.
func newNonces(random io.Reader) (*nonces, error) {
	key := make([]byte, sha256.Size)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("key for nonces: %w", err)
	}
	n := &nonces{lifetime: nonceLifetime}
	n.macs.New = func() any { return newNonceMAC(key) }
	return n, nil
}

// newNonceMAC returns the means of one computation, ready for any number of them.
func newNonceMAC(key []byte) *nonceMAC {
	m := &nonceMAC{Hash: hmac.New(sha256.New, key)}
	features := [4]byte{}
	binary.BigEndian.PutUint32(features[:], uint32(featuresOffered))
	copy(m.nonce[:], nonceCookie)
	base64.StdEncoding.Encode(m.nonce[len(nonceCookie):nonceHeaderLen], features[1:])
	return m
}

// append appends a nonce for a client to dst.
func (n *nonces) append(dst []byte, client netip.AddrPort, now time.Time) []byte {
	m := n.macs.Get().(*nonceMAC)
	defer n.macs.Put(m)
	return append(dst, m.make(client, uint32(now.Unix()))...)
}

// valid reports whether a nonce was made for this client and is still good.
func (n *nonces) valid(nonce []byte, client netip.AddrPort, now time.Time) bool {
	if len(nonce) != nonceLen {
		return false
	}
	m := n.macs.Get().(*nonceMAC)
	defer n.macs.Put(m)
	if _, err := base64.RawURLEncoding.Decode(m.proof[:], nonce[nonceHeaderLen:]); err != nil {
		return false
	}
	stamp := binary.BigEndian.Uint32(m.proof[:])
	if !hmac.Equal(m.make(client, stamp), nonce) {
		return false
	}
	age := time.Duration(int32(uint32(now.Unix())-stamp)) * time.Second
	return -nonceAhead <= age && age <= n.lifetime
}

// make returns the nonce of a client and a stamp, in m's memory.
func (m *nonceMAC) make(client netip.AddrPort, stamp uint32) []byte {
	address := client.Addr().As16()
	binary.BigEndian.PutUint32(m.input[:], stamp)
	copy(m.input[nonceStampLen:], address[:])
	binary.BigEndian.PutUint16(m.input[nonceStampLen+len(address):], client.Port())

	m.Reset()
	m.Write(m.input[:])
	m.Sum(append(m.proof[:0], m.input[:nonceStampLen]...))
	base64.RawURLEncoding.Encode(m.nonce[nonceHeaderLen:], m.proof[:nonceProofLen])
	return m.nonce[:]
}
