package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// patience is how long a test waits for what must come at once.
const patience = 10 * time.Second

// backend is an implementation that must keep Conn's contract.
type backend struct {
	name   string
	listen func(netip.AddrPort, Options) (socket, error)
}

var backends = []backend{{"system", listen}, {"portable", listenPortable}}

// forBackends runs a test on every implementation.
func forBackends(t *testing.T, test func(*testing.T, backend)) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) { test(t, b) })
	}
}

// open binds a Conn that is closed when the test ends, or when it hangs.
func (b backend) open(t testing.TB, addr string, o Options) *Conn {
	t.Helper()
	s, err := b.listen(netip.MustParseAddrPort(addr), o)
	if err != nil {
		t.Fatalf("listen on %s: %v", addr, err)
	}
	c := &Conn{socket: s}
	hang := time.AfterFunc(patience, func() { c.Close() })
	t.Cleanup(func() {
		hang.Stop()
		c.Close()
	})
	return c
}

// read reads until it has n packets, and returns copies of them.
func read(t testing.TB, c *Conn, b *Batch, n int) []Packet {
	t.Helper()
	var got []Packet
	for len(got) < n {
		if err := c.ReadBatch(b); err != nil {
			t.Fatalf("after %d of %d packets: %v", len(got), n, err)
		}
		if len(b.Packets) == 0 {
			t.Fatal("ReadBatch returned no packet and no error")
		}
		for _, p := range b.Packets {
			p.Buf = bytes.Clone(p.Buf)
			got = append(got, p)
		}
	}
	if len(got) > n {
		t.Fatalf("got %d packets, want %d", len(got), n)
	}
	return got
}

// packet returns a packet to send.
func packet(to netip.AddrPort, payload []byte) Packet {
	return Packet{Buf: payload, End: len(payload), Remote: to}
}

// send sends and fails the test if the kernel does not take every packet.
func send(t testing.TB, c *Conn, ps ...Packet) {
	t.Helper()
	sent, err := c.WriteBatch(NewWriter(), ps)
	if sent != len(ps) || err != nil {
		t.Fatalf("sent %d of %d packets: %v", sent, len(ps), err)
	}
}

// pattern returns n bytes that differ from packet to packet.
func pattern(n, seed int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + seed)
	}
	return p
}

func loopback(c *Conn, addr string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), c.LocalAddr().Port())
}

func TestRoundTrip(t *testing.T) {
	tests := []struct{ name, listen, from, to string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "[::1]:0", "::1"},
		{"wildcard IPv4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
		{"dual stack, IPv4", "[::]:0", "127.0.0.1:0", "127.0.0.1"},
		{"dual stack, IPv6", "[::]:0", "[::1]:0", "::1"},
		{"IPv4-mapped listener", "[::ffff:127.0.0.1]:0", "127.0.0.1:0", "127.0.0.1"},
	}
	forBackends(t, func(t *testing.T, b backend) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				listenAddr := netip.MustParseAddrPort(test.listen)
				server := b.open(t, unmap(listenAddr).String(), Options{})
				client := b.open(t, test.from, Options{})
				batch := NewBatch(4)
				for _, n := range []int{0, 1, 160, 1500, 65507} {
					payload := pattern(n, n)
					send(t, client, packet(loopback(server, test.to), payload))
					got := read(t, server, batch, 1)[0]
					if !bytes.Equal(got.Data(), payload) {
						t.Fatalf("%d bytes: the server got %d others", n, len(got.Data()))
					}
					if got.Remote != client.LocalAddr() {
						t.Fatalf("%d bytes: from %v, want %v", n, got.Remote, client.LocalAddr())
					}
					if got.Start < Headroom || len(got.Buf)-got.End < Tailroom {
						t.Fatalf("%d bytes: no room: %d:%d of %d", n, got.Start, got.End, len(got.Buf))
					}
					send(t, server, got)
					back := read(t, client, batch, 1)[0]
					if !bytes.Equal(back.Data(), payload) || back.Remote != loopback(server, test.to) {
						t.Fatalf("%d bytes: the client got %d from %v", n, len(back.Data()), back.Remote)
					}
				}
			})
		}
	})
}

