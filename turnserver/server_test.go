package turnserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/control"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/stream"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v4"
)

// patience bounds every wait of these tests; nothing that works comes near it.
const patience = 20 * time.Second

// running is a server that serves for the length of a test.
type running struct {
	*Server
	t       testing.TB
	secrets *credentials.Secrets
	stop    context.CancelFunc
	ended   chan error
}

// start runs a server on loopback that relays to loopback; change adapts it.
func start(t testing.TB, change func(*Config)) *running {
	t.Helper()
	secrets, err := credentials.NewSecrets(credentials.RandomSecret())
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Listen:      []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Relays:      []relay.Address{{Local: loopback4, Advertised: loopback4}},
		Credentials: secrets,
		Policy:      control.PolicyConfig{Profile: control.ProfilePublic, AllowLoopback: true},
		Streams:     stream.DefaultLimits(),
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Server: s, t: t, secrets: c.Credentials, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }()
	t.Cleanup(func() { r.wait() })
	return r
}

var loopback4 = netip.MustParseAddr("127.0.0.1")

// wait stops the server and waits until Run has returned.
func (r *running) wait() {
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("Run: %v", err)
		}
		r.ended <- nil
	case <-time.After(patience):
		r.t.Error("the server did not stop")
	}
}

func (r *running) udp() string { return r.Addrs().UDP[0].String() }
func (r *running) tcp() string { return r.Addrs().TCP[0].String() }

// login mints a credential.
func (r *running) login(user string) credentials.Credential {
	r.t.Helper()
	c, err := r.secrets.Mint(user, time.Hour, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// allocate makes an allocation with pion's client, over UDP or TCP.
func (r *running) allocate(network, user string) (client *turn.Client, relayed net.PacketConn) {
	r.t.Helper()
	conn := r.dial(network)
	login := r.login(user)
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: r.udp(),
		Username:       login.Username, Password: login.Password, Realm: "hairpin",
		Conn: conn,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { client.Close(); conn.Close() })
	if err := client.Listen(); err != nil {
		r.t.Fatal(err)
	}
	relayed, err = client.Allocate()
	if err != nil {
		r.t.Fatal(err)
	}
	_ = relayed.SetDeadline(time.Now().Add(patience))
	return client, relayed
}

func (r *running) dial(network string) net.PacketConn {
	r.t.Helper()
	if network == "tcp" {
		conn, err := net.Dial("tcp", r.tcp())
		if err != nil {
			r.t.Fatal(err)
		}
		return turn.NewSTUNConn(conn)
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// echo is a peer that sends back what it gets.
func echo(t testing.TB, network, addr string) net.Addr {
	t.Helper()
	conn, err := net.ListenPacket(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 70_000)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	return conn.LocalAddr()
}

// exchange sends data and waits until it comes back.
func exchange(t testing.TB, conn net.PacketConn, to net.Addr, data []byte) {
	t.Helper()
	if _, err := conn.WriteTo(data, to); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 70_000)
	n, from, err := conn.ReadFrom(buf)
	if err != nil || from.String() != to.String() || !bytes.Equal(buf[:n], data) {
		t.Fatalf("sent %d bytes to %v, got %d from %v: %v", len(data), to, n, from, err)
	}
}

func TestPionClientReachesAPeer(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			r := start(t, nil)
			peer := echo(t, "udp4", "127.0.0.1:0")
			_, relayed := r.allocate(network, "alice")
			for size := 5; size < 1400; size += 133 { // its client waits for 9 bytes of a stream before it looks at a frame
				exchange(t, relayed, peer, bytes.Repeat([]byte{byte(size)}, size))
			}
			transport := map[string]relay.Transport{"udp": relay.UDP, "tcp": relay.TCP}[network]
			waitFor(t, "the counts, which are published after the packets went", func() bool {
				counts := r.Stats().Relay.Relayed[transport]
				return counts[relay.ToPeer].Packets == 11 && counts[relay.ToPeer] == counts[relay.ToClient]
			})
		})
	}
}

