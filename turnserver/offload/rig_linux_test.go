//go:build amd64 || arm64 || loong64 || riscv64

package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/limit"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// patience is how long anything may take. Only a failing test waits so long.
const patience = 20 * time.Second

// The networks of a rig: the client's and the peer's, with the server in both.
var (
	clientIP = [2]netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd01::2")}
	frontIP  = [2]netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd01::1")}
	backIP   = [2]netip.Addr{netip.MustParseAddr("10.2.0.1"), netip.MustParseAddr("fd02::1")}
	peerIP   = [2]netip.Addr{netip.MustParseAddr("10.2.0.2"), netip.MustParseAddr("fd02::2")}
)

const (
	four = 0
	six  = 1

	listenPort = 3478
)

// rig is a client, a server and a peer on veth links, or all on one loopback, and on the
// server a relay table with its sockets and the engine.
type rig struct {
	t                    *testing.T
	lab                  *labtest.Lab
	client, server, peer *labtest.Host
	front, back          string // the server's interfaces
	clientEnd, peerEnd   string // the other ends
	log                  *logBuffer
	engine               *Engine
	table                *relay.Table
	listen               [2]*udp.Conn
	relays               [2]netip.Addr
	loops                sync.WaitGroup
	nextPort             uint16
	limit                limit.Config
	epoch                time.Time
}

// newRig makes the hosts and links of a rig. The far ends of the links have programs that
// pass everything, without which a veth takes nothing from another program.
func newRig(t *testing.T, farPrograms bool) *rig {
	t.Helper()
	lab := labtest.New(t)
	r := &rig{t: t, lab: lab, client: lab.Host("client"), server: lab.Host("server"), peer: lab.Host("peer"), log: &logBuffer{}, nextPort: 50000}
	end := func(h *labtest.Host, ip [2]netip.Addr) labtest.End {
		return labtest.End{Host: h, Address: netip.PrefixFrom(ip[four], 24), More: []netip.Prefix{netip.PrefixFrom(ip[six], 64)}}
	}
	r.clientEnd, r.front = lab.Link(end(r.client, clientIP), end(r.server, frontIP))
	r.peerEnd, r.back = lab.Link(end(r.peer, peerIP), end(r.server, backIP))
	if farPrograms {
		r.passAll(r.client, r.clientEnd)
		r.passAll(r.peer, r.peerEnd)
	}
	return r
}

// alone makes a rig whose client and peer are the server itself.
func alone(t *testing.T) *rig {
	t.Helper()
	lab := labtest.New(t)
	r := &rig{t: t, lab: lab, server: lab.Host("server"), log: &logBuffer{}, nextPort: 50000}
	r.client, r.peer = r.server, r.server
	return r
}

// must runs a program on a host.
func (r *rig) must(h *labtest.Host, name string, args ...string) {
	r.t.Helper()
	if out, err := h.Command(name, args...).CombinedOutput(); err != nil {
		r.skip(fmt.Errorf("%s: %w: %s", name, err, out))
	}
}

// insist sends until something arrives, which is to be what is wanted if that is given.
func (r *rig) insist(what string, send func(), at *net.UDPConn, want ...byte) {
	r.t.Helper()
	defer func() { _ = at.SetReadDeadline(time.Now().Add(patience)) }()
	buf := make([]byte, 2048)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		send()
		_ = at.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := at.Read(buf)
		if err != nil {
			continue
		}
		if want != nil && !bytes.Equal(buf[:n], want) {
			r.t.Errorf("%s: got % x, want % x", what, buf[:n], want)
		}
		return
	}
	r.t.Fatalf("%s: nothing arrives: %v\n%s", what, r.frames(), r.log)
}

// passAll attaches a program that passes everything, for the length of the test.
func (r *rig) passAll(h *labtest.Host, name string) link.Link {
	r.t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
	})
	if err != nil {
		r.skip(err)
	}
	r.t.Cleanup(func() { program.Close() })
	var l link.Link
	h.Do(func() {
		device, err := net.InterfaceByName(name)
		if err != nil {
			r.t.Fatal(err)
		}
		if l, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: device.Index, Flags: link.XDPDriverMode}); err != nil {
			r.t.Fatal(err)
		}
	})
	r.t.Cleanup(func() { l.Close() })
	return l
}

// run runs a test on the rig of another.
func (r *rig) run(name string, f func()) {
	outer := r.t
	defer func() { r.t = outer }()
	outer.Run(name, func(t *testing.T) {
		r.t = t
		f()
	})
}

