package control

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

var (
	nonceClient = netip.MustParseAddrPort("198.51.100.7:40000")
	nonceTime   = time.Unix(1_800_000_000, 0)
)

// testNonces returns nonces under a key made of one repeated byte.
func testNonces(t testing.TB, key byte) *nonces {
	t.Helper()
	n, err := newNonces(bytes.NewReader(bytes.Repeat([]byte{key}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNonceForm(t *testing.T) {
	dst := []byte("before ")
	got := string(testNonces(t, 1).append(dst, nonceClient, nonceTime))
	nonce, found := strings.CutPrefix(got, "before ")
	if !found || len(nonce) != 28 {
		t.Fatalf("append made %q, want 28 bytes after what was there", got)
	}
	rest, found := strings.CutPrefix(nonce, "obMatJos2")
	if !found {
		t.Fatalf("nonce %q lacks the nonce cookie", nonce)
	}
	features, err := base64.StdEncoding.DecodeString(rest[:4])
	if err != nil || !bytes.Equal(features, []byte{0, 0, 0}) {
		t.Errorf("security features are %x, %v, want none", features, err)
	}
	if strings.ContainsFunc(nonce, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", r)
	}) {
		t.Errorf("nonce %q has characters that may need quoting", nonce)
	}
}

func TestNonceLifetime(t *testing.T) {
	n := testNonces(t, 1)
	nonce := n.append(nil, nonceClient, nonceTime)
	for _, c := range []struct {
		name string
		age  time.Duration
		want bool
	}{
		{"new", 0, true},
		{"within its second", 900 * time.Millisecond, true},
		{"at the end of its lifetime", 600 * time.Second, true},
		{"a second later", 601 * time.Second, false},
		{"an hour later", time.Hour, false},
		{"a year later", 365 * 24 * time.Hour, false},
		{"once the clock was set back a little", -5 * time.Second, true},
		{"from the future", -6 * time.Second, false},
		{"from far in the future", -50 * 365 * 24 * time.Hour, false},
	} {
		if got := n.valid(nonce, nonceClient, nonceTime.Add(c.age)); got != c.want {
			t.Errorf("%s: valid is %v, want %v", c.name, got, c.want)
		}
	}
	n.lifetime = time.Hour
	if !n.valid(nonce, nonceClient, nonceTime.Add(time.Hour)) {
		t.Error("a longer lifetime is not honoured")
	}
}

// The stamp's 32 bits of seconds run out in 2106.
func TestNonceOutlivesStamp(t *testing.T) {
	n := testNonces(t, 1)
	last := time.Unix(1<<32-1, 0)
	if !n.valid(n.append(nil, nonceClient, last), nonceClient, last.Add(time.Minute)) {
		t.Error("a nonce made just before the stamp wraps is invalid just after")
	}
}

func TestNonceOfOneClient(t *testing.T) {
	n := testNonces(t, 1)
	seen := map[string]string{}
	for _, c := range []string{
		"198.51.100.7:40000", "198.51.100.7:40001", "198.51.100.8:40000",
		"[2001:db8::1]:40000", "[2001:db8::1]:40001", "[2001:db8::2]:40000",
	} {
		nonce := n.append(nil, netip.MustParseAddrPort(c), nonceTime)
		if other, dup := seen[string(nonce)]; dup {
			t.Errorf("%s and %s got the same nonce", c, other)
		}
		seen[string(nonce)] = c
		if got := n.valid(nonce, nonceClient, nonceTime); got != (c == nonceClient.String()) {
			t.Errorf("the nonce of %s presented by %v: valid is %v", c, nonceClient, got)
		}
	}
}

func TestNonceForged(t *testing.T) {
	n := testNonces(t, 1)
	good := n.append(nil, nonceClient, nonceTime)
	for i := range good {
		for bit := range 8 {
			forged := bytes.Clone(good)
			forged[i] ^= 1 << bit
			if n.valid(forged, nonceClient, nonceTime) {
				t.Errorf("valid with bit %d of byte %d changed", bit, i)
			}
		}
	}
	for _, forged := range [][]byte{
		nil,
		{},
		good[:27], append(bytes.Clone(good), 'A'), bytes.Repeat([]byte("A"), 763),
		append(bytes.Clone(good[:26]), '\n', '\r'), bytes.Repeat([]byte{0}, 28),
		testNonces(t, 2).append(nil, nonceClient, nonceTime),
	} {
		if n.valid(forged, nonceClient, nonceTime) {
			t.Errorf("%q is valid", forged)
		}
	}
	if !n.valid(good, nonceClient, nonceTime) {
		t.Error("the nonce itself is not valid")
	}
}

func TestNonceNeedsRandomness(t *testing.T) {
	broken := errors.New("broken")
	if _, err := newNonces(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("newNonces with a broken source: %v", err)
	}
}

func TestNonceConcurrent(t *testing.T) {
	n := testNonces(t, 1)
	var wg sync.WaitGroup
	for port := range uint16(8) {
		wg.Go(func() {
			client := netip.AddrPortFrom(nonceClient.Addr(), port+1)
			for range 500 {
				if !n.valid(n.append(nil, client, nonceTime), client, nonceTime) {
					t.Errorf("the nonce of port %d is invalid", port+1)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzNonceForged(f *testing.F) {
	n := testNonces(f, 1)
	good := n.append(nil, nonceClient, nonceTime)
	f.Add(good)
	f.Add([]byte("obMatJos2AAAA"))
	f.Fuzz(func(t *testing.T, nonce []byte) {
		if n.valid(nonce, nonceClient, nonceTime) && !bytes.Equal(nonce, good) {
			stamp, _ := base64.RawURLEncoding.DecodeString(string(nonce[13:]))
			t.Fatalf("%q, of stamp %x, is valid", nonce, stamp[:4])
		}
	})
}

func BenchmarkNonceValid(b *testing.B) {
	n := testNonces(b, 1)
	nonce := n.append(nil, nonceClient, nonceTime)
	b.ReportAllocs()
	for b.Loop() {
		n.valid(nonce, nonceClient, nonceTime)
	}
}