// Two clients of one server meet without a socket in between: what their relay
// sockets would have to send is forbidden by the policy of this test.
func TestPionClientsMeetByTheHairpinTurn(t *testing.T) {
	for _, networks := range [][2]string{{"udp", "udp"}, {"udp", "tcp"}, {"tcp", "tcp"}} {
		t.Run(networks[0]+" and "+networks[1], func(t *testing.T) {
			r := start(t, func(c *Config) { c.Policy.AllowLoopback = false })
			aClient, a := r.allocate(networks[0], "alice")
			bClient, b := r.allocate(networks[1], "bob")
			permit(t, aClient, b.LocalAddr())
			permit(t, bClient, a.LocalAddr())
			buf := make([]byte, 2000)
			for range 20 {
				want := []byte("through the server and straight back")
				if _, err := a.WriteTo(want, b.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				n, from, err := b.ReadFrom(buf)
				if err != nil || from.String() != a.LocalAddr().String() || !bytes.Equal(buf[:n], want) {
					t.Fatalf("got %q from %v: %v", buf[:n], from, err)
				}
				a, b = b, a
			}
		})
	}
}

func permit(t testing.TB, c *turn.Client, peer net.Addr) {
	t.Helper()
	if err := c.CreatePermission(peer); err != nil {
		t.Fatal(err)
	}
}

func TestIPv6(t *testing.T) {
	needIPv6(t)
	r := start(t, func(c *Config) {
		c.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::]:0")}
		c.Relays = []relay.Address{{Local: loopback6, Advertised: loopback6}}
	})
	q := r.raw("udp6", netip.AddrPortFrom(loopback6, r.Addrs().UDP[0].Port()).String())
	q.login("alice")
	reply := q.must(stun.MethodAllocate, requestUDP, stun.RawAttribute{Type: stun.AttrRequestedAddressFamily, Value: []byte{2, 0, 0, 0}})
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(reply, stun.AttrXORRelayedAddress); err != nil || relayed.IP.To4() != nil {
		t.Fatalf("L12: relayed address %v (%v)", relayed, err)
	}
	peer := echo(t, "udp6", "[::1]:0").(*net.UDPAddr)
	to := stun.XORMappedAddress{IP: peer.IP, Port: peer.Port}
	q.must(stun.MethodChannelBind, stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, 0, 0, 0}},
		setter(func(m *stun.Message) error { return to.AddToAs(m, stun.AttrXORPeerAddress) }))
	frame := []byte{0x40, 0, 0, 4, 's', 'i', 'x', '!'}
	q.send(frame)
	if got := q.receive(); !bytes.Equal(got, frame) {
		t.Errorf("got %q", got)
	}
}

var loopback6 = netip.IPv6Loopback()

// needIPv6 skips a test on a machine without IPv6.
func needIPv6(t testing.TB) {
	t.Helper()
	conn, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		skipOrFail(t, "no IPv6 on loopback: "+err.Error())
	}
	conn.Close()
}