func TestLongestPayload(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		server, client := b.open(t, "[::1]:0", Options{}), b.open(t, "[::1]:0", Options{})
		payload := pattern(MaxPayload, 1)
		send(t, client, packet(server.LocalAddr(), payload))
		got := read(t, server, NewBatch(1), 1)[0]
		if !bytes.Equal(got.Data(), payload) {
			t.Fatalf("got %d bytes, want the %d that were sent", len(got.Data()), MaxPayload)
		}
	})
}

func TestOrder(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		const n = 150 // more than one system call takes
		var servers [3]*Conn
		for i := range servers {
			servers[i] = b.open(t, "127.0.0.1:0", Options{})
		}
		client := b.open(t, "127.0.0.1:0", Options{})
		var ps []Packet
		for i := range n {
			// Runs of every kind: sizes repeat, shrink, grow and reach zero.
			size := []int{100, 100, 40, 100, 0, 100, 100, 100, 120}[i%9]
			ps = append(ps, packet(servers[i/5%3].LocalAddr(), pattern(size, i)))
		}
		send(t, client, ps...)
		batch := NewBatch(16)
		for i, server := range servers {
			var want []Packet
			for _, p := range ps {
				if p.Remote == server.LocalAddr() {
					want = append(want, p)
				}
			}
			for j, got := range read(t, server, batch, len(want)) {
				if !bytes.Equal(got.Data(), want[j].Data()) {
					t.Fatalf("server %d, packet %d: got %d bytes, want %d", i, j, got.End-got.Start, want[j].End)
				}
			}
		}
	})
}

func TestRefusedPacketsAreLeftOut(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		server, client := b.open(t, "127.0.0.1:0", Options{}), b.open(t, "127.0.0.1:0", Options{})
		to := server.LocalAddr()
		ps := []Packet{
			packet(netip.AddrPort{}, []byte("no address")),
			packet(to, []byte("first")),
			packet(to, make([]byte, 65508)), // too long for IPv4
			packet(netip.MustParseAddrPort("[::1]:9"), []byte("other family")),
			packet(to, []byte("second")),
		}
		sent, err := client.WriteBatch(NewWriter(), ps)
		if sent != 2 || err == nil || errors.Is(err, net.ErrClosed) {
			t.Fatalf("sent %d: %v, want 2 and a reason", sent, err)
		}
		got := read(t, server, NewBatch(4), 2)
		if string(got[0].Data()) != "first" || string(got[1].Data()) != "second" {
			t.Fatalf("got %q and %q", got[0].Data(), got[1].Data())
		}
	})
}

// TestPacketInfo is S4: who asks a second address gets the answer from that address.
func TestPacketInfo(t *testing.T) {
	tests := []struct{ listen, from, to string }{
		{"0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"},
		{"[::]:0", "127.0.0.1:0", "127.0.0.2"},
		{"[::]:0", "[::1]:0", "::1"},
	}
	forBackends(t, func(t *testing.T, b backend) {
		for _, test := range tests {
			t.Run(test.listen+" "+test.to, func(t *testing.T) {
				server := b.open(t, test.listen, Options{PacketInfo: true})
				if !server.Capabilities().PacketInfo {
					t.Skip("this implementation has no packet information")
				}
				client := b.open(t, test.from, Options{})
				to := loopback(server, test.to)
				send(t, client, packet(to, []byte("?")), packet(to, []byte("!")))
				got := read(t, server, NewBatch(1), 1)
				got = append(got, read(t, server, NewBatch(1), 1)...)
				for _, p := range got {
					if p.Local != to.Addr() {
						t.Fatalf("sent to %v, reported %v", to.Addr(), p.Local)
					}
				}
				send(t, server, got...)
				for _, p := range read(t, client, NewBatch(2), 2) {
					if p.Remote != to {
						t.Fatalf("answer from %v, want %v", p.Remote, to)
					}
				}
			})
		}
	})
}

func TestNoPacketInfoUnasked(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		server, client := b.open(t, "0.0.0.0:0", Options{}), b.open(t, "127.0.0.1:0", Options{})
		send(t, client, packet(loopback(server, "127.0.0.1"), []byte("?")))
		if got := read(t, server, NewBatch(1), 1)[0]; got.Local.IsValid() {
			t.Fatalf("Local is %v", got.Local)
		}
	})
}

