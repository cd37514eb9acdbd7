package control

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// token is a RESERVATION-TOKEN.
func token(value ...byte) stun.Setter { return attr(stun.AttrReservationToken, value...) }

// noToken is one that nobody has been given.
var noToken = token(1, 2, 3, 4, 5, 6, 7, 8)

// Allocate requests that are refused, and leave nothing behind.
func TestAllocateRefusals(t *testing.T) {
	transport := func(p byte) stun.Setter { return attr(stun.AttrRequestedTransport, p, 0, 0, 0) }
	for _, c := range []struct {
		name    string
		code    int
		setters []stun.Setter
	}{
		{"L2 no REQUESTED-TRANSPORT", 400, nil},
		{"L2 REQUESTED-TRANSPORT of no bytes", 400, []stun.Setter{attr(stun.AttrRequestedTransport)}},
		{"L2 REQUESTED-TRANSPORT of 3 bytes", 400, []stun.Setter{attr(stun.AttrRequestedTransport, 17, 0, 0)}},
		{"L2 REQUESTED-TRANSPORT of 8 bytes", 400, []stun.Setter{attr(stun.AttrRequestedTransport, 17, 0, 0, 0, 0, 0, 0, 0)}},
		{"L3 REQUESTED-TRANSPORT 1", 442, []stun.Setter{transport(1)}},
		{"L3 REQUESTED-TRANSPORT 0", 442, []stun.Setter{transport(0)}},
		{"L4 SEC-06 REQUESTED-TRANSPORT 6, TCP", 442, []stun.Setter{transport(6)}},
		{"L6 RESERVATION-TOKEN and EVEN-PORT", 400, []stun.Setter{requestUDP, noToken, evenPort(0)}},
		{"L6 RESERVATION-TOKEN and EVEN-PORT with R", 400, []stun.Setter{requestUDP, evenPort(0x80), noToken}},
		{"L7 RESERVATION-TOKEN and REQUESTED-ADDRESS-FAMILY", 400, []stun.Setter{requestUDP, noToken, family(1)}},
		{"L7 RESERVATION-TOKEN and ADDITIONAL-ADDRESS-FAMILY", 400, []stun.Setter{requestUDP, noToken, additionalFamily(2)}},
		{"L8 an unknown RESERVATION-TOKEN", 508, []stun.Setter{requestUDP, noToken}},
		{"L8 a RESERVATION-TOKEN of 7 bytes", 400, []stun.Setter{requestUDP, token(1, 2, 3, 4, 5, 6, 7)}},
		{"L10 both address families", 400, []stun.Setter{requestUDP, family(1), additionalFamily(2)}},
		{"L11 REQUESTED-ADDRESS-FAMILY 3", 440, []stun.Setter{requestUDP, family(3)}},
		{"L11 REQUESTED-ADDRESS-FAMILY 0", 440, []stun.Setter{requestUDP, family(0)}},
		{"L11 REQUESTED-ADDRESS-FAMILY of 2 bytes", 400, []stun.Setter{requestUDP, attr(stun.AttrRequestedAddressFamily, 1, 0)}},
		{"L14 EVEN-PORT of no bytes", 400, []stun.Setter{requestUDP, attr(stun.AttrEvenPort)}},
		{"L16 ADDITIONAL-ADDRESS-FAMILY 1", 400, []stun.Setter{requestUDP, additionalFamily(1)}},
		{"L16 ADDITIONAL-ADDRESS-FAMILY and EVEN-PORT with R", 400, []stun.Setter{requestUDP, additionalFamily(2), evenPort(0x80)}},
		{"L16 ADDITIONAL-ADDRESS-FAMILY of 1 byte", 400, []stun.Setter{requestUDP, attr(0x8000, 2)}},
		{"L24 LIFETIME of 2 bytes", 400, []stun.Setter{requestUDP, attr(stun.AttrLifetime, 1, 0)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, nil).login(alice, "alice")
			q.want(c.code, stun.MethodAllocate, c.setters...)
			if len(q.sockets)+len(q.server.allocations)+len(q.server.reservations)+len(q.told()) > 0 {
				t.Error("a refused request left something")
			}
			q.allocate()
		})
	}
	t.Run("L1 a second Allocate", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		q.want(437, stun.MethodAllocate, requestUDP)
		q.want(437, stun.MethodAllocate) // comes before all other checks
		if q.socketAt(relayed) == nil || len(q.sockets) != 1 {
			t.Error("the first allocation was touched")
		}
	})
}

