package nat_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/nat/nattest"
)

// checker is one side of a connectivity check as ICE does it (RFC 8445 §7): it sends to
// every address it knows of its peer, learns the ones requests come from, and has
// connected once an answer comes from where it asked.
type checker struct {
	socket nat.Socket

	mu        sync.Mutex // guards all below
	known     map[netip.AddrPort]bool
	connected bool
}

// A check is one of these and the address it was sent to.
const (
	checkAsks    = "?"
	checkAnswers = "!"
	checkRounds  = 8
	checkEvery   = 100 * time.Millisecond
)

func newChecker(s nat.Socket) *checker {
	return &checker{socket: s, known: make(map[netip.AddrPort]bool)}
}

// read answers requests and notes answers.
func (c *checker) read() {
	buf := make([]byte, 2048)
	for {
		n, from, err := c.socket.ReadFrom(buf)
		if err != nil {
			return
		}
		c.mu.Lock()
		kind, asked := string(buf[:1]), string(buf[1:n])
		switch kind {
		case checkAsks:
			c.known[from] = true
			_ = c.socket.WriteTo([]byte(checkAnswers+asked), from)
		case checkAnswers:
			// An answer from elsewhere fails the check (RFC 8445 §7.2.5.2.1).
			c.connected = c.connected || asked == from.String()
		}
		c.mu.Unlock()
	}
}

// check sends to all addresses of the peer.
func (c *checker) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for to := range c.known {
		_ = c.socket.WriteTo([]byte(checkAsks+to.String()), to)
	}
}

func (c *checker) isConnected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

// reflexive asks the server for a socket's mapped address, before anything else reads.
func reflexive(t *testing.T, s nat.Socket, server netip.AddrPort) netip.AddrPort {
	t.Helper()
	if err := s.WriteTo(binding(t).Raw, server); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	n, _, err := s.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	got := reply{Message: stunMessage(t, buf[:n])}
	return netip.MustParseAddrPort(got.xorMapped())
}

// connects plays a call between two peers, each behind a NAT of its own.
func connects(t *testing.T, a, b nattest.Behaviour) bool {
	t.Helper()
	internet := nattest.New(oneWay, 7)
	server := sites()[0].at(0, 0)
	running, err := nattest.Serve(internet.Host(server.Addr()), single(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	hosts := []*nattest.Host{
		internet.NAT(a, netip.MustParseAddr("192.0.2.10")).Host(netip.MustParseAddr("10.0.0.2")),
		internet.NAT(b, netip.MustParseAddr("192.0.2.20")).Host(netip.MustParseAddr("192.168.0.2")),
	}
	var sides [2]*checker
	var mapped [2]netip.AddrPort
	var readers sync.WaitGroup
	for i, h := range hosts {
		local, _ := h.Route(server)
		s, err := h.Listen(local, false)
		if err != nil {
			t.Fatal(err)
		}
		sides[i] = newChecker(s)
		mapped[i] = reflexive(t, s, server)
	}
	for i, c := range sides {
		c.known[mapped[1-i]] = true
		readers.Go(c.read)
	}
	for range checkRounds {
		for _, c := range sides {
			c.check()
		}
		time.Sleep(checkEvery) // of the bubble
	}
	for _, c := range sides {
		_ = c.socket.Close()
	}
	readers.Wait()
	return sides[0].isConnected() && sides[1].isConnected()
}

// What Direct predicts is what comes of a call, for every pair of NATs.
func TestDirectIsWhatHappens(t *testing.T) {
	var grid strings.Builder
	short := map[nat.Behaviour]string{ei: "EI", ad: "AD", apd: "APD"}
	for _, am := range behaviours {
		for _, af := range behaviours {
			fmt.Fprintf(&grid, "%4s mapping %4s filtering:", short[am], short[af])
			for _, bm := range behaviours {
				for _, bf := range behaviours {
					a := nattest.Behaviour{Mapping: am, Filtering: af, Ports: nattest.Random}
					b := nattest.Behaviour{Mapping: bm, Filtering: bf, Ports: nattest.Random}
					predicted := nat.Direct(nat.Side{UDP: nat.Yes, Mapping: am, Filtering: af}, nat.Side{UDP: nat.Yes, Mapping: bm, Filtering: bf})
					var happened bool
					synctest.Test(t, func(t *testing.T) { happened = connects(t, a, b) })
					if (predicted == nat.Yes) != happened {
						t.Errorf("%v/%v with %v/%v: predicted %v, connected %v", am, af, bm, bf, predicted, happened)
					}
					fmt.Fprintf(&grid, " %6s", map[bool]string{true: "direct", false: "relay"}[happened])
				}
			}
			grid.WriteString("\n")
		}
	}
	t.Log("\n" + grid.String())
}
