package signaling

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// SEC-48: first message within 5 s.
func TestSilentSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startInMemory(t, nil)
		began := time.Now()
		c := s.dial()
		c.refused(ReasonJoinTimeout)
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("refused after %v, want 5 s", d)
		}
		c.closed(CloseTimeout)
	})
}

// The time allowed for the join includes that for its authorisation, whose context ends with the socket.
// Let in too late, a member leaves at once.
func TestSlowAuthorize(t *testing.T) {
	for name, verdict := range map[string]error{"refused late": errors.New("no"), "let in late": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startInMemory(t, func(c *Config) {
					c.Authorize = func(r *http.Request, _ Join) (Member, error) {
						<-r.Context().Done()
						return Member{}, verdict
					}
				})
				c := s.dial()
				c.send(`{"type":"join","roomId":"r"}`)
				c.refused(ReasonJoinTimeout)
				c.closed(CloseTimeout)
				synctest.Wait()
				if n := s.hub.Stats(); n.Members != 0 || n.Rooms != 0 {
					t.Errorf("%d members and %d rooms are left", n.Members, n.Rooms)
				}
			})
		})
	}
}

// A member who has joined is silent as long as it likes.
func TestQuietMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startInMemory(t, nil)
		a, b := s.dial(), s.dial()
		a.join("r")
		b.join("r")
		a.message("user-joined")
		time.Sleep(time.Hour) // of the bubble's time
		ping(a, b)
	})
}

// SEC-55: a half-open socket is gone within 30 s, even while a write to it is stuck.
func TestHalfOpenSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startInMemory(t, func(c *Config) { c.Limits.WriteTimeout = time.Hour })
		a := s.dial()
		a.join("r")
		began := time.Now()
		dead, in := s.handshake()
		_, _ = dead.Write(frame(0x81, `{"type":"join","roomId":"r"}`))
		pinged := make(chan struct{})
		go func() { // its kernel takes the ping, and nothing more; nobody answers
			_, _ = in.ReadBytes(0x89)
			close(pinged)
		}()
		id := a.message("user-joined")["clientId"].(string)
		<-pinged
		a.send(`{"type":"candidate","candidate":null,"targetClientId":"` + id + `"}`)
		a.want(`{"type":"user-left","clientId":"` + id + `"}`)
		synctest.Wait()
		if d := time.Since(began); d > 30*time.Second || d < 20*time.Second {
			t.Errorf("gone after %v, want 20 to 30 s", d)
		}
		if n := s.hub.Stats().Sockets; n != 1 {
			t.Errorf("%d sockets are left, want 1", n)
		}
	})
}

// ICE servers are pushed again at 80 % of their life, and soon after a failure to make them.
func TestICERenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := startInMemory(t, func(c *Config) {
			c.ICEServers = func(m Member) (ICEServers, error) {
				if calls++; calls == 2 {
					return ICEServers{}, errors.New("no secret today")
				}
				return testICE(m)
			}
		})
		began := time.Now()
		at := func(want time.Duration) {
			t.Helper()
			if d := time.Since(began); d != want {
				t.Errorf("after %v, want %v", d, want)
			}
		}
		c := s.dial()
		c.join("r")
		c.message("ice-servers")
		at(0)
		c.refused(ReasonICEUnavailable)
		at(48 * time.Minute)
		c.message("ice-servers")
		at(48*time.Minute + 10*time.Second)
		c.message("ice-servers")
		at(2*48*time.Minute + 10*time.Second)
		c.send(`{"type":"leave"}`)
		c.closed(int(websocket.StatusNormalClosure))
		time.Sleep(2 * time.Hour)
		if calls != 4 {
			t.Errorf("%d sets of ICE servers were made, want 4: none after the leave", calls)
		}
	})
}

// Clients that do not answer the close, or take nothing at all, are cut off when the time for shutdown is over.
func TestShutdownIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startInMemory(t, nil)
		visitor, in := s.handshake()
		go io.Copy(io.Discard, in)
		_, _ = visitor.Write(frame(0x82, "binary, so that the server has said goodbye already"))
		stuck, _ := s.handshake()
		_, _ = stuck.Write(frame(0x81, `{"type":"join","roomId":"r"}`))
		synctest.Wait()
		if n := s.hub.Stats(); n.Members != 1 || n.Sockets != 2 {
			t.Fatalf("%d members and %d sockets", n.Members, n.Sockets)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.hub.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown reports %v", err)
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("shutdown took %v, want 1 s", d)
		}
		_, _ = visitor.Close(), stuck.Close()
	})
}

func TestRenewAfter(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		24 * time.Hour:   19*time.Hour + 12*time.Minute,
		time.Hour:        48 * time.Minute,
		75 * time.Second: 60 * time.Second,
		30 * time.Second: 15 * time.Second,
		17 * time.Second: 2 * time.Second,
		15 * time.Second: time.Second,
		time.Second:      time.Second,
	} {
		if got := renewAfter(ttl); got != want {
			t.Errorf("credentials for %v are renewed after %v, want %v", ttl, got, want)
		}
	}
}

// Frames that complete no message are taken in at a bounded rate too.
func TestThrottledConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := &throttledConn{Conn: far, ctx: ctx, cancel: cancel, taken: rate.NewLimiter(1000, 500)}
		go func() { _, _ = near.Write(make([]byte, 3500)) }()
		began := time.Now()
		if _, err := io.ReadFull(c, make([]byte, 3500)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("took %v, want 3 s", d)
		}
		go func() { _, _ = near.Write(make([]byte, 500)) }()
		ended := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 500))
			ended <- err
		}()
		synctest.Wait() // the read waits for the rate
		_ = c.Close()
		if err := <-ended; err == nil {
			t.Error("a read that waits outlives the connection")
		}
	})
}

func TestAddressesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		a := newAddresses(limits)
		nets := map[string]bool{}
		for _, text := range []string{"192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "fe80::1%eth0"} {
			n := network(netip.MustParseAddr(text))
			nets[n.String()] = true
			if r := a.open(n); r != nil {
				t.Fatal(r)
			}
			for range limits.JoinBurst {
				a.join(n)
			}
			a.release(n)
		}
		if len(nets) != 4 || len(a.byNet) != 4 {
			t.Errorf("%d networks: %v", len(a.byNet), nets)
		}
		time.Sleep(1500 * time.Millisecond)
		fresh := network(netip.Addr{})
		if r := a.open(fresh); r != nil {
			t.Fatal(r)
		}
		if len(a.byNet) != 5 {
			t.Error("addresses are forgotten while their joins count")
		}
		time.Sleep(10 * time.Second)
		if r := a.open(network(netip.MustParseAddr("198.51.100.1"))); r != nil {
			t.Fatal(r)
		}
		if len(a.byNet) != 2 || a.byNet[fresh] == nil {
			t.Errorf("%d addresses are remembered, want the two with sockets", len(a.byNet))
		}
	})
}

// A table full of addresses that are in use takes no new one, and lets the known ones in.
func TestAddressTableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(DefaultLimits())
		addr := netip.MustParseAddr("10.0.0.0")
		for range maxAddresses {
			if r := a.open(network(addr)); r != nil {
				t.Fatal(r)
			}
			addr = addr.Next()
		}
		time.Sleep(time.Minute)
		if r := a.open(network(addr)); r == nil || r.Reason != ReasonOverloaded {
			t.Errorf("one address too many got %v", r)
		}
		if r := a.open(network(addr.Prev())); r != nil {
			t.Errorf("a known address got %v", r)
		}
	})
}