// skip skips a test that needs rights, or fails it where nothing may be skipped.
func (r *rig) skip(err error) {
	r.t.Helper()
	if os.Getenv("HAIRPIN_TEST_FULL") == "1" {
		r.t.Fatal(err)
	}
	r.t.Skip(err)
}

// serve starts the engine, the table and the listening sockets on the server's addresses.
func (r *rig) serve(mode Mode, front, back [2]netip.Addr) {
	r.t.Helper()
	r.epoch, r.relays = time.Now(), back
	r.server.Do(func() {
		var err error
		r.engine, err = Start(Config{
			Mode:    mode,
			Serving: append(front[:], back[:]...),
			Flows:   64,
			Binding: []netip.AddrPort{netip.AddrPortFrom(front[four], listenPort), netip.AddrPortFrom(front[six], listenPort)},
			Limit:   r.limit,
			Epoch:   r.epoch,
			Logger:  slog.New(slog.NewTextHandler(r.log, nil)),
		})
		if err != nil {
			r.t.Fatalf("%v\n%s", err, r.log)
		}
		for family := range r.listen {
			if r.listen[family], err = udp.Listen(netip.AddrPortFrom(front[family], listenPort), udp.Options{}); err != nil {
				r.t.Fatal(err)
			}
		}
	})
	config := relay.Config{Epoch: r.epoch, Addresses: []relay.Address{{Local: back[four], Advertised: back[four]}, {Local: back[six], Advertised: back[six]}}}
	if r.engine.Active() {
		config.Offload = r.engine
	}
	r.table = relay.NewTable(config)
	for _, conn := range r.listen {
		r.loops.Go(func() { _ = conn.Serve(&loop{rig: r, conn: conn, batch: udp.NewBatch(32)}) })
	}
	r.t.Cleanup(func() {
		r.table.Close()
		r.engine.Close()
		for _, conn := range r.listen {
			conn.Close()
		}
		r.loops.Wait()
		r.engine.Release()
	})
}

// loop is the user-space data plane of a listening socket.
type loop struct {
	rig   *rig
	conn  *udp.Conn
	batch *udp.Batch
}

func (l *loop) Borrow() *udp.Batch { return l.batch }
func (l *loop) Return(*udp.Batch)  {}

func (l *loop) Handle(b *udp.Batch) {
	w := l.rig.table.Borrow()
	defer l.rig.table.Return(w)
	for i := range b.Packets {
		p := &b.Packets[i]
		w.FromClient(l.rig.table.Now(), &relay.FiveTuple{Client: p.Remote, Server: l.conn.LocalAddr()}, p)
	}
	w.Flush()
}

// call is an allocation, its client's socket and one peer's.
type call struct {
	rig        *rig
	allocation *relay.Allocation
	client     *net.UDPConn // connected to the server
	peer       *net.UDPConn // connected to the relayed address; nil if the peer is a client
	channel    uint16
	peerAt     netip.AddrPort
}

