package jointoken

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const secretText = "k3Jx0vN6sQz9WmR1yTb4LcPe7HdAf2Gu"

func now() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

// pair is a key pair of an algorithm.
type pair struct {
	algorithm Algorithm
	private   any
	public    any // what verifies; of HS256 the secret
}

// pairs makes one of each, once: RSA takes its time.
var pairs = sync.OnceValue(func() map[Algorithm]pair {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	return map[Algorithm]pair{
		HS256: {HS256, []byte(secretText), []byte(secretText)},
		ES256: {ES256, ec, ec.Public()},
		RS256: {RS256, rs, rs.Public()},
		EdDSA: {EdDSA, private, public},
	}
})

// file is a file with the public key, or the secret.
func (p pair) file(t testing.TB) []byte {
	t.Helper()
	if p.algorithm == HS256 {
		return []byte("# of the application\n" + secretText + "\n")
	}
	der, err := x509.MarshalPKIXPublicKey(p.public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// jwk is the public key as a JWK.
func (p pair) jwk(t testing.TB, members string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	switch key := p.public.(type) {
	case []byte:
		return fmt.Sprintf(`{"kty":"oct","k":%q%s}`, b64(key), members)
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q%s}`, b64(point[1:33]), b64(point[33:]), members)
	case *rsa.PublicKey:
		return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"%s}`, b64(key.N.Bytes()), members)
	case ed25519.PublicKey:
		return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q%s}`, b64(key), members)
	}
	t.Fatal("no such key")
	return ""
}

func set(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

// good are the claims of a token that is accepted.
func good() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": "https://id.example", "aud": "calls", "exp": now().Add(time.Hour).Unix(), "iat": now().Unix(),
		"sub": "alice", "room": "r",
	}
}

// sign makes a token; kid is left out where empty.
func (p pair) sign(t testing.TB, c jwt.Claims, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(string(p.algorithm)), c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(p.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func verifierOf(t testing.TB, algorithm Algorithm, file []byte) *Verifier {
	t.Helper()
	keys, err := ParseKeys(algorithm, file)
	if err != nil {
		t.Fatal(err)
	}
	return NewVerifier(NewTrust("https://id.example", "calls", keys))
}

func TestEveryAlgorithm(t *testing.T) {
	for _, algorithm := range Algorithms() {
		p := pairs()[algorithm]
		for name, v := range map[string]*Verifier{
			"file": verifierOf(t, algorithm, p.file(t)),
			"set":  verifierOf(t, algorithm, set(p.jwk(t, `,"kid":"one","use":"sig","alg":"`+string(algorithm)+`"`))),
		} {
			grant, err := v.Verify(p.sign(t, good(), "one"), now())
			want := Grant{User: "alice", Room: "r", Publish: true, ExpiresAt: now().Add(time.Hour)}
			if err != nil || !reflect.DeepEqual(grant, want) {
				t.Errorf("%s, %s: got %+v (%v)", algorithm, name, grant, err)
			}
		}
	}
}

// SEC-49: what an attacker tries with a token.
func TestAttacks(t *testing.T) {
	for _, algorithm := range Algorithms() {
		p := pairs()[algorithm]
		file := p.file(t)
		v := verifierOf(t, algorithm, set(p.jwk(t, `,"kid":"one"`)))
		inSet := func(change func(jwt.MapClaims)) string {
			c := good()
			change(c)
			return p.sign(t, c, "one")
		}
		right := inSet(func(jwt.MapClaims) {})
		none := jwt.NewWithClaims(jwt.SigningMethodNone, good())
		none.Header["kid"] = "one"
		unsigned, _ := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
		confused := pair{HS256, file, nil}.sign(t, good(), "one") // the public key taken for a secret
		stranger := pair{HS256, []byte(strings.Repeat("s", 32)), nil}
		if algorithm == EdDSA {
			_, private, _ := ed25519.GenerateKey(rand.Reader)
			stranger = pair{EdDSA, private, nil}
		}
		part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		for name, tt := range map[string]struct {
			token string
			want  error
		}{
			"alg none":             {unsigned, ErrAlgorithm},
			"alg None":             {part(`{"alg":"None","kid":"one"}`) + unsigned[strings.Index(unsigned, "."):], ErrRefused},
			"no alg":               {part(`{"kid":"one"}`) + unsigned[strings.Index(unsigned, "."):], ErrRefused},
			"public key as secret": {confused, ErrRefused},
			"a stranger's key":     {stranger.sign(t, good(), "one"), ErrRefused},
			"no signature":         {right[:strings.LastIndex(right, ".")+1], ErrRefused},
			"expired":              {inSet(func(c jwt.MapClaims) { c["exp"] = now().Add(-Leeway - time.Second).Unix() }), ErrExpired},
			"no exp":               {inSet(func(c jwt.MapClaims) { delete(c, "exp") }), ErrNoExpiry},
			"exp that is text":     {inSet(func(c jwt.MapClaims) { c["exp"] = "never" }), ErrMalformed},
			"from the future":      {inSet(func(c jwt.MapClaims) { c["iat"] = now().Add(Leeway + 2*time.Second).Unix() }), ErrNotYet},
			"not before":           {inSet(func(c jwt.MapClaims) { c["nbf"] = now().Add(Leeway + 2*time.Second).Unix() }), ErrNotYet},
			"no aud":               {inSet(func(c jwt.MapClaims) { delete(c, "aud") }), ErrAudience},
			"another aud":          {inSet(func(c jwt.MapClaims) { c["aud"] = []string{"a", "b"} }), ErrAudience},
			"no iss":               {inSet(func(c jwt.MapClaims) { delete(c, "iss") }), ErrIssuer},
			"another iss":          {inSet(func(c jwt.MapClaims) { c["iss"] = "https://id.example.evil" }), ErrIssuer},
			"kid of a path":        {p.sign(t, good(), "../../../etc/passwd"), ErrUnknownKey},
			"kid of a query":       {p.sign(t, good(), "' or 1=1 --"), ErrUnknownKey},
			"no kid":               {p.sign(t, good(), ""), ErrUnknownKey},
			"a key of its own":     {part(`{"alg":"`+string(algorithm)+`","jwk":`+p.jwk(t, "")+`}`) + right[strings.Index(right, "."):], ErrRefused},
			"crit":                 {critical(t, p), ErrCritical},
			"1 MB":                 {inSet(func(c jwt.MapClaims) { c["x"] = strings.Repeat("x", 1<<20) }), ErrTokenTooLong},
			"empty":                {"", ErrMalformed},
			"two dots":             {"..", ErrRefused},
			"garbage":              {"a.b.c", ErrMalformed},
			"no user":              {inSet(func(c jwt.MapClaims) { delete(c, "sub") }), ErrUser},
			"a user with a colon":  {inSet(func(c jwt.MapClaims) { c["sub"] = "a:b" }), ErrUser},
			"no room":              {inSet(func(c jwt.MapClaims) { delete(c, "room") }), ErrRoom},
			"a pattern inside":     {inSet(func(c jwt.MapClaims) { c["room"] = "*r" }), ErrRoom},
			"a tenant with NUL":    {inSet(func(c jwt.MapClaims) { c["tenant"] = "a\x00" }), ErrTenant},
			"a long name":          {inSet(func(c jwt.MapClaims) { c["name"] = strings.Repeat("n", 65) }), ErrName},
		} {
			grant, err := v.Verify(tt.token, now())
			if err == nil || !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: got %+v (%v), want %v", algorithm, name, grant, err, tt.want)
			}
			if tt.token != "" && strings.Contains(fmt.Sprint(err), tt.token) {
				t.Errorf("%s, %s: the error repeats the token", algorithm, name)
			}
		}
		late := inSet(func(c jwt.MapClaims) { c["exp"] = now().Add(-Leeway + time.Second).Unix() })
		if _, err := v.Verify(late, now()); err != nil {
			t.Errorf("%s: clocks may differ by a minute: %v", algorithm, err)
		}
	}
}

// critical is a good token but for an extension that nobody here knows.
func critical(t *testing.T, p pair) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(string(p.algorithm)), good())
	token.Header["kid"], token.Header["crit"], token.Header["x"] = "one", []string{"x"}, 1
	text, err := token.SignedString(p.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every change of one bit of a token makes it another's.
func TestFlippedBits(t *testing.T) {
	p := pairs()[EdDSA]
	v := verifierOf(t, EdDSA, p.file(t))
	token := []byte(p.sign(t, good(), ""))
	for i := range token {
		changed := append([]byte(nil), token...)
		changed[i] ^= 1
		if _, err := v.Verify(string(changed), now()); err == nil {
			t.Errorf("byte %d changed from %q to %q is accepted", i, token[i], changed[i])
		}
	}
}

func TestCapabilities(t *testing.T) {
	p := pairs()[HS256]
	v := verifierOf(t, HS256, p.file(t))
	for claim, want := range map[string][2]bool{
		`null`: {true, false}, `[]`: {false, false}, `["publish"]`: {true, false}, `["moderate"]`: {false, true},
		`["moderate","publish","fly"]`: {true, true},
	} {
		c := good()
		c["capabilities"] = json.RawMessage(claim)
		grant, err := v.Verify(p.sign(t, c, ""), now())
		if got := [2]bool{grant.Publish, grant.Moderate}; err != nil || got != want {
			t.Errorf("%s: publish and moderate are %v, want %v (%v)", claim, got, want, err)
		}
	}
}

func TestAllows(t *testing.T) {
	for pattern, rooms := range map[string]map[string]bool{
		"r":      {"r": true, "R": false, "r2": false, "": false},
		"team-*": {"team-": true, "team-1": true, "team": false, "xteam-1": false, "team-*": true},
		"*":      {"": true, "anything": true},
	} {
		for room, want := range rooms {
			if got := (Grant{Room: pattern}).Allows(room); got != want {
				t.Errorf("%s allows %s: %v", pattern, room, got)
			}
		}
	}
}

// The own tokens: what is minted is verified, by the old key too while secrets are rotated.
func TestMintAndRotate(t *testing.T) {
	older, newer := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("n", 32))
	grant := Grant{User: "alice", Tenant: "app", Room: "team-*", Name: "Zoë <b>", Publish: true, Moderate: true}
	trust := NewTrust(Own, Own, SecretKeys(older))
	v := NewVerifier(trust)
	first, minted, err := Mint(older, grant, 90*time.Second, now().Add(time.Millisecond))
	if err != nil || minted.ExpiresAt != now().Add(91*time.Second) {
		t.Fatalf("minted %+v (%v)", minted, err)
	}
	second, _, _ := Mint(newer, grant, time.Hour, now())
	verifies := func(token string, want error) {
		t.Helper()
		got, err := v.Verify(token, now())
		if !errors.Is(err, want) || err == nil && got.User != "alice" {
			t.Errorf("got %+v (%v), want %v", got, err, want)
		}
	}
	got, err := v.Verify(first, now())
	if err != nil || !reflect.DeepEqual(got, minted) {
		t.Errorf("minted %+v, verified %+v (%v)", minted, got, err)
	}
	verifies(second, ErrUnknownKey)
	trust.Replace(SecretKeys(newer, older))
	verifies(first, nil)
	verifies(second, nil)
	trust.Replace(SecretKeys(newer))
	verifies(first, ErrUnknownKey)
	verifies(second, nil)
}

func TestMintRefuses(t *testing.T) {
	right := Grant{User: "u", Room: "r"}
	for want, tt := range map[error]struct {
		grant Grant
		ttl   time.Duration
	}{
		ErrUser:   {Grant{Room: "r"}, time.Hour},
		ErrRoom:   {Grant{User: "u", Room: "a\nb"}, time.Hour},
		ErrTenant: {Grant{User: "u", Room: "r", Tenant: "a/b"}, time.Hour},
		ErrName:   {Grant{User: "u", Room: "r", Name: "\x1b[31m"}, time.Hour},
		ErrTTL:    {right, MaxTTL + 1},
	} {
		if _, _, err := Mint([]byte(secretText), tt.grant, tt.ttl, now()); !errors.Is(err, want) {
			t.Errorf("%+v: got %v, want %v", tt.grant, err, want)
		}
	}
	if _, _, err := Mint([]byte(secretText), right, 0, now()); !errors.Is(err, ErrTTL) {
		t.Errorf("no lifetime: %v", err)
	}
}

// Two issuers beside each other: each is held to its own algorithm, issuer and keys.
func TestTwoIssuers(t *testing.T) {
	p := pairs()[ES256]
	keys, err := ParseKeys(ES256, p.file(t))
	if err != nil {
		t.Fatal(err)
	}
	own := []byte(strings.Repeat("o", 32))
	v := NewVerifier(NewTrust(Own, Own, SecretKeys(own)), NewTrust("https://id.example", "calls", keys))
	minted, _, _ := Mint(own, Grant{User: "u", Room: "r"}, time.Hour, now())
	for _, token := range []string{minted, p.sign(t, good(), "")} {
		if _, err := v.Verify(token, now()); err != nil {
			t.Error(err)
		}
	}
	c := good()
	c["iss"], c["aud"] = Own, Own
	if _, err := v.Verify(p.sign(t, c, keyID(own)), now()); err == nil {
		t.Error("the other issuer speaks for us")
	}
	if _, err := NewVerifier().Verify(minted, now()); !errors.Is(err, ErrRefused) {
		t.Errorf("nobody is trusted: %v", err)
	}
}

func TestParseKeysRefuses(t *testing.T) {
	p := pairs()
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	weakPair := pair{RS256, weak, weak.Public()}
	der, _ := x509.MarshalPKCS8PrivateKey(p[ES256].private)
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	other, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	named := func(a Algorithm, id string) string { return p[a].jwk(t, `,"kid":"`+id+`"`) }
	seed := p[EdDSA].private.(ed25519.PrivateKey).Seed()
	privateJWK := p[EdDSA].jwk(t, `,"d":"`+base64.RawURLEncoding.EncodeToString(seed)+`"`)
	for name, tt := range map[string]struct {
		algorithm Algorithm
		file      []byte
		want      error
	}{
		"empty":                 {ES256, nil, ErrKeyForm},
		"no secret":             {HS256, []byte("# nothing\n"), ErrNoKey},
		"short secret":          {HS256, []byte("tooshort\n"), ErrWeakKey},
		"a private key":         {ES256, private, ErrPrivateKey},
		"a private JWK":         {EdDSA, set(privateJWK), ErrPrivateKey},
		"another algorithm's":   {RS256, p[ES256].file(t), ErrNoKey},
		"another curve":         {ES256, pair{ES256, other, other.Public()}.file(t), ErrNoKey},
		"weak RSA":              {RS256, weakPair.file(t), ErrWeakKey},
		"broken PEM":            {ES256, []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), ErrKeyForm},
		"broken JSON":           {ES256, []byte(`{"keys":[`), ErrKeyForm},
		"no keys":               {ES256, []byte(`{}`), ErrNoKey},
		"a set of others'":      {ES256, set(named(RS256, "a"), named(EdDSA, "b")), ErrNoKey},
		"a set for encryption":  {ES256, set(p[ES256].jwk(t, `,"use":"enc"`)), ErrNoKey},
		"one kid twice":         {ES256, set(named(ES256, "a"), named(ES256, "a")), ErrKeyTwice},
		"a secret for RS256":    {RS256, set(named(HS256, "a")), ErrNoKey},
		"a short secret in set": {HS256, set(`{"kty":"oct","k":"AAAA","kid":"a"}`), ErrWeakKey},
		"too long":              {HS256, make([]byte, MaxKeyFileBytes+1), ErrTooLong},
		"too many":              {HS256, []byte(strings.Repeat(secretText+"\n", maxKeys+1)), ErrTooLong},
	} {
		if k, err := ParseKeys(tt.algorithm, tt.file); !errors.Is(err, tt.want) {
			t.Errorf("%s: %d keys (%v), want %v", name, k.Len(), err, tt.want)
		}
	}
	if _, err := ParseKeys(ES256, set(named(ES256, "a"), p[ES256].jwk(t, ""))); err == nil {
		t.Error("one of several keys has no kid")
	}
	k, err := ParseKeys(ES256, set(named(RS256, "r"), named(ES256, "a"), named(EdDSA, "e")))
	if err != nil || k.Len() != 1 || k.Algorithm() != ES256 {
		t.Errorf("of a mixed set: %d keys (%v)", k.Len(), err)
	}
}

// FuzzVerify: whatever is accepted was signed by the key; nothing panics.
func FuzzVerify(f *testing.F) {
	p := pairs()[EdDSA]
	v := verifierOf(f, EdDSA, p.file(f))
	right := p.sign(f, good(), "")
	f.Add(right)
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if g, err := v.Verify(token, now()); err == nil && token != right {
			t.Fatalf("%q grants %+v", token, g)
		}
	})
}

// FuzzParseKeys: keys are found or an error says why; what is found has the right kind.
func FuzzParseKeys(f *testing.F) {
	for _, p := range pairs() {
		f.Add(p.file(f))
		f.Add(set(p.jwk(f, `,"kid":"a"`)))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, algorithm := range Algorithms() {
			k, err := ParseKeys(algorithm, file)
			if (err == nil) != (k.Len() > 0) {
				t.Fatalf("%d keys with %v", k.Len(), err)
			}
			for _, key := range k.byID {
				if checkKey(algorithm, key) != nil {
					t.Fatalf("a %T for %s", key, algorithm)
				}
			}
		}
	})
}
