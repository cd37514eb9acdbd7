package control

import (
	"crypto/hmac"
	"crypto/md5" // #nosec: RFC 8489 §9.2.2 derives the key with it
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"hairpin/credentials"

	"github.com/pion/stun/v3"
)

// Bounds of what a client may claim, in bytes (RFC 8489 §14.3, §14.9, §14.10).
const (
	maxUsername = 508
	maxRealm    = 763
	maxNonce    = 763
)

// authenticate checks a request's long-term credentials (RFC 8489 §9.2.4). On None the
// user is proven; otherwise the reply says what the client is to do.
func (q *request) authenticate() Reason {
	integrity, found := q.attribute(attrIntegritySHA256) // counts first where both are
	if q.sha256 = found; !found {
		integrity, found = q.attribute(stun.AttrMessageIntegrity)
	}
	if !found {
		return q.challenge(codeUnauthenticated, NoCredentials)
	}
	username, haveUsername := q.attribute(stun.AttrUsername)
	realm, haveRealm := q.attribute(stun.AttrRealm)
	nonce, haveNonce := q.attribute(stun.AttrNonce)
	switch {
	case !haveUsername || !haveRealm || !haveNonce:
		return q.fail(codeBadRequest, BadRequest)
	case len(username) > maxUsername:
		return q.fail(codeBadRequest, UsernameTooLong)
	case len(realm) > maxRealm || len(nonce) > maxNonce || len(q.Raw) > maxMessage:
		return q.fail(codeBadRequest, BadRequest)
	}
	fresh := q.server.nonces.valid(nonce, q.from.Client, q.now)
	if string(realm) != q.server.config.Realm {
		return q.challenge(codeUnauthenticated, WrongRealm)
	}
	candidates, err := q.server.config.Credentials.Verify(string(username), q.now)
	if err != nil {
		return q.challenge(codeUnauthenticated, reasonOf(err))
	}
	key := q.findKey(candidates, string(username), integrity)
	switch {
	case key == nil:
		return q.challenge(codeUnauthenticated, WrongSecret)
	case !fresh:
		return q.challenge(codeStaleNonce, StaleNonce)
	}
	q.key, q.user, q.expires = key, candidates.User, candidates.ExpiresAt
	return None
}

// reasonOf names what is wrong with a username.
func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, credentials.ErrExpired):
		return Expired
	case errors.Is(err, credentials.ErrTooFarAhead):
		return ClockSkew
	default:
		return MalformedUsername
	}
}

// challenge answers 401 or 438 with what the client needs to try again. All challenges
// of one code look alike, so that none tells which users exist.
func (q *request) challenge(code int, why Reason) Reason {
	q.fail(code, why)
	q.reply.Add(stun.AttrRealm, []byte(q.server.config.Realm))
	q.reply.Add(stun.AttrNonce, q.server.nonces.append(nil, q.from.Client, q.now))
	return why
}

// findKey returns the long-term credential's key under which the request's integrity
// is right, or nil.
func (q *request) findKey(c credentials.Candidates, username string, integrity []byte) []byte {
	if !q.integrityLength(len(integrity)) {
		return nil
	}
	covered := q.covered()
	for _, password := range c.Passwords() {
		key := md5.Sum([]byte(username + ":" + q.server.config.Realm + ":" + password))
		if hmac.Equal(q.mac(key[:], covered)[:len(integrity)], integrity) {
			return key[:]
		}
	}
	return nil
}

// integrityLength reports whether the integrity attribute may be so long: the SHA-256
// one may be truncated to 16 bytes (RFC 8489 §14.6).
func (q *request) integrityLength(n int) bool {
	if q.sha256 {
		return n >= 16 && n <= sha256.Size && n%4 == 0
	}
	return n == sha1.Size
}

// covered returns a copy of what the integrity attribute covers: the message before
// it, under a header whose length ends with it (RFC 8489 §14.5).
func (q *request) covered() []byte {
	kind := q.integrityType()
	offset := headerLen
	for {
		length := int(binary.BigEndian.Uint16(q.Raw[offset+2:]))
		after := offset + attrHeaderLen + (length+3)&^3
		if stun.AttrType(binary.BigEndian.Uint16(q.Raw[offset:])) == kind {
			covered := append([]byte(nil), q.Raw[:offset]...)
			binary.BigEndian.PutUint16(covered[2:], uint16(after-headerLen))
			return covered
		}
		offset = after
	}
}

func (q *request) integrityType() stun.AttrType {
	if q.sha256 {
		return attrIntegritySHA256
	}
	return stun.AttrMessageIntegrity
}

// mac computes the integrity of the covered bytes.
func (q *request) mac(key, covered []byte) []byte {
	algorithm := sha1.New
	if q.sha256 {
		algorithm = sha256.New
	}
	h := hmac.New(algorithm, key)
	h.Write(covered)
	return h.Sum(nil)
}

// sign adds MESSAGE-INTEGRITY to the reply, also where the SHA-256 attribute proved the
// request: replies have that one only after a choice of PASSWORD-ALGORITHM (RFC 8489
// §9.2.4), which is not offered.
func (q *request) sign() {
	_ = stun.MessageIntegrity(q.key).AddTo(&q.reply) // fails only after FINGERPRINT
}
