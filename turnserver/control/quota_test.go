package control

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// SEC-32: who may have how many allocations.
func TestQuotas(t *testing.T) {
	for _, c := range []struct {
		name   string
		quota  Quota
		addr   func(i int) string // of the client's i-th five-tuple
		user   func(i int) string
		bound  int
		code   int
		reason Reason
	}{
		{
			"SEC-32 10 a user", DefaultQuota(), func(i int) string { return fmt.Sprintf("192.0.%d.1:7", i) },
			func(int) string { return "alice" }, 10, 486, QuotaUser,
		},
		{
			"SEC-32 50 an IPv4 address", DefaultQuota(), func(i int) string { return fmt.Sprintf("192.0.2.1:%d", i+1) },
			func(i int) string { return fmt.Sprint("user", i) }, 50, 486, QuotaAddress,
		},
		{
			"SEC-32 50 an IPv6 /64", DefaultQuota(), func(i int) string { return fmt.Sprintf("[2001:db8:1:2:%x::%x]:7", i, i) },
			func(i int) string { return fmt.Sprint("user", i) }, 50, 486, QuotaAddress,
		},
		{
			"SEC-32 in all",
			Quota{Allocations: 30},
			func(i int) string { return fmt.Sprintf("192.0.%d.1:7", i) },
			func(i int) string { return fmt.Sprint("user", i) }, 30, 508, QuotaServer,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(config *Config) { config.Quota = c.quota })
			for i := range c.bound {
				r.login(c.addr(i), c.user(i)).allocate()
			}
			over := r.login(c.addr(c.bound), c.user(c.bound))
			if got := over.want(c.code, stun.MethodAllocate, requestUDP); got.Reason != c.reason {
				t.Errorf("reason %v", got.Reason)
			}
			r.login(c.addr(0), c.user(0)).want(0, stun.MethodRefresh, lifetime(0))
			over.allocate()
			r.login(c.addr(0), c.user(0)).want(c.code, stun.MethodAllocate, requestUDP)
			r.server.SetQuota(Quota{}) // lifts all
			r.login(c.addr(0), c.user(0)).allocate()
			if n := r.server.Stats().Allocations[relay.UDP]; n != c.bound+1 {
				t.Errorf("%d allocations are counted, want %d", n, c.bound+1)
			}
		})
	}
	t.Run("SEC-32 another /64 is another customer", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Quota.PerAddress = 1 })
		r.login("[2001:db8:1:2::1]:7", "a").allocate()
		r.login("[2001:db8:1:3::1]:7", "b").allocate()
		r.login("192.0.2.1:7", "c").allocate()
		r.login("[2001:db8:1:2:3::1]:7", "d").want(486, stun.MethodAllocate, requestUDP)
	})
}

