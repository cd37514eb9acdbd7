package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hairpin/credentials"
	"hairpin/web/selftest"
)

// Demo says who may go without an API key.
type Demo int

const (
	// DemoOff is nobody.
	DemoOff Demo = iota

	// DemoLocal is a request from this machine. It is meant for an HTTP listener on
	// loopback; on another, it shuts out everyone else who has no key.
	DemoLocal
)

// ICE are the URIs handed out (RFC 7064, RFC 7065), in the order clients try them.
type ICE struct {
	STUN []string // such as stun:turn.example.org:3478; may be empty
	TURN []string // such as turn:turn.example.org:3478?transport=udp; at least one
}

// Rate is a token bucket: Burst requests at once, PerSecond in the long run.
type Rate struct {
	PerSecond float64
	Burst     int
}

// DefaultKeyRate leaves room for a site of some thousand calls an hour on one key, and
// refuses a hundred requests a second.
func DefaultKeyRate() Rate { return Rate{PerSecond: 25, Burst: 50} }

// DefaultFailureRate forgives a mistyped key and stops a search for one.
func DefaultFailureRate() Rate { return Rate{PerSecond: 1, Burst: 10} }

// Config is what a [Handler] is made of. The zero value of a field that is not marked
// as required is its default.
type Config struct {
	// Mint returns a credential; [credentials.ErrInvalidUser] refuses the user. It is
	// called with a TTL from 1 second to MaxTTL, by many goroutines. Required.
	Mint func(user string, ttl time.Duration) (credentials.Credential, error)

	// ICE are the URIs that go with a credential. Required.
	ICE ICE

	// DefaultTTL is the lifetime of a credential for which none is asked, MaxTTL the
	// longest, which longer ones are cut to.
	DefaultTTL, MaxTTL time.Duration

	// Keys are the API keys. With nil, no key is right.
	Keys *Keys

	// Demo says who may go without a key.
	Demo Demo

	// PublicHosts are names, without a port, which a request of this machine may carry
	// as Host, beside those of loopback.
	PublicHosts []string

	// AllowedOrigins may read the API from a page of theirs (CORS). They are compared
	// exactly; "*" and "null" are refused.
	AllowedOrigins []string

	// TrustedProxies are believed what they say in X-Forwarded-For; see [ClientAddr].
	TrustedProxies []netip.Prefix

	// KeyRate bounds what is minted for one name of [Keys] and, without a key, for one
	// client address. FailureRate bounds the wrong keys of one client address. Both
	// count in tables of a fixed size; IPv6 clients are counted by their /64.
	KeyRate, FailureRate Rate

	// Signal serves /v1/signal. With nil, that is not found.
	Signal http.Handler

	// Rooms serves the routes about rooms and the dashboard's. With nil, they are not found.
	Rooms *Rooms

	// SelfTests keeps the tests that browsers run through this server. With nil,
	// /v1/self-tests is not found.
	SelfTests *selftest.Store

	// Ready tells whether the relay works, by relaying something through itself. It
	// must end when its context does, 3 seconds at most. Its result is kept for a few
	// seconds, and one call runs at a time, so that probes are no load. Required.
	Ready func(context.Context) error

	// Draining tells whether the server is going away. Nil means never.
	Draining func() bool

	// Collectors are served on /metrics beside those of the process, of Go and of HTTP.
	// MetricsAnywhere serves them to everyone who reaches the listener.
	Collectors      []prometheus.Collector
	MetricsAnywhere bool

	// Pages replaces the embedded pages.
	Pages fs.FS

	// Logger gets requests at level debug, and faults of this server above that.
	Logger *slog.Logger

	// Now is the clock of the budgets and the readiness.
	Now func() time.Time
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if c.DefaultTTL == 0 {
		c.DefaultTTL = credentials.DefaultTTL
	}
	if c.MaxTTL == 0 {
		c.MaxTTL = credentials.MaxTTL
	}
	if c.KeyRate == (Rate{}) {
		c.KeyRate = DefaultKeyRate()
	}
	if c.FailureRate == (Rate{}) {
		c.FailureRate = DefaultFailureRate()
	}
	if c.Draining == nil {
		c.Draining = func() bool { return false }
	}
	if c.Pages == nil {
		c.Pages = embeddedPages()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// validate returns all faults of c at once.
func (c Config) validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Mint == nil, "web: no way to mint credentials")
	fault(c.Ready == nil, "web: no readiness check")
	fault(c.Demo < DemoOff || c.Demo > DemoLocal, "web: demo mode %d does not exist", c.Demo)
	fault(len(c.ICE.TURN) == 0, "web: no turn: URI to hand out")
	fault(c.DefaultTTL < credentials.MinTTL || c.DefaultTTL > c.MaxTTL,
		"web: default lifetime %v is not between 1s and the longest, %v", c.DefaultTTL, c.MaxTTL)
	fault(c.MaxTTL > credentials.MaxTTL, "web: longest lifetime %v is over %v", c.MaxTTL, credentials.MaxTTL)
	fault(!c.KeyRate.valid(), "web: rate per key %+v: at least 0.001 a second and a burst of 1 are needed", c.KeyRate)
	fault(!c.FailureRate.valid(), "web: rate of wrong keys %+v: at least 0.001 a second and a burst of 1 are needed", c.FailureRate)
	fault(slices.Contains(c.PublicHosts, ""), "web: a public host is empty")
	for _, origin := range c.AllowedOrigins {
		fault(!isOrigin(origin), "web: allowed origin %q is not of the form https://host or https://host:port, as a browser sends it", origin)
	}
	for _, prefix := range c.TrustedProxies {
		fault(!prefix.IsValid(), "web: a trusted proxy is no prefix")
	}
	return errors.Join(faults...)
}

// valid keeps the time a bucket takes to fill, Burst ÷ PerSecond, in a time.Duration.
func (r Rate) valid() bool {
	return r.PerSecond >= 0.001 && r.Burst >= 1 && r.Burst <= 1_000_000
}

// isOrigin reports whether s is a tuple origin as browsers serialise it (RFC 6454
// §6.2): lower case, no path, and no port that the scheme implies.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || s != strings.ToLower(s) || strings.Contains(s, "*") {
		return false
	}
	implied := map[string]string{"http": "80", "https": "443"}
	port, known := implied[u.Scheme]
	return known && u.Port() != port && s == u.Scheme+"://"+u.Host && !strings.HasSuffix(u.Host, ":")
}
