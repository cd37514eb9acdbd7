package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// counting is the system's kernel, counting the calls that send.
type counting struct {
	system
	calls atomic.Int64
}

func (k *counting) sendmmsg(fd int, messages []message) (int, unix.Errno) {
	k.calls.Add(1)
	return k.system.sendmmsg(fd, messages)
}

func (k *counting) send(fd int, m *message) unix.Errno {
	k.calls.Add(1)
	return k.system.send(fd, m)
}

// openCounting binds a Conn whose sends are counted.
func openCounting(t *testing.T, addr string, o Options) (*Conn, *counting) {
	t.Helper()
	c, k := backends[0].open(t, addr, o), new(counting)
	c.socket.(*linuxSocket).kernel = k
	return c, k
}

// TestGSOEngages sends a full run in one system call and reads it as single datagrams.
func TestGSOEngages(t *testing.T) {
	tests := []struct{ listen, from, to string }{
		{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"[::1]:0", "[::1]:0", "::1"},
		{"127.0.0.1:0", "[::]:0", "127.0.0.1"}, // IPv4 from a dual-stack socket
	}
	for _, test := range tests {
		for _, local := range []netip.Addr{{}, netip.MustParseAddr(test.to)} {
			t.Run(test.from+" "+test.to+" "+local.String(), func(t *testing.T) {
				server := backends[0].open(t, test.listen, Options{})
				client, k := openCounting(t, test.from, Options{})
				skipUnless(t, client.Capabilities().GSO, "the kernel has no UDP_SEGMENT")
				var ps []Packet
				for i := range maxEntries {
					p := packet(loopback(server, test.to), pattern(1000, i))
					p.Local = local
					ps = append(ps, p)
				}
				ps[maxEntries-1].End = 500
				send(t, client, ps...)
				if n := k.calls.Load(); n != 1 {
					t.Fatalf("%d system calls", n)
				}
				if !client.Capabilities().GSO {
					t.Fatal("the kernel refused the run")
				}
				for i, got := range read(t, server, NewBatch(maxEntries), maxEntries) {
					if !bytes.Equal(got.Data(), ps[i].Data()) {
						t.Fatalf("packet %d: got %d bytes, want %d", i, len(got.Data()), ps[i].End)
					}
				}
			})
		}
	}
}

// TestDFBit looks at the IP headers as they arrive.
func TestDFBit(t *testing.T) {
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	skipUnless(t, err == nil, "reading IP headers needs CAP_NET_RAW")
	defer unix.Close(raw)
	if err := unix.SetsockoptTimeval(raw, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"127.0.0.1:0", "[::]:0", "0.0.0.0:0"} {
		server := backends[0].open(t, "127.0.0.1:0", Options{})
		c := backends[0].open(t, listen, Options{PacketInfo: true})
		w := NewWriter()
		p := packet(server.LocalAddr(), []byte("whole"))
		empty, long := packet(server.LocalAddr(), nil), packet(server.LocalAddr(), make([]byte, 99))
		ordinary := func() { send(t, c, p, empty, p, long) } // no run, which would arrive as one

		ordinary()
		if err := c.WriteDontFragment(w, &p); err != nil {
			t.Fatal(err)
		}
		p.Local = netip.MustParseAddr("127.0.0.1")
		if err := c.WriteDontFragment(w, &p); err != nil {
			t.Fatal(err)
		}
		ordinary()

		got := make([]bool, 10)
		for i := range got {
			got[i] = readDF(t, raw, c.LocalAddr().Port())
		}
		for i, df := range got {
			if want := i == 4 || i == 5; df != want {
				t.Fatalf("from %s: DF of the packets: %v; want it in the fifth and sixth", listen, got)
			}
		}
	}
}

// readDF returns the DF bit of the next packet from a port.
func readDF(t *testing.T, raw int, port uint16) bool {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(raw, buf, 0)
		if err != nil {
			t.Fatal(err)
		}
		header := int(buf[0]&0xf) * 4
		if n >= header+8 && binary.BigEndian.Uint16(buf[header:]) == port {
			return buf[6]&0x40 != 0
		}
	}
}