// SEC-32: whatever the way an allocation ends, it is given back once, and told once.
func TestEveryWayOut(t *testing.T) {
	end := func(q *client) { q.want(0, stun.MethodRefresh, lifetime(0)) }
	gone := func(q *client) { q.server.ClientGone(q.now(), &q.from) }
	expire := func(q *client) { q.wait(601 * time.Second) }
	for _, c := range []struct {
		name string
		out  []func(q *client)
		want End
	}{
		{"timer", []func(q *client){expire}, EndExpired},
		{"timer, twice", []func(q *client){expire, expire}, EndExpired},
		{"noticed before the timer", []func(q *client){func(q *client) {
			q.pass(600 * time.Second)
			q.as("alice").want(437, stun.MethodRefresh)
		}, expire}, EndExpired},
		{"Refresh 0", []func(q *client){end}, EndRefresh},
		{"Refresh 0, retransmitted", []func(q *client){func(q *client) {
			msg := q.build(stun.MethodRefresh, lifetime(0))
			q.exchange(msg)
			q.exchange(msg)
		}}, EndRefresh},
		{"Refresh 0, then the timer", []func(q *client){end, expire}, EndRefresh},
		{"Refresh 0, then the client is gone", []func(q *client){end, gone}, EndRefresh},
		{"client gone", []func(q *client){gone}, EndClientGone},
		{"client gone twice, then the timer", []func(q *client){gone, gone, expire}, EndClientGone},
		{"timer, then the client is gone", []func(q *client){expire, gone}, EndExpired},
	} {
		t.Run("SEC-32 "+c.name, func(t *testing.T) {
			r := newRig(t, func(config *Config) { config.Quota.PerUser, config.Quota.PerAddress = 2, 2 })
			other := r.login("192.0.2.7:1", "alice")
			stays := other.allocate(lifetime(3600))
			q := r.login(alice, "alice")
			q.allocate()
			for _, out := range c.out {
				out(q)
				r.checkBooks()
			}
			if events := r.told(); len(events) != 3 || events[2].End != c.want || events[2].Client.String() != alice {
				t.Errorf("told %+v", events)
			}
			if r.socketAt(stays) == nil || len(r.sockets) != 1 {
				t.Error("another allocation was touched")
			}
			q.as("alice").allocate()
			r.login("192.0.2.7:2", "alice").want(486, stun.MethodAllocate, requestUDP)
		})
	}
	t.Run("SEC-32 close", func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 5 {
			r.login(fmt.Sprintf("192.0.2.7:%d", i+1), "alice").allocate()
		}
		r.server.Close(r.now())
		r.server.Close(r.now())
		r.checkBooks()
		events := r.told()
		if len(events) != 10 || events[9].End != EndShutdown || len(r.sockets) > 0 {
			t.Errorf("told %+v, %d sockets are open", events, len(r.sockets))
		}
	})
	t.Run("SEC-32 policy", func(t *testing.T) { // takes peers away, not allocations
		r := newRig(t, nil)
		q := r.login(alice, "alice")
		q.allocate()
		q.want(0, stun.MethodChannelBind, channel(0x4000), peerAt(peerA))
		r.server.SetPolicy(r.now(), testPolicy(t, PolicyConfig{Profile: ProfileSFU}))
		r.checkBooks()
		if len(r.told()) != 1 || len(r.server.allocations) != 1 {
			t.Errorf("told %+v", r.told())
		}
	})
}

// What fails half-way leaves nothing.
func TestFailedAllocationsCostNothing(t *testing.T) {
	t.Run("the relayed address is another's", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MinPort, c.MaxPort = 50000, 50001 })
		squatter, err := r.server.config.Table.Add(relay.Opening{
			FiveTuple: r.dial(bob).from.FiveTuple, Path: relay.Path{Packets: r.listen},
			Socket:  newSocket(r, netip.MustParseAddrPort("10.9.9.9:50000")),
			Relayed: netip.MustParseAddrPort(public4 + ":50000"), Expires: r.now().Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		q := r.login(alice, "alice")
		q.want(508, stun.MethodAllocate, requestUDP, evenPort(0x80))
		squatter.Close()
		r.checkBooks()
		if len(r.server.reservations) > 0 || len(r.sockets) > 0 {
			t.Errorf("%d reservations, %d sockets", len(r.server.reservations), len(r.sockets))
		}
		q.want(0, stun.MethodAllocate, requestUDP, evenPort(0x80))
	})
	t.Run("one port of a pair is busy", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MinPort, c.MaxPort = 50000, 50007 })
		r.busy = func(at netip.AddrPort) bool { return at.Port() < 50006 }
		q := r.login(alice, "alice")
		if got := q.want(0, stun.MethodAllocate, requestUDP, evenPort(0x80)); got.relayed().Port() != 50006 {
			t.Errorf("port %d", got.relayed().Port())
		}
		r.checkBooks()
	})
}