func TestDontFragment(t *testing.T) {
	for _, able := range []bool{true, false} {
		t.Run(fmt.Sprintf("L5 DONT-FRAGMENT, able %v", able), func(t *testing.T) {
			q := newRig(t, func(c *Config) { c.DontFragment = able }).login(alice, "alice")
			got := q.do(stun.MethodAllocate, requestUDP, attr(stun.AttrDontFragment))
			unknown := got.value(stun.AttrUnknownAttributes)
			if able && got.code != 0 || !able && (got.code != 420 || !bytes.Equal(unknown, []byte{0, 0x1A})) {
				t.Errorf("code %d, UNKNOWN-ATTRIBUTES %x", got.code, unknown)
			}
		})
	}
}

// reserve makes an allocation with the next port reserved, and returns the token.
func (c *client) reserve() (netip.AddrPort, stun.Setter) {
	c.Helper()
	got := c.want(0, stun.MethodAllocate, requestUDP, evenPort(0x80))
	if got.relayed().Port()%2 != 0 || len(got.value(stun.AttrReservationToken)) != 8 {
		c.Fatalf("L15: port %v, token %x", got.relayed(), got.value(stun.AttrReservationToken))
	}
	return got.relayed(), token(got.value(stun.AttrReservationToken)...)
}

func TestEvenPort(t *testing.T) {
	t.Run("L14 EVEN-PORT without R", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MinPort, c.MaxPort = 50000, 50003 })
		for i, user := range []string{"alice", "bob"} {
			q := r.login(fmt.Sprintf("192.0.2.%d:1", i+1), user)
			got := q.want(0, stun.MethodAllocate, requestUDP, evenPort(0))
			if got.relayed().Port()%2 != 0 || got.has(stun.AttrReservationToken) {
				t.Errorf("port %d, token %v", got.relayed().Port(), got.has(stun.AttrReservationToken))
			}
		}
		r.login(alice, "carol").want(508, stun.MethodAllocate, requestUDP, evenPort(0))
		r.login(alice, "carol").allocate() // a sibling is not held
		r.login(bob, "carol").allocate()
	})
	t.Run("L15 the next port is held for 30 s", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MinPort, c.MaxPort = 50000, 50001 })
		q := r.login(alice, "alice")
		_, reserved := q.reserve()
		q.wait(30*time.Second - time.Millisecond)
		other := r.login(bob, "alice")
		other.want(508, stun.MethodAllocate, requestUDP)
		if got := other.allocate(reserved); got.Port() != 50001 {
			t.Errorf("port %d", got.Port())
		}
	})
	t.Run("L15 a port that another program has is not reserved", func(t *testing.T) {
		q := newRig(t, func(c *Config) { c.MinPort, c.MaxPort = 50000, 50007 }).login(alice, "alice")
		q.busy = func(at netip.AddrPort) bool { return at.Port()%2 == 1 && at.Port() != 50005 }
		relayed, reserved := q.reserve()
		if relayed.Port() != 50004 {
			t.Errorf("got port %d, whose next is taken", relayed.Port())
		}
		q.busy = func(netip.AddrPort) bool { return true } // too late: the socket is open
		q.login(bob, "alice").allocate(reserved)
	})
	t.Run("L15 no next port to be had", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.busy = func(at netip.AddrPort) bool { return at.Port()%2 == 1 }
		q.want(508, stun.MethodAllocate, requestUDP, evenPort(0x80))
		if len(q.sockets) > 0 {
			t.Errorf("%d sockets stay open", len(q.sockets))
		}
		q.checkBooks()
	})
}