func TestLocalIsIgnoredWithoutPacketInfo(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		server, client := b.open(t, "127.0.0.1:0", Options{}), b.open(t, "127.0.0.1:0", Options{})
		p := packet(server.LocalAddr(), []byte("x"))
		p.Local = netip.MustParseAddr("192.0.2.1") // which the kernel would refuse
		send(t, client, p)
		if got := read(t, server, NewBatch(1), 1); got[0].Remote != client.LocalAddr() {
			t.Errorf("it came from %v", got[0].Remote)
		}
	})
}

func TestBatchIsSetAnew(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		server, client := b.open(t, "127.0.0.1:0", Options{}), b.open(t, "127.0.0.1:0", Options{})
		batch := NewBatch(2)
		for i := range 3 {
			send(t, client, packet(server.LocalAddr(), pattern(20, i)))
			got := read(t, server, batch, 1)[0]
			if !bytes.Equal(got.Data(), pattern(20, i)) {
				t.Fatalf("read %d: wrong payload", i)
			}
			batch.Packets[0] = Packet{}
			batch.Packets = batch.Packets[1:]
		}
	})
}

func TestReusePort(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		first := b.open(t, "127.0.0.1:0", Options{ReusePort: true})
		second, err := b.listen(first.LocalAddr(), Options{ReusePort: true})
		if !first.Capabilities().ReusePort {
			if err == nil {
				second.close()
				t.Fatal("bound twice without ReusePort")
			}
			t.Skip("this implementation has no ReusePort")
		}
		if err != nil {
			t.Fatal(err)
		}
		second.close()
	})
}

func TestPortBusy(t *testing.T) {
	first, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err = Listen(first.LocalAddr(), Options{}); !PortBusy(err) {
		t.Fatalf("bound a busy port: %v", err)
	}
	if PortBusy(nil) || PortBusy(net.ErrClosed) {
		t.Fatal("PortBusy of another error")
	}
}

func TestListenRefuses(t *testing.T) {
	for _, addr := range []netip.AddrPort{
		{},
		netip.MustParseAddrPort("192.0.2.1:0"), // nobody's (RFC 5737)
		netip.MustParseAddrPort("[fe80::1%nosuch]:0"),
	} {
		c, err := Listen(addr, Options{})
		if err == nil {
			c.Close()
			t.Errorf("%v: no error", addr)
		} else if PortBusy(err) {
			t.Errorf("%v: port busy", addr)
		}
	}
}

// handler is a Borrower made of a function.
type handler struct {
	batch  *Batch
	lent   bool
	handle func(*Batch)
}

func (h *handler) Borrow() *Batch {
	if h.lent {
		panic("borrowed twice")
	}
	h.lent = true
	return h.batch
}
func (h *handler) Return(*Batch)   { h.lent = false }
func (h *handler) Handle(b *Batch) { h.handle(b) }

// serve runs Serve and returns a channel that gets what it returns.
func serve(c *Conn, handle func(*Batch)) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(&handler{batch: NewBatch(4), handle: handle}) }()
	return ended
}

// await receives from a channel, but not for ever.
func await[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case v := <-from:
		return v
	case <-ctx.Done():
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func TestServe(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		server, client := b.open(t, "127.0.0.1:0", Options{}), b.open(t, "127.0.0.1:0", Options{})
		got := make(chan string, 32)
		// Before Serve starts, so that there is no wake-up for these.
		send(t, client, packet(server.LocalAddr(), []byte("early")), packet(server.LocalAddr(), nil))
		ended := serve(server, func(b *Batch) {
			for i := range b.Packets {
				got <- string(b.Packets[i].Data())
			}
		})
		for _, want := range []string{"early", ""} {
			if s := await(t, "an early packet", got); s != want {
				t.Fatalf("got %q, want %q", s, want)
			}
		}
		for i := range 100 {
			want := fmt.Sprint(i)
			send(t, client, packet(server.LocalAddr(), []byte(want)))
			if s := await(t, "packet "+want, got); s != want {
				t.Fatalf("got %q, want %q", s, want)
			}
		}
		for i := range 20 { // several batches at once
			send(t, client, packet(server.LocalAddr(), []byte(fmt.Sprint(i))))
		}
		for i := range 20 {
			if s := await(t, "a packet of many", got); s != fmt.Sprint(i) {
				t.Fatalf("got %q, want %d", s, i)
			}
		}
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		if err := await(t, "the end of Serve", ended); err != net.ErrClosed {
			t.Fatalf("Serve: %v", err)
		}
	})
}

