package jointoken

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is a signature algorithm of JSON Web Tokens (RFC 7518, section 3.1; RFC 8037).
type Algorithm string

// The algorithms.
const (
	HS256 Algorithm = "HS256"
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
	RS256 Algorithm = "RS256"
)

// Algorithms lists every [Algorithm].
func Algorithms() []Algorithm { return []Algorithm{HS256, ES256, EdDSA, RS256} }

const (
	// MaxKeyFileBytes bounds a file of keys, maxKeys their number.
	MaxKeyFileBytes = 256 << 10
	maxKeys         = 64

	minSecretBytes = 32   // as many as HS256 has bits (RFC 7518, section 3.2)
	minRSABits     = 2048 // RFC 7518, section 3.3
)

// Errors of [ParseKeys]. None carries a byte of a key.
var (
	ErrNoKey      = errors.New("no key of the algorithm is in it")
	ErrPrivateKey = errors.New("a private key is in it: the server needs the public one only, so keep that one where tokens are minted")
	ErrWeakKey    = errors.New("a key is too short: HS256 takes 32 bytes, RS256 2048 bits")
	ErrKeyForm    = errors.New("it is neither PEM nor a JWK set")
	ErrTooLong    = errors.New("it is longer than 256 KiB, or has more than 64 keys")
	ErrKeyTwice   = errors.New("two keys have one kid")
)

// Keys verify tokens of one algorithm. They are immutable.
type Keys struct {
	algorithm Algorithm
	byID      map[string]any        // those that a token names
	unnamed   []jwt.VerificationKey // tried in turn, for a token whatever it names, where there are no others
}

// Len returns the number of keys.
func (k Keys) Len() int { return len(k.byID) + len(k.unnamed) }

// Algorithm returns the algorithm that the keys are for.
func (k Keys) Algorithm() Algorithm { return k.algorithm }

// SecretKeys returns keys for HS256 that have IDs of their own, as [Mint] writes them into tokens.
func SecretKeys(secrets ...[]byte) Keys {
	k := Keys{algorithm: HS256, byID: map[string]any{}}
	for _, secret := range secrets {
		k.byID[keyID(secret)] = slices.Clone(secret)
	}
	return k
}

// keyID names a key without telling it.
func keyID(secret []byte) string {
	digest := sha256.Sum256(append([]byte("hairpin join token kid\x00"), secret...))
	return hex.EncodeToString(digest[:8])
}

// ParseKeys reads the keys of a file: PEM with public keys or certificates, a JWK set (RFC 7517), or for
// HS256 secrets, one a line. The keys of a set are found by their IDs, which they need if they are
// several. Keys for other uses and algorithms are left out.
func ParseKeys(algorithm Algorithm, file []byte) (Keys, error) {
	if len(file) > MaxKeyFileBytes {
		return Keys{}, ErrTooLong
	}
	parse := parsePEM
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(file), []byte("{")):
		parse = parseSet
	case algorithm == HS256:
		parse = parseSecrets
	}
	k, err := parse(algorithm, file)
	if err == nil && k.Len() == 0 {
		err = ErrNoKey
	}
	if err == nil && k.Len() > maxKeys {
		err = ErrTooLong
	}
	if err != nil {
		return Keys{}, err
	}
	return k, nil
}

func parseSecrets(_ Algorithm, file []byte) (Keys, error) {
	k := Keys{algorithm: HS256}
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := checkKey(HS256, []byte(line)); err != nil {
			return Keys{}, err
		}
		k.unnamed = append(k.unnamed, []byte(line))
	}
	return k, nil
}

func parsePEM(algorithm Algorithm, file []byte) (Keys, error) {
	k := Keys{algorithm: algorithm}
	block, rest := pem.Decode(file)
	if block == nil {
		return Keys{}, ErrKeyForm
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		key, err := publicKey(block)
		if err != nil {
			return Keys{}, err
		}
		if !isFor(algorithm, key) {
			continue
		}
		if err := checkKey(algorithm, key); err != nil {
			return Keys{}, err
		}
		k.unnamed = append(k.unnamed, key)
	}
	return k, nil
}

func publicKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		return key, keyFault(err)
	case "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		return key, keyFault(err)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, keyFault(err)
		}
		return certificate.PublicKey, nil
	}
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, ErrPrivateKey
	}
	return nil, ErrKeyForm
}

// keyFault leaves out what the parser found, which may be of the key.
func keyFault(err error) error {
	if err == nil {
		return nil
	}
	return ErrKeyForm
}

func parseSet(algorithm Algorithm, file []byte) (Keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(file, &set) != nil {
		return Keys{}, ErrKeyForm
	}
	if len(set.Keys) > maxKeys {
		return Keys{}, ErrTooLong
	}
	k := Keys{algorithm: algorithm, byID: map[string]any{}}
	for i, raw := range set.Keys {
		if err := k.add(raw); err != nil {
			return Keys{}, fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	if len(k.unnamed) > 0 && k.Len() > 1 {
		return Keys{}, errors.New("several keys are in it, and one has no kid to be found by")
	}
	return k, nil
}

// add takes one key of a set, if it is for the algorithm. Certificates are not fetched: nothing here
// opens a connection.
func (k *Keys) add(raw json.RawMessage) error {
	var marshal jwkset.JWKMarshal
	if json.Unmarshal(raw, &marshal) != nil {
		return ErrKeyForm
	}
	if marshal.USE != "" && marshal.USE != jwkset.UseSig || marshal.ALG != "" && string(marshal.ALG) != string(k.algorithm) {
		return nil
	}
	marshal.X5U = "" // which would be fetched
	jwk, err := jwkset.NewJWKFromMarshal(marshal, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if errors.Is(err, jwkset.ErrUnsupportedKey) {
		return nil
	}
	if err != nil {
		return ErrKeyForm
	}
	switch jwk.Key().(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return ErrPrivateKey
	}
	if !isFor(k.algorithm, jwk.Key()) {
		return nil
	}
	if err := checkKey(k.algorithm, jwk.Key()); err != nil {
		return err
	}
	if marshal.KID == "" {
		k.unnamed = append(k.unnamed, jwk.Key())
		return nil
	}
	if _, twice := k.byID[marshal.KID]; twice {
		return ErrKeyTwice
	}
	k.byID[marshal.KID] = jwk.Key()
	return nil
}

// isFor reports whether a key is of the kind that an algorithm takes.
func isFor(algorithm Algorithm, key any) bool {
	switch key := key.(type) {
	case []byte:
		return algorithm == HS256
	case *ecdsa.PublicKey:
		return algorithm == ES256 && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == EdDSA
	case *rsa.PublicKey:
		return algorithm == RS256
	}
	return false
}

func checkKey(algorithm Algorithm, key any) error {
	switch key := key.(type) {
	case []byte:
		if len(key) < minSecretBytes {
			return ErrWeakKey
		}
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return ErrWeakKey
		}
	}
	if !isFor(algorithm, key) {
		return ErrNoKey
	}
	return nil
}