// skipOrFail skips a test that lacks something, unless everything is to be run.
func skipOrFail(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("HAIRPIN_TEST_FULL") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func TestRepliesLeaveFromWhereTheyWereAsked(t *testing.T) { // S3, S4
	r := start(t, func(c *Config) { c.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::]:0")} })
	port := r.Addrs().UDP[0].Port()
	for _, at := range []string{"127.0.0.1", "127.0.0.2", "127.9.9.9"} {
		q := r.raw("udp4", netip.AddrPortFrom(netip.MustParseAddr(at), port).String())
		reply := q.request(stun.MethodBinding) // a connected socket takes replies from that address only
		var mapped stun.XORMappedAddress
		if err := mapped.GetFrom(reply); err != nil || mapped.IP.To4() == nil || len(mapped.IP) == 0 {
			t.Fatalf("%s: mapped address %v: %v", at, mapped, err)
		}
		if value, _ := reply.Get(stun.AttrXORMappedAddress); len(value) != 8 {
			t.Errorf("S3: the mapped address has %d bytes, an IPv4 one has 8", len(value))
		}
	}
}

func TestStreamFraming(t *testing.T) {
	r := start(t, nil)
	bind, _ := stun.Build(stun.TransactionID, stun.BindingRequest)
	t.Run("S17 two in one segment", func(t *testing.T) {
		q := r.raw("tcp", r.tcp())
		q.send(append(bytes.Clone(bind.Raw), bind.Raw...))
		for range 2 {
			if got := q.receive(); !bytes.Equal(got[4:20], bind.Raw[4:20]) {
				t.Error("another transaction was answered")
			}
		}
	})
	t.Run("S17 one byte at a time", func(t *testing.T) {
		q := r.raw("tcp", r.tcp())
		for i := range bind.Raw {
			q.send(bind.Raw[i : i+1])
		}
		q.receive()
	})
	t.Run("S18 garbage", func(t *testing.T) {
		q := r.raw("tcp", r.tcp())
		q.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		if _, err := io.ReadAll(q.conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection stays open")
		}
	})
	t.Run("L26 C10", func(t *testing.T) {
		peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		_ = peer.SetDeadline(time.Now().Add(patience))
		q := r.raw("tcp", r.tcp())
		q.login("alice")
		q.must(stun.MethodAllocate, requestUDP)
		q.bindChannel(0x4000, peer.LocalAddr().(*net.UDPAddr))
		for size := range 5 {
			q.send(append([]byte{0x40, 0, 0, byte(size)}, "abcd"[:size]...)) // and then silence
			buf := make([]byte, 10)
			n, _, err := peer.ReadFrom(buf)
			if err != nil || string(buf[:n]) != "abcd"[:size] {
				t.Fatalf("C10: %d bytes arrived as %q: %v", size, buf[:n], err)
			}
			q.send(make([]byte, (4-size%4)%4)) // the padding follows
		}
		q.conn.Close()
		waitFor(t, "the allocation to go with its connection", func() bool { return r.table.Len() == 0 })
	})
}

// waitFor waits for a condition that another goroutine brings about.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func TestRunDrains(t *testing.T) {
	r := start(t, func(c *Config) { c.DrainTimeout = patience })
	client, relayed := r.allocate("udp", "alice")
	peer := echo(t, "udp4", "127.0.0.1:0")
	exchange(t, relayed, peer, []byte("before"))
	r.stop()
	waitFor(t, "draining", r.Draining)
	exchange(t, relayed, peer, []byte("a live allocation goes on"))
	q := r.raw("udp4", r.udp())
	q.login("bob")
	if reply := q.request(stun.MethodAllocate, requestUDP); errorCode(reply) != 508 {
		t.Errorf("a draining server answered %v", reply)
	}
	_ = client
	if err := relayed.Close(); err != nil { // Refresh with lifetime 0
		t.Fatal(err)
	}
	r.wait()
}

func TestRunStopsAtTheDrainTimeout(t *testing.T) {
	r := start(t, func(c *Config) { c.DrainTimeout = 10 * time.Millisecond })
	_, relayed := r.allocate("udp", "alice")
	defer relayed.Close()
	r.wait()
}

func TestNothingIsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	r := start(t, nil)
	for _, network := range []string{"udp", "tcp", "udp"} {
		q := r.raw(map[string]string{"udp": "udp4", "tcp": "tcp"}[network], r.udp())
		q.login("alice")
		q.must(stun.MethodAllocate, requestUDP)
	}
	r.wait()
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	if _, err := New(Config{}); err == nil {
		t.Error("a server without addresses was made")
	}
}