// call makes an allocation for a client of one family, relaying by another.
func (r *rig) call(client, relayed int) *call {
	r.t.Helper()
	c := &call{rig: r, channel: 0x4000}
	server := r.listen[client].LocalAddr()
	from := r.dial(r.client, clientAddress(r, client), server)
	r.nextPort++
	at := netip.AddrPortFrom(r.relays[relayed], r.nextPort)
	var socket *udp.Conn
	r.server.Do(func() {
		var err error
		if socket, err = udp.Listen(at, udp.Options{}); err != nil {
			r.t.Fatal(err)
		}
	})
	var err error
	c.client = from
	c.allocation, err = r.table.Add(relay.Opening{
		FiveTuple: relay.FiveTuple{Client: from.LocalAddr().(*net.UDPAddr).AddrPort(), Server: server},
		Path:      relay.Path{Packets: r.listen[client]}, Socket: socket, Relayed: at,
		Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func clientAddress(r *rig, family int) netip.Addr {
	if r.client == r.server {
		return r.listen[family].LocalAddr().Addr()
	}
	return clientIP[family]
}

// bind binds the call's channel to a peer that answers from a socket of its own.
func (c *call) bind(peer netip.Addr, until, permitted time.Duration) {
	c.rig.t.Helper()
	c.peer = c.rig.dial(c.rig.peer, peer, c.allocation.Relayed)
	c.bindTo(c.peer.LocalAddr().(*net.UDPAddr).AddrPort(), until, permitted)
}

func (c *call) bindTo(peer netip.AddrPort, until, permitted time.Duration) {
	now := time.Now()
	c.peerAt = peer
	c.allocation.Bind(now, c.channel, peer, now.Add(until), now.Add(permitted))
}

// dial opens a socket on a host, connected to another.
func (r *rig) dial(h *labtest.Host, from netip.Addr, to netip.AddrPort) *net.UDPConn {
	r.t.Helper()
	var conn *net.UDPConn
	h.Do(func() {
		var err error
		conn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
		if err != nil {
			r.t.Fatal(err)
		}
	})
	r.t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadBuffer(4 << 20)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return conn
}

// relayed returns what both data planes and the kernel's alone have relayed.
func (r *rig) relayed(d relay.Direction) (all, kernel uint64) {
	return r.table.Totals().Relayed[relay.UDP][d].Packets, r.engine.Totals(d).Packets
}

// untilKernel sends until the kernel has relayed one of what is sent.
func (r *rig) untilKernel(d relay.Direction, exchange func()) {
	r.t.Helper()
	_, before := r.relayed(d)
	for deadline := time.Now().Add(patience); ; {
		exchange()
		if _, now := r.relayed(d); now > before {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the kernel relays nothing %v: %v\n%s", d, r.frames(), r.log)
		}
	}
}

// warm is untilKernel of one datagram at a time. It returns once all of them are counted:
// user space counts what it relays after it has sent it.
func (r *rig) warm(d relay.Direction, exchange func()) {
	r.t.Helper()
	wanted, _ := r.relayed(d)
	r.untilKernel(d, func() {
		exchange()
		wanted++
	})
	waitFor(r.t, "what was relayed to be counted", func() bool {
		all, _ := r.relayed(d)
		return all >= wanted
	})
}

// frames returns the program's counters that are not zero.
func (r *rig) frames() map[string]uint64 {
	all := make(map[string]uint64)
	for _, f := range r.engine.Stats().Frames {
		if f.Count > 0 {
			all[f.Reason] = f.Count
		}
	}
	return all
}

// toPeer sends a payload by the client's channel.
func (c *call) toPeer(payload []byte) {
	if _, err := c.client.Write(channelData(c.channel, payload)); err != nil && !errors.Is(err, net.ErrClosed) {
		c.rig.t.Error(err)
	}
}

// receive returns the next datagram.
func (r *rig) receive(conn *net.UDPConn) []byte {
	r.t.Helper()
	buf := make([]byte, 65536)
	n, err := conn.Read(buf)
	if err != nil {
		r.t.Fatalf("%v: %v\n%s", err, r.frames(), r.log)
	}
	return buf[:n]
}

// attached reports whether an interface of the server has a program.
func (r *rig) attached(name string) (attached bool) {
	r.server.Do(func() {
		l, err := netlink.LinkByName(name)
		attached = err == nil && l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached
	})
	return attached
}

// load sends stamped packets as fast as it can, and watches what arrives.
type load struct {
	latest  atomic.Int64 // the newest stamp that has arrived, on the test's clock
	arrived atomic.Int64
	begun   time.Time
	stop    chan struct{}
	done    sync.WaitGroup
}

// load sends packets by send until it is ended, and reads them from a socket, leaving
// out so many bytes before the stamp.
func (r *rig) load(send func([]byte), from *net.UDPConn, skip int) *load {
	l := &load{begun: time.Now(), stop: make(chan struct{})}
	_ = from.SetReadDeadline(time.Time{})
	l.done.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if n >= skip+8 {
				stamp := int64(binary.BigEndian.Uint64(buf[skip:]))
				l.latest.Store(max(l.latest.Load(), stamp))
				l.arrived.Add(1)
			}
		}
	})
	l.done.Go(func() {
		payload := make([]byte, 160)
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			binary.BigEndian.PutUint64(payload, uint64(time.Since(l.begun)))
			send(payload)
		}
	})
	r.t.Cleanup(func() { l.end(from) })
	return l
}

// end stops the load; what has been sent has arrived or will not.
func (l *load) end(from *net.UDPConn) {
	select {
	case <-l.stop:
		return
	default:
	}
	close(l.stop)
	_ = from.SetReadDeadline(time.Now())
	l.done.Wait()
}

// wait waits until so many more packets have arrived.
func (l *load) wait(t *testing.T, more int64) {
	t.Helper()
	until := l.arrived.Load() + more
	waitFor(t, "packets to arrive", func() bool { return l.arrived.Load() >= until })
}

// waitFor polls, since what it waits for tells nobody.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