// TestWholeIPv6 sends what is longer than the loopback interface takes in one piece:
// it goes in fragments, or not at all if it may not be fragmented.
func TestWholeIPv6(t *testing.T) {
	server, client := backends[0].open(t, "[::1]:0", Options{}), backends[0].open(t, "[::1]:0", Options{})
	w := NewWriter()
	long := packet(server.LocalAddr(), make([]byte, MaxPayload))
	long.Local = netip.MustParseAddr("::1")
	short := packet(server.LocalAddr(), []byte("short"))
	if err := client.WriteDontFragment(w, &long); err != unix.EMSGSIZE {
		t.Fatalf("%d bytes in one piece: %v", MaxPayload, err)
	}
	if err := client.WriteDontFragment(w, &short); err != nil {
		t.Fatal(err)
	}
	send(t, client, long)
	got := read(t, server, NewBatch(2), 2)
	if string(got[0].Data()) != "short" || len(got[1].Data()) != MaxPayload {
		t.Fatalf("got %d and %d bytes", len(got[0].Data()), len(got[1].Data()))
	}
}

// TestNarrowPath uses an interface of the least MTU IPv6 allows, 1280 bytes.
func TestNarrowPath(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			enterNamespace(t, 1280)
			testNarrowPath(t, addr)
		})
	}
}

// TestNoRoute sends to where nothing leads, between packets that can go.
func TestNoRoute(t *testing.T) {
	enterNamespace(t, 1280)
	c := backends[0].open(t, "0.0.0.0:0", Options{})
	nowhere := packet(netip.MustParseAddrPort("192.0.2.1:9"), []byte("lost"))
	home := packet(loopback(c, "127.0.0.1"), []byte("home"))
	sent, err := c.WriteBatch(NewWriter(), []Packet{home, nowhere, nowhere, home})
	if sent != 2 || err != unix.ENETUNREACH {
		t.Fatal(sent, err)
	}
	read(t, c, NewBatch(2), 2)
}

func testNarrowPath(t *testing.T, addr string) {
	server := backends[0].open(t, addr, Options{})
	client, k := openCounting(t, addr, Options{})
	w := NewWriter()
	fits, long := packet(server.LocalAddr(), make([]byte, 1232)), packet(server.LocalAddr(), pattern(1400, 1))
	if err := client.WriteDontFragment(w, &long); err != unix.EMSGSIZE {
		t.Fatalf("1400 bytes in one piece: %v", err)
	}
	if err := client.WriteDontFragment(w, &fits); err != nil {
		t.Fatalf("1232 bytes in one piece: %v", err)
	}
	if got := read(t, server, NewBatch(1), 1)[0]; len(got.Data()) != 1232 {
		t.Fatalf("got %d bytes", len(got.Data()))
	}

	k.calls.Store(0)
	send(t, client, long, long, long, long)
	for _, got := range read(t, server, NewBatch(8), 4) {
		if !bytes.Equal(got.Data(), long.Data()) {
			t.Fatalf("got %d bytes", len(got.Data()))
		}
	}
	if !client.Capabilities().GSO {
		t.Fatal("a narrow path ended GSO for every path")
	}
	if n := k.calls.Load(); n != 5 { // the run, refused, and its four packets
		t.Fatalf("%d system calls", n)
	}
}