func TestSetPolicyStopsTraffic(t *testing.T) { // SEC-05
	r := start(t, nil)
	peer := echo(t, "udp4", "127.0.0.2:0")
	q := r.raw("udp4", r.udp())
	q.login("alice")
	q.must(stun.MethodAllocate, requestUDP)
	q.bindChannel(0x4000, peer.(*net.UDPAddr))
	frame := []byte{0x40, 0, 0, 4, 'a', 'b', 'c', 'd'}
	q.send(frame)
	q.receive()
	deny := control.PolicyConfig{
		Profile: control.ProfilePublic, AllowLoopback: true,
		Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
	}
	if err := r.SetPolicy(deny); err != nil {
		t.Fatal(err)
	}
	q.send(frame)
	waitFor(t, "the packet to be refused", func() bool {
		dropped := r.Stats().Relay.Dropped
		return dropped[relay.DropNoChannel]+dropped[relay.DropNoPermission] > 0
	})
	if reply := q.request(stun.MethodCreatePermission, peerAddress(peer.(*net.UDPAddr))); errorCode(reply) != 403 {
		t.Errorf("a denied peer got %v", reply)
	}
}

func TestSetPolicyKeepsOwnAddresses(t *testing.T) { // SEC-08
	r := start(t, nil)
	database := netip.MustParseAddr("8.8.4.4")
	if err := r.SetPolicy(control.PolicyConfig{Own: []netip.Addr{database}}); err != nil {
		t.Fatal(err)
	}
	if got := r.policy.Load().Check(database); got != control.PeerDeniedOwn {
		t.Errorf("an address of the configuration is %v as a peer", got)
	}
}

func TestCloseEndsRunInOrder(t *testing.T) {
	r := start(t, nil)
	r.Close()
	r.wait()
}

// A server that cannot start must not have taken packets from the one that runs.
func TestSecondServerOfAnAddressIsRefused(t *testing.T) {
	r := start(t, nil)
	_, err := New(Config{
		Listen: r.Addrs().UDP, Credentials: r.secrets,
		Relays: []relay.Address{{Local: loopback4, Advertised: loopback4}},
	})
	if err == nil {
		t.Fatal("two servers have one address")
	}
	for range 20 { // from as many ports, which the kernel would spread
		r.raw("udp4", r.udp()).request(stun.MethodBinding)
	}
}

func TestLineBudget(t *testing.T) {
	var b lineBudget
	log := &syncBuffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	now, written := time.Unix(1000, 0), 0
	for range 3 * linesPerSecond {
		if b.allow(now, logger) {
			written++
		}
	}
	if written != linesPerSecond || log.String() != "" {
		t.Errorf("%d lines in a second, and %q", written, log.String())
	}
	if !b.allow(now.Add(time.Second), logger) || !strings.Contains(log.String(), "lines=200") {
		t.Errorf("the next second begins with %q", log.String())
	}
}

func TestLogsAreQuiet(t *testing.T) { // SEC-22, SEC-38, SEC-40
	log := &syncBuffer{}
	r := start(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	q := r.raw("udp4", r.udp())
	for range 100 {
		q.request(stun.MethodAllocate, requestUDP)
		q.request(stun.MethodBinding)
	}
	if got := log.String(); got != "" {
		t.Errorf("unauthenticated requests were logged:\n%s", got)
	}
	q.login("alice")
	q.must(stun.MethodAllocate, requestUDP)
	for range 100 {
		if code := errorCode(q.request(stun.MethodAllocate, requestUDP)); code != 437 {
			t.Fatalf("a second allocation got %d", code)
		}
	}
	if lines := strings.Count(log.String(), "allocation-exists"); lines == 0 || lines > 5 {
		t.Errorf("100 refusals made %d lines", lines)
	}
	if strings.Contains(log.String(), q.password) {
		t.Error("a password is in the log")
	}
}

// A connection that gives its allocation back is a stranger's again.
func TestStreamWithoutItsAllocationEnds(t *testing.T) {
	r := start(t, func(c *Config) { c.Streams.Unauthenticated = 200 * time.Millisecond })
	q := r.raw("tcp", r.tcp())
	q.login("alice")
	q.must(stun.MethodAllocate, requestUDP)
	q.must(stun.MethodRefresh, stun.RawAttribute{Type: stun.AttrLifetime, Value: make([]byte, 4)})
	if _, err := io.ReadAll(q.conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
}