// SEC-33: cycles of EVEN-PORT leave the pool as it was.
func TestEvenPortCycles(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MinPort, c.MaxPort = 50000, 50015 })
	q, other := r.dial(alice), r.dial(bob)
	for i := range 10_000 {
		if i%15 == 0 {
			q.as("alice")
			other.as("alice")
		}
		flags := byte(0x80)
		if i%3 == 0 {
			flags = 0
		}
		got := q.want(0, stun.MethodAllocate, requestUDP, evenPort(flags))
		switch i % 3 {
		case 1: // the reservation is redeemed
			other.allocate(token(got.value(stun.AttrReservationToken)...))
			other.want(0, stun.MethodRefresh, lifetime(0))
		case 2: // or it lapses, before or after the allocation ends
			other.want(486, stun.MethodAllocate, requestUDP, evenPort(0x80))
			r.wait(reservationTime + time.Second)
		}
		q.want(0, stun.MethodRefresh, lifetime(0))
	}
	r.checkBooks()
	pool := r.server.pools[netip.MustParseAddr(local4)]
	if lent, left := pool.counts(); lent != 0 || left != 16 {
		t.Errorf("SEC-33: %d ports are lent, %d are left", lent, left)
	}
	for i := range 16 { // and each can be had
		r.login(fmt.Sprintf("192.0.2.%d:1", i+1), fmt.Sprint("user", i)).allocate()
	}
}

// A reservation that was redeemed in time does not lapse afterwards.
func TestRedeemedReservationLasts(t *testing.T) {
	q := newRig(t, nil).login(alice, "alice")
	got := q.want(0, stun.MethodAllocate, requestUDP, evenPort(0x80))
	other := q.login(bob, "alice")
	relayed := other.allocate(token(got.value(stun.AttrReservationToken)...))
	q.wait(reservationTime + 2*time.Second)
	q.checkBooks()
	if q.socketAt(relayed) == nil {
		t.Error("the allocation lost its port")
	}
}

func TestReservationQuota(t *testing.T) {
	r := newRig(t, nil)
	q := r.login(alice, "alice")
	q.want(0, stun.MethodAllocate, requestUDP, evenPort(0x80))
	next := r.login(bob, "alice")
	if got := next.want(486, stun.MethodAllocate, requestUDP, evenPort(0x80)); got.Reason != QuotaUser {
		t.Errorf("SEC-33: reason %v", got.Reason)
	}
	next.allocate(evenPort(0)) // holds nothing
	r.login("192.0.2.9:1", "carol").want(0, stun.MethodAllocate, requestUDP, evenPort(0x80))
	r.wait(reservationTime + time.Second)
	r.login("192.0.2.9:2", "alice").want(0, stun.MethodAllocate, requestUDP, evenPort(0x80))
}

func TestDrain(t *testing.T) {
	r := newRig(t, nil)
	q := r.login(alice, "alice")
	relayed := q.allocate()
	r.server.Drain()
	if got := r.login(bob, "bob").want(508, stun.MethodAllocate, requestUDP); got.Reason != Draining || !r.server.Draining() {
		t.Errorf("reason %v", got.Reason)
	}
	q.want(0, stun.MethodRefresh)
	q.want(0, stun.MethodChannelBind, channel(0x4000), peerAt(peerA))
	q.sendChannel(0x4000, "goes on", 0)
	r.wantAtPeer(relayed, peerA, "goes on")
}

func TestConfigIsChecked(t *testing.T) {
	good := newRig(t, nil).server.config
	for name, change := range map[string]func(*Config){
		"no credentials":                   func(c *Config) { c.Credentials = nil },
		"no table":                         func(c *Config) { c.Table = nil },
		"no policy":                        func(c *Config) { c.Policy = nil },
		"no sockets":                       func(c *Config) { c.Open = nil },
		"no ports":                         func(c *Config) { c.MinPort = 0 },
		"a maximum below the default":      func(c *Config) { c.MaxLifetime = DefaultLifetime - 1 }, // RFC 8656 §7.2 grants the default
		"no randomness to be had for keys": func(c *Config) { c.Random = noRandom{} },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: a server was made", name)
		}
	}
}

// noRandom is a source of randomness that has none.
type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, errors.New("none") }