func TestServeReturnsWhatItBorrows(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		server, client := b.open(t, "127.0.0.1:0", Options{}), b.open(t, "127.0.0.1:0", Options{})
		h := &handler{batch: NewBatch(1)}
		h.handle = func(*Batch) { server.Close() }
		send(t, client, packet(server.LocalAddr(), nil), packet(server.LocalAddr(), nil))
		if err := server.Serve(h); err != net.ErrClosed {
			t.Fatal(err)
		}
		if h.lent {
			t.Fatal("a batch was not given back")
		}
	})
}

// TestCloseDoesNotWait closes a socket whose handler is stuck, and takes its address.
func TestCloseDoesNotWait(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		for _, o := range []Options{{}, {Shared: true}} {
			server, client := b.open(t, "127.0.0.1:0", o), b.open(t, "127.0.0.1:0", Options{})
			entered, release := make(chan struct{}), make(chan struct{})
			var late error
			ended := serve(server, func(*Batch) {
				close(entered)
				<-release
				_, late = server.WriteBatch(NewWriter(), []Packet{packet(client.LocalAddr(), nil)})
			})
			send(t, client, packet(server.LocalAddr(), nil))
			await(t, "the handler", entered)
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			next := b.open(t, server.LocalAddr().String(), Options{}) // the address is free
			close(release)
			if err := await(t, "the end of Serve", ended); err != net.ErrClosed {
				t.Fatalf("Serve: %v", err)
			}
			if late != net.ErrClosed {
				t.Fatalf("a write after Close: %v", late)
			}
			send(t, next, packet(client.LocalAddr(), []byte("alive")))
			if got := read(t, client, NewBatch(1), 1)[0]; string(got.Data()) != "alive" {
				t.Fatalf("got %q", got.Data())
			}
		}
	})
}

func TestCloseEndsReadBatch(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		for _, o := range []Options{{}, {Shared: true}} {
			server, client := b.open(t, "127.0.0.1:0", o), b.open(t, "127.0.0.1:0", Options{})
			reading, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				batch := NewBatch(2)
				for {
					if err := server.ReadBatch(batch); err != nil {
						ended <- err
						return
					}
					close(reading)
				}
			}()
			send(t, client, packet(server.LocalAddr(), nil))
			await(t, "the reader", reading)
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			if err := await(t, "the end of ReadBatch", ended); err != net.ErrClosed {
				t.Fatalf("ReadBatch: %v", err)
			}
		}
	})
}

func TestClosed(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		for _, o := range []Options{{}, {Shared: true}} {
			c, other := b.open(t, "127.0.0.1:0", o), b.open(t, "127.0.0.1:0", Options{})
			for range 3 {
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}
			b.open(t, c.LocalAddr().String(), Options{}) // the address is free
			p := packet(other.LocalAddr(), []byte("late"))
			if n, err := c.WriteBatch(NewWriter(), []Packet{p, p}); n != 0 || err != net.ErrClosed {
				t.Errorf("WriteBatch: %d, %v", n, err)
			}
			if err := c.WriteDontFragment(NewWriter(), &p); err != net.ErrClosed && err != errors.ErrUnsupported {
				t.Errorf("WriteDontFragment: %v", err)
			}
			if err := c.ReadBatch(NewBatch(1)); err != net.ErrClosed {
				t.Errorf("ReadBatch: %v", err)
			}
			if err := c.Serve(&handler{batch: NewBatch(1)}); err != net.ErrClosed {
				t.Errorf("Serve: %v", err)
			}
		}
	})
}

func TestWriteNothing(t *testing.T) {
	forBackends(t, func(t *testing.T, b backend) {
		if n, err := b.open(t, "127.0.0.1:0", Options{}).WriteBatch(NewWriter(), nil); n != 0 || err != nil {
			t.Fatal(n, err)
		}
	})
}

func TestNewBatchBounds(t *testing.T) {
	for n, want := range map[int]int{-1: 1, 0: 1, 3: 3, 5000: maxBatch} {
		if got := len(NewBatch(n).slots); got != want {
			t.Errorf("NewBatch(%d) has %d slots, want %d", n, got, want)
		}
	}
}