func TestReservationTokens(t *testing.T) {
	t.Run("L8 an expired RESERVATION-TOKEN", func(t *testing.T) {
		for _, ticked := range []bool{true, false} {
			q := newRig(t, func(c *Config) { c.MinPort, c.MaxPort = 50000, 50001 }).login(alice, "alice")
			_, reserved := q.reserve()
			q.pass(reservationTime + time.Second)
			if ticked {
				q.server.Tick(q.now())
			}
			other := q.login(bob, "alice")
			other.want(508, stun.MethodAllocate, requestUDP, reserved)
			q.server.Tick(q.now())
			other.allocate() // the port is free again
		}
	})
	t.Run("L9 from another five-tuple", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed, reserved := q.reserve()
		other, _ := q.dialTCP(alice6)
		other.as("alice")
		next := other.allocate(reserved)
		if next.Addr() != relayed.Addr() || next.Port() != relayed.Port()+1 || q.socketAt(next) == nil {
			t.Errorf("reserved %v's next, got %v", relayed, next)
		}
		q.login(bob, "alice").want(508, stun.MethodAllocate, requestUDP, reserved) // once only
	})
	t.Run("L9 after the first allocation has ended", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed, reserved := q.reserve()
		q.want(0, stun.MethodRefresh, lifetime(0))
		if next := q.allocate(reserved); next.Port() != relayed.Port()+1 {
			t.Errorf("got %v after %v", next, relayed)
		}
	})
	t.Run("L8 another user's RESERVATION-TOKEN", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed, reserved := q.reserve()
		q.login(bob, "bob").want(508, stun.MethodAllocate, requestUDP, reserved)
		if next := q.login(bob, "alice").allocate(reserved); next.Port() != relayed.Port()+1 {
			t.Error("the attempt used up the reservation")
		}
	})
}

func TestAddressFamilies(t *testing.T) {
	only := func(i int) func(*Config) {
		return func(c *Config) { c.Relays = c.Relays[i : i+1] }
	}
	for _, c := range []struct {
		name   string
		config func(*Config)
		client string
		asked  []stun.Setter
		want   string // the relayed address; empty if the code is 440
	}{
		{"L11 IPv6 of an IPv4 server", only(0), alice, []stun.Setter{family(2)}, ""},
		{"L11 IPv4 of an IPv6 server", only(1), alice6, []stun.Setter{family(1)}, ""},
		{"L11 none of an IPv6 server", only(1), alice6, nil, ""}, // IPv4 it would be (step 7)
		{"L12 IPv6", nil, alice, []stun.Setter{family(2)}, relay6},
		{"L12 IPv6, by an IPv6 client", nil, alice6, []stun.Setter{family(2)}, relay6},
		{"L13 none, by an IPv4 client", nil, alice, nil, public4},
		{"L13 none, by an IPv6 client", nil, alice6, nil, public4},
		{"L13 IPv4", nil, alice6, []stun.Setter{family(1)}, public4},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, c.config).login(c.client, "alice")
			got := q.do(stun.MethodAllocate, append(c.asked, requestUDP)...)
			if c.want == "" {
				if got.code != 440 {
					t.Errorf("code %d", got.code)
				}
				return
			}
			if got.code != 0 || got.relayed().Addr().String() != c.want || q.socketAt(got.relayed()) == nil {
				t.Errorf("code %d, relayed address %v", got.code, got.relayed())
			}
		})
	}
	t.Run("L17 an additional address", func(t *testing.T) { // one, and what became of the other (§18.12)
		q := newRig(t, nil).login(alice, "alice")
		got := q.want(0, stun.MethodAllocate, requestUDP, additionalFamily(2), evenPort(0))
		if v := got.value(0x8001); !got.relayed().Addr().Is4() || !bytes.Equal(v, []byte{2, 0, 4, 40}) {
			t.Errorf("relayed address %v, ADDRESS-ERROR-CODE %x", got.relayed(), v)
		}
	})
}

