package turnserver

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/control"
	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// rawFrom is raw from another address of this host.
func (r *running) rawFrom(from, network, addr string) *raw {
	r.t.Helper()
	var local net.Addr = &net.UDPAddr{IP: net.ParseIP(from)}
	if network[0] == 't' {
		local = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := (&net.Dialer{LocalAddr: local}).Dial(network, addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.rawOn(conn)
}

// peerSocket opens a socket on an address of this host and closes it after the test.
func peerSocket(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// sendTo sends data to a peer by a Send indication.
func (q *raw) sendTo(peer *net.UDPAddr, data string) {
	q.r.t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		peerAddress(peer), stun.RawAttribute{Type: stun.AttrData, Value: []byte(data)})
	if err != nil {
		q.r.t.Fatal(err)
	}
	q.send(m.Raw)
}

// What third parties send to a relayed transport address reaches nobody.
func TestAttackRelayPortOfOthers(t *testing.T) { // SEC-09
	r := start(t, nil)
	q := r.raw("udp4", r.udp())
	q.login("alice")
	relayed := q.allocateRelayed()
	friend, stranger := peerSocket(t, "127.0.0.2:0"), peerSocket(t, "127.0.0.3:0")
	send := func(from *net.UDPConn, data string) {
		if _, err := from.WriteTo([]byte(data), relayed); err != nil {
			t.Fatal(err)
		}
	}
	send(friend, "before anything is permitted")
	waitFor(t, "it to be dropped", func() bool { return r.Stats().Relay.Dropped[relay.DropNoPermission] == 1 })
	friendAt := friend.LocalAddr().(*net.UDPAddr)
	q.must(stun.MethodCreatePermission, peerAddress(friendAt))
	for range 10 {
		send(stranger, "psst")
	}
	send(friend, "hello")
	// Datagrams arrive at the relay socket in order, so that the stranger's came first.
	if got := q.receive(); !bytes.Contains(got, []byte("hello")) {
		t.Errorf("the client got %q", got)
	}
	q.bindChannel(0x4000, friendAt)
	send(stranger, "psst")
	send(friend, "hello again")
	if got := q.receive(); string(got[4:]) != "hello again" {
		t.Errorf("the client got %q", got)
	}
	if dropped := r.Stats().Relay.Dropped[relay.DropNoPermission]; dropped != 12 {
		t.Errorf("%d packets were dropped for want of a permission, want 12", dropped)
	}
}

// A program of this host that listens on the relay address is no peer, unless the
// operator makes it one. The server's own ports never are.
func TestAttackOwnPorts(t *testing.T) { // SEC-04
	r := start(t, func(c *Config) {
		c.Policy.AllowLoopback = false
		c.MinPort, c.MaxPort = 62_000, 62_999 // above what the kernel gives to others
	})
	victim := peerSocket(t, "127.0.0.1:0")
	victimAt, server := victim.LocalAddr().(*net.UDPAddr), net.UDPAddrFromAddrPort(r.Addrs().UDP[0])
	q := r.raw("udp4", r.udp())
	q.login("alice")
	relayed := q.allocateRelayed()
	q.must(stun.MethodCreatePermission, peerAddress(relayed)) // of the address, as permissions have no port
	for _, at := range []*net.UDPAddr{server, victimAt} {
		if code := errorCode(q.request(stun.MethodChannelBind, channelNumber(0x4000), peerAddress(at))); code != 403 {
			t.Errorf("a channel to port %d got %d", at.Port, code)
		}
	}
	mightLend := *victimAt
	mightLend.Port = 62_999
	q.bindChannel(0x4000, &mightLend) // by the time of the next packet, a client might have it
	q.send([]byte{0x40, 0, 0, 4, 'e', 'v', 'i', 'l'})
	q.sendTo(victimAt, "evil")
	q.sendTo(server, "evil")
	q.sendTo(relayed, "to myself")
	if got := q.receive(); !bytes.Contains(got, []byte("to myself")) {
		t.Fatalf("the client got %q", got)
	}
	if dropped := r.Stats().Relay.Dropped[relay.DropPeerDenied]; dropped != 3 {
		t.Errorf("%d packets were dropped, want 3", dropped)
	}

	if err := r.SetPolicy(control.PolicyConfig{AllowLoopback: true}); err != nil {
		t.Fatal(err)
	}
	q.must(stun.MethodCreatePermission, peerAddress(victimAt))
	q.sendTo(server, "evil")
	q.sendTo(victimAt, "allowed")
	buf := make([]byte, 100)
	n, from, err := victim.ReadFrom(buf) // the first that it ever gets
	if err != nil || string(buf[:n]) != "allowed" || from.String() != relayed.String() {
		t.Errorf("the peer got %q from %v: %v", buf[:n], from, err)
	}
	q.fence()
	if dropped := r.Stats().Relay.Dropped[relay.DropPeerDenied]; dropped != 4 {
		t.Errorf("%d packets were dropped, want 4", dropped)
	}
}

// forbiddenPeers are what a relay is abused for: metadata services, private networks,
// and other ways to write them.
var forbiddenPeers = []string{
	"169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192",
	"127.0.0.1", "127.0.0.2", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
	"224.0.0.1", "255.255.255.255", "198.18.0.1",
	"fd00:ec2::254", "fd20:ce::254", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
	"::ffff:0.0.0.0", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fec0::1", "fe80::1", "ff02::1",
	"2001::1", "2001:db8::1",
}

func TestAttackForbiddenPeers(t *testing.T) { // SEC-01, SEC-02, SEC-03, SEC-07
	needIPv6(t)
	r := start(t, func(c *Config) {
		c.Policy = control.PolicyConfig{}
		c.Relays = []relay.Address{
			{Local: netip.MustParseAddr("127.0.0.99"), Advertised: netip.MustParseAddr("5.9.0.1")},
			{Local: loopback6, Advertised: netip.MustParseAddr("2a01:4f8::1")},
		}
	})
	clients := map[bool]*raw{}
	for _, is4 := range []bool{true, false} {
		q := r.raw("udp4", r.udp())
		q.login("mallory")
		family := byte(2)
		if is4 {
			family = 1
		}
		q.allocateRelayed(stun.RawAttribute{Type: stun.AttrRequestedAddressFamily, Value: []byte{family, 0, 0, 0}})
		clients[is4] = q
	}
	public := map[bool]stun.Setter{true: peerOnWire("8.8.8.8"), false: peerOnWire("2606:4700::1111")}
	for _, address := range forbiddenPeers {
		is4 := netip.MustParseAddr(address).Is4()
		for family, q := range clients {
			want := 443
			if family == is4 {
				want = 403
			}
			for name, reply := range map[string]*stun.Message{
				"CreatePermission":            q.request(stun.MethodCreatePermission, peerOnWire(address)),
				"CreatePermission behind one": q.request(stun.MethodCreatePermission, public[family], peerOnWire(address)),
				"ChannelBind":                 q.request(stun.MethodChannelBind, channelNumber(0x4000), peerOnWire(address)),
			} {
				if code := errorCode(reply); code != want {
					t.Errorf("%s %s got %d, want %d", name, address, code, want)
				}
			}
		}
	}
	checkNothingInstalled(t, r)
}

// peerOnWire is XOR-PEER-ADDRESS as a client may write it, an IPv4-mapped address as
// IPv6 included.
func peerOnWire(address string) stun.Setter {
	return setter(func(m *stun.Message) error {
		addr := netip.MustParseAddr(address)
		value := []byte{0, 1, 0x10, 0x92 ^ 0x12}
		if addr.Is6() {
			value[1] = 2
		}
		for i, b := range addr.AsSlice() {
			value = append(value, b^m.Raw[4+i]) // the cookie, then the transaction ID
		}
		m.Add(stun.AttrXORPeerAddress, value)
		return nil
	})
}

func checkNothingInstalled(t *testing.T, r *running) {
	t.Helper()
	now := time.Now()
	r.table.Each(func(a *relay.Allocation) bool {
		if p, f := a.Permissions(now), a.Flows(now); len(p)+len(f) > 0 {
			t.Errorf("permitted %v, bound %v", p, f)
		}
		return true
	})
}

// Reserving ports and giving them back leaves all of them to lend.
func TestAttackEvenPortCycles(t *testing.T) { // SEC-33
	const first, last = 62_000, 62_031 // above what the kernel gives to others
	own := netip.MustParseAddr("127.0.0.77")
	r, before := startAttacked(t, func(c *Config) {
		c.Relays = []relay.Address{{Local: own, Advertised: own}}
		c.MinPort, c.MaxPort = first, last
		c.Quota = control.Quota{Allocations: 1000}
	})
	available := r.fill()
	if available < (last-first+1)/2 {
		t.Fatalf("only %d of %d ports are free on this machine", available, last-first+1)
	}
	even := func(next byte) stun.Setter { return stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{next}} }
	a, b := r.raw("udp4", r.udp()), r.raw("udp4", r.udp())
	a.login("alice")
	b.login("alice")
	for range effort(10_000) / 2 {
		if port := a.allocateRelayed(even(0)).Port; port%2 != 0 {
			t.Fatalf("port %d is odd", port)
		}
		a.must(stun.MethodRefresh, lifetimeZero)
		reply := a.must(stun.MethodAllocate, requestUDP, even(0x80))
		token, err := reply.Get(stun.AttrReservationToken)
		if err != nil {
			t.Fatal(err)
		}
		b.allocateRelayed(stun.RawAttribute{Type: stun.AttrReservationToken, Value: token})
		a.must(stun.MethodRefresh, lifetimeZero)
		b.must(stun.MethodRefresh, lifetimeZero)
	}
	if now := r.fill(); now < available {
		t.Errorf("%d ports could be lent before and %d after", available, now)
	}
	r.checkUnharmed(before)
}

// fill allocates until no port is left, gives all back, and returns how many there were.
func (r *running) fill() (ports int) {
	r.t.Helper()
	var clients []*raw
	for {
		q := r.raw("udp4", r.udp())
		clients = append(clients, q)
		q.login("filler")
		reply := q.request(stun.MethodAllocate, requestUDP)
		if code := errorCode(reply); code == 508 {
			break
		} else if code != 0 {
			r.t.Fatalf("an allocation got %d", code)
		}
	}
	for _, q := range clients[:len(clients)-1] {
		q.must(stun.MethodRefresh, lifetimeZero)
	}
	for _, q := range clients {
		q.conn.Close()
	}
	return len(clients) - 1
}

// Close comes while everything is in motion, and leaves nothing.
func TestCloseUnderLoad(t *testing.T) {
	before := runtime.NumGoroutine()
	r := start(t, nil)
	all := make([]*raw, 40)
	for i := range all {
		all[i] = r.raw([]string{"udp4", "tcp4"}[i%2], r.udp())
		all[i].login([]string{"a", "b", "c", "d", "e"}[i%5])
		all[i].bindChannel(0x4000, all[i].allocateRelayed())
	}
	var clients sync.WaitGroup
	for _, q := range all {
		refresh := q.build(stun.MethodRefresh).Raw
		clients.Go(func() { q.hammer(refresh) })
	}
	waitFor(t, "packets to be relayed", func() bool {
		relayed := r.Stats().Relay.Relayed
		return relayed[relay.UDP][relay.ToClient].Packets > 1000 && relayed[relay.TCP][relay.ToClient].Packets > 1000
	})
	r.wait()
	clients.Wait()
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// hammer sends data to itself, asks for refreshes, and reads what comes, until the
// server is gone.
func (q *raw) hammer(refresh []byte) {
	frame, buf := []byte{0x40, 0, 0, 4, 'd', 'a', 't', 'a'}, make([]byte, 2000)
	for {
		for _, p := range [][]byte{frame, frame, refresh} {
			if _, err := q.conn.Write(p); err != nil {
				return // closed, or nobody listens any more
			}
		}
		_ = q.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := q.conn.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}
