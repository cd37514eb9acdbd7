package nat_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/nat/nattest"
)

// oneWay is how long a packet takes over the lab's Internet.
const oneWay = 20 * time.Millisecond

// How long discovery may take, behind a NAT and where UDP is blocked.
const (
	worksWithin   = 10 * time.Second
	blockedWithin = 15 * time.Second
)

var (
	externals = []netip.Addr{
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:1::1"),
	}
	internals = []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")}
)

// full answers by RFC 5780 with all it has, over both families.
func full(t testing.TB) nattest.Answer {
	t.Helper()
	s := sites()
	r, err := nat.NewResponder(s[0].set, s[1].set)
	if err != nil {
		t.Fatal(err)
	}
	return nattest.Respond(r)
}

// single answers as a server with one address does.
func single() nattest.Answer { return nattest.Respond(new(nat.Responder)) }

// scene is a client, what is in front of it, and a server.
type scene struct {
	server nattest.Answer
	six    bool // over IPv6
	behind func(*nattest.Internet) *nattest.Host
	loss   float64
	seed   uint64
	config nat.Config
}

// behind returns a client behind one NAT.
func behind(b nattest.Behaviour) func(*nattest.Internet) *nattest.Host {
	return func(n *nattest.Internet) *nattest.Host { return n.NAT(b, externals...).Host(internals...) }
}

// outcome is a report, and how long it took to make.
type outcome struct {
	*nat.Report
	err  error
	took time.Duration
}

// play runs discovery in a bubble of its own, where time costs nothing.
func (s scene) play(t *testing.T) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { o = s.run(t, t.Context()) })
	return o
}

// run runs discovery in the test's own bubble.
func (s scene) run(t *testing.T, ctx context.Context) outcome {
	t.Helper()
	internet := nattest.New(oneWay, s.seed)
	internet.Lose(s.loss)
	of := sites()
	host := internet.Host(
		of[0].set.IP[0].Local, of[0].set.IP[1].Local, of[1].set.IP[0].Local, of[1].set.IP[1].Local,
	)
	var all []netip.AddrPort
	for i := range 4 {
		all = append(all, of[0].at(i/2, i%2), of[1].at(i/2, i%2))
	}
	server, err := nattest.Serve(host, s.server, all...)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c := s.config
	if c.Server = of[0].at(0, 0); s.six {
		c.Server = of[1].at(0, 0)
	}
	client, began := s.behind(internet), time.Now()
	report, err := nat.Discover(ctx, client, c)
	return outcome{report, err, time.Since(began)}
}

// behaviours are the known ones.
var behaviours = []nat.Behaviour{ei, ad, apd}