func TestCapacity(t *testing.T) {
	t.Run("L18 SEC-32 over quota", func(t *testing.T) { // more in quota_test.go
		r := newRig(t, func(c *Config) { c.Quota.PerUser = 2 })
		r.login("192.0.2.1:1", "alice").allocate()
		r.login("192.0.2.1:2", "alice").allocate()
		if got := r.login("192.0.2.1:3", "alice").want(486, stun.MethodAllocate, requestUDP); got.Reason != QuotaUser {
			t.Errorf("reason %v", got.Reason)
		}
	})
	t.Run("L19 no port is left", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MinPort, c.MaxPort = 50000, 50003 })
		for i := range 4 {
			r.login(fmt.Sprintf("192.0.2.1:%d", i+1), "alice").allocate()
		}
		q := r.login(bob, "bob")
		if got := q.want(508, stun.MethodAllocate, requestUDP); got.Reason != NoPort {
			t.Errorf("reason %v", got.Reason)
		}
		q.allocate(family(2)) // another address has its own
		r.login("192.0.2.1:1", "alice").want(0, stun.MethodRefresh, lifetime(0))
		q = r.login("192.0.2.9:1", "bob")
		q.allocate()
	})
	t.Run("L19 other programs have all ports", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.busy = func(netip.AddrPort) bool { return true }
		q.want(508, stun.MethodAllocate, requestUDP)
		q.want(508, stun.MethodAllocate, requestUDP, evenPort(0x80))
		q.checkBooks()
	})
	t.Run("L19 other programs have some ports", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		tries := 0
		q.busy = func(netip.AddrPort) bool { tries++; return tries < openTries }
		q.allocate()
		q.checkBooks()
	})
	t.Run("L19 sockets fail for another reason", func(t *testing.T) {
		tries := 0
		q := newRig(t, func(c *Config) {
			c.Open = func(netip.AddrPort) (relay.Socket, error) { tries++; return nil, errors.New("no more descriptors") }
		}).login(alice, "alice")
		q.want(508, stun.MethodAllocate, requestUDP)
		if tries != 1 {
			t.Errorf("%d tries where none can help", tries)
		}
	})
}

func TestRelayPorts(t *testing.T) {
	t.Run("L20 ports", func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 100 {
			q := r.login(fmt.Sprintf("192.0.%d.1:%d", i, i+1), fmt.Sprint("user", i))
			if port := q.allocate().Port(); port < 49152 {
				t.Errorf("port %d", port)
			}
		}
		if _, err := New(Config{
			Credentials: r.secrets, Table: r.server.config.Table, Policy: r.server.config.Policy, Open: r.open,
			Relays: r.server.config.Relays, MinPort: 1023, MaxPort: 65535,
		}); err == nil {
			t.Error("a server that lends port 1023 was made")
		}
	})
}