// enterNamespace moves the rest of the test to a network of its own, with nothing but
// a loopback interface. The thread ends with the test.
func enterNamespace(t *testing.T, mtu uint32) {
	t.Helper()
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	skipUnless(t, !errors.Is(err, unix.EPERM), "a network namespace needs root")
	if err == nil {
		err = setLoopback(mtu)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func setLoopback(mtu uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint32(mtu)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, r); err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

// TestLateWrites closes sockets under their writers, while others take the descriptors
// that become free: nothing may leave from those.
func TestLateWrites(t *testing.T) {
	for _, o := range []Options{{}, {Shared: true}} {
		t.Run("shared "+strconv.FormatBool(o.Shared), func(t *testing.T) {
			for range 20 {
				lateWrites(t, o)
			}
		})
	}
}

func lateWrites(t *testing.T, o Options) {
	sink := backends[0].open(t, "127.0.0.1:0", Options{})
	c := backends[0].open(t, "127.0.0.1:0", o)
	started := make(chan struct{}, 4)
	var writing sync.WaitGroup
	for i := range cap(started) {
		writing.Go(func() {
			w := NewWriter()
			p := packet(sink.LocalAddr(), []byte("x"))
			write := func() (err error) { _, err = c.WriteBatch(w, []Packet{p, p}); return err }
			if i == 0 && !o.Shared {
				write = func() error { return c.WriteDontFragment(w, &p) }
			}
			err := write()
			started <- struct{}{}
			for !errors.Is(err, net.ErrClosed) {
				err = write()
			}
		})
	}
	for range cap(started) {
		await(t, "a writer", started)
	}
	c.Close()
	var heirs []*Conn
	for range 4 {
		heirs = append(heirs, backends[0].open(t, "127.0.0.1:0", Options{}))
	}
	writing.Wait()
	batch := NewBatch(64)
	for s := sink.socket.(*linuxSocket); s.receive(batch) > 0; {
		for _, p := range batch.Packets {
			for _, heir := range heirs {
				if p.Remote == heir.LocalAddr() && p.Remote != c.LocalAddr() {
					t.Fatal("a packet left from another socket")
				}
			}
		}
	}
	for _, heir := range heirs {
		heir.Close()
	}
	sink.Close()
}

// TestDescriptorsAreFreed closes sockets with and without a Serve in them.
func TestDescriptorsAreFreed(t *testing.T) {
	c, client := backends[0].open(t, "127.0.0.1:0", Options{}), backends[0].open(t, "127.0.0.1:0", Options{})
	send(t, client, packet(c.LocalAddr(), nil))
	if err := await(t, "the end of Serve", serve(c, func(*Batch) { c.Close() })); err != net.ErrClosed {
		t.Fatal(err)
	}
	client.Close()
	for _, c := range []*Conn{c, client} {
		if err := c.socket.(*linuxSocket).file.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("the descriptor was still open: %v", err)
		}
	}
}

// TestSharedNumberStaysTaken: a shared socket's writers are not counted, so one of them
// may use its descriptor's number at any time until the collector says otherwise.
func TestSharedNumberStaysTaken(t *testing.T) {
	c := backends[0].open(t, "127.0.0.1:0", Options{Shared: true})
	c.Close()
	fd := c.socket.(*linuxSocket).fd
	for range 20 {
		if heir := backends[0].open(t, "127.0.0.1:0", Options{}).socket.(*linuxSocket); heir.fd == fd {
			t.Fatalf("descriptor %d was given to another socket", fd)
		}
	}
	if err := unix.Sendto(fd, nil, 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		t.Fatal("the descriptor still sends")
	}
	runtime.KeepAlive(c)
}

// TestSharedDescriptorsAreCollected drops closed shared sockets.
func TestSharedDescriptorsAreCollected(t *testing.T) {
	const n = 50
	before := descriptors(t)
	for range n {
		c, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for end := time.Now().Add(patience); descriptors(t) >= before+n; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, %d before", descriptors(t), before)
		}
		runtime.GC() // which starts the finalizers, but does not wait for them
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestNoIPv6 has the wildcard mean IPv4 on a machine without IPv6.
func TestNoIPv6(t *testing.T) {
	without := func(domain, kind, protocol int) (int, error) {
		if domain == unix.AF_INET6 {
			return -1, unix.EAFNOSUPPORT
		}
		return unix.Socket(domain, kind, protocol)
	}
	s, err := open(without, netip.MustParseAddrPort("[::]:0"), Options{PacketInfo: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if s.local.Addr() != netip.IPv4Unspecified() || s.local.Port() == 0 {
		t.Fatalf("bound to %v", s.local)
	}
	if s, err := open(without, netip.MustParseAddrPort("[::1]:0"), Options{}); !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Fatalf("bound to an IPv6 address: %v, %v", s, err)
	}
}

func TestDualStackTakesNoIPv4Port(t *testing.T) {
	// A socket on an IPv6 address leaves the same port of IPv4 alone.
	six := backends[0].open(t, "[::1]:0", Options{})
	four := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), six.LocalAddr().Port())
	if c, err := Listen(four, Options{}); err == nil {
		c.Close()
	} else if !PortBusy(err) { // another program may have it
		t.Fatal(err)
	}
	if v, err := unix.GetsockoptInt(six.socket.(*linuxSocket).fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); v != 1 || err != nil {
		t.Fatal(v, err)
	}
}

func TestBufferSizes(t *testing.T) {
	c := backends[0].open(t, "127.0.0.1:0", Options{ReceiveBuffer: 50_000, SendBuffer: 60_000})
	for option, want := range map[int]int{unix.SO_RCVBUF: 50_000, unix.SO_SNDBUF: 60_000} {
		got, err := unix.GetsockoptInt(c.socket.(*linuxSocket).fd, unix.SOL_SOCKET, option)
		if err != nil || got != 2*want { // the kernel doubles it, for its bookkeeping
			t.Errorf("option %d: %d, %v; want %d", option, got, err, 2*want)
		}
	}
}

// skipUnless skips the test where something is missing, or fails it if the run is
// meant to leave nothing out.
func skipUnless(t testing.TB, has bool, reason string) {
	t.Helper()
	switch {
	case has:
	case os.Getenv("HAIRPIN_TEST_FULL") == "1":
		t.Fatal(reason)
	default:
		t.Skip(reason)
	}
}