func TestAllocateSuccess(t *testing.T) {
	t.Run("L21 what the reply has", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		got := q.want(0, stun.MethodAllocate, requestUDP)
		want := "XOR-RELAYED-ADDRESS 8\nLIFETIME 4\nXOR-MAPPED-ADDRESS 8\nSOFTWARE 7\nMESSAGE-INTEGRITY 20\n"
		if got.shape() != want || got.lifetime() != 600 || got.address(stun.AttrXORMappedAddress).String() != alice ||
			got.relayed().Addr().String() != public4 {
			t.Errorf("lifetime %d, mapped %v, relayed %v, in\n%s", got.lifetime(), got.address(stun.AttrXORMappedAddress),
				got.relayed(), got.shape())
		}
	})
	t.Run("L21 an attribute out of place is ignored", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		q.allocate(peerAt("127.0.0.1:1"), channel(1), attr(stun.AttrData, 1))
	})
	for _, c := range []struct {
		name        string
		max         time.Duration
		asked, want int
	}{
		{"L22 LIFETIME 60", 0, 60, 600},
		{"L22 LIFETIME 599", 0, 599, 600},
		{"L23 LIFETIME 0", 0, 0, 600},
		{"L24 LIFETIME 1200", 0, 1200, 1200},
		{"L24 LIFETIME 86400", 0, 86400, 3600},
		{"L24 LIFETIME 4294967295", 0, 0xFFFFFFFF, 3600},
		{"L24 LIFETIME 86400, with a shorter maximum", 20 * time.Minute, 86400, 1200},
		{"L24 LIFETIME 86400, with the default for maximum", 10 * time.Minute, 86400, 600},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRig(t, func(config *Config) { config.MaxLifetime = c.max }).login(alice, "alice")
			got := q.want(0, stun.MethodAllocate, requestUDP, lifetime(uint32(c.asked)))
			if ends := q.server.allocations[q.from.FiveTuple].Expires(); got.lifetime() != c.want ||
				ends != q.now().Add(time.Duration(c.want)*time.Second) {
				t.Errorf("lifetime %d, until %v", got.lifetime(), ends.Sub(q.now()))
			}
		})
	}
}

func TestAllocationsEnd(t *testing.T) {
	t.Run("L25 a lifetime passes", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		q.wait(600*time.Second - time.Millisecond)
		if q.socketAt(relayed) == nil {
			t.Fatal("ended early")
		}
		q.wait(time.Second + time.Millisecond)
		if q.socketAt(relayed) != nil {
			t.Error("the relay socket is open")
		}
		q.as("alice").want(437, stun.MethodRefresh)
		if last := q.told()[1]; last.End != EndExpired || last.Age < 600*time.Second {
			t.Errorf("told %+v", last)
		}
	})
	t.Run("L25 a lifetime passes unnoticed", func(t *testing.T) { // the wheel turns late
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		q.want(0, stun.MethodCreatePermission, peerAt(peerA))
		q.pass(600 * time.Second)
		q.wantDrop(relay.DropExpired, func() relay.Verdict { return q.sendTo(peerA, "late") })
		q.as("alice").want(437, stun.MethodRefresh)
		if q.socketAt(relayed) != nil {
			t.Error("the relay socket is open")
		}
		if q.allocate() == relayed {
			t.Error("the port was lent again at once") // SEC-11
		}
	})
	t.Run("L25 a refresh in the last moment", func(t *testing.T) {
		q := newRig(t, nil).login(alice, "alice")
		relayed := q.allocate()
		for range 3 {
			q.wait(600*time.Second - time.Nanosecond)
			q.as("alice").want(0, stun.MethodRefresh)
		}
		if q.socketAt(relayed) == nil {
			t.Error("ended although it was refreshed")
		}
	})
	t.Run("L26 the client's connection ends", func(t *testing.T) {
		r := newRig(t, nil)
		q, _ := r.dialTCP(alice)
		relayed := q.as("alice").allocate()
		r.server.ClientGone(r.now(), &q.from)
		r.server.ClientGone(r.now(), &q.from)
		if r.socketAt(relayed) != nil || len(r.server.users) > 0 {
			t.Error("the allocation lives on")
		}
		if events := r.told(); len(events) != 2 || events[1].End != EndClientGone {
			t.Errorf("told %+v", events)
		}
		r.server.ClientGone(r.now(), &r.dial(bob).from)
	})
	t.Run("L26 a connection takes the place of one whose end comes late", func(t *testing.T) {
		r := newRig(t, nil)
		before, _ := r.dialTCP(alice)
		old := before.as("alice").allocate()
		after, _ := r.dialTCP(alice)
		after.as("alice").want(437, stun.MethodRefresh) // what it finds is not its own
		if r.socketAt(old) != nil {
			t.Error("the replaced connection's allocation lives on")
		}
		relayed := after.allocate()
		r.server.ClientGone(r.now(), &before.from)
		if r.socketAt(relayed) == nil {
			t.Error("the end of the old connection ended the new one's allocation")
		}
	})
}
