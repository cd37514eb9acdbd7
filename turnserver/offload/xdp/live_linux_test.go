//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"hairpin/turnserver/labtest"
)

// patience is how long anything may take. Only a failing test waits so long.
const patience = 10 * time.Second

// socket opens a socket.
func (w *world) socket(ip string) *net.UDPConn {
	w.t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	w.must(err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func addressOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// attach attaches a program until the test ends.
func (w *world) attach(p *ebpf.Program, index int, mode link.XDPAttachFlags) {
	w.t.Helper()
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: mode})
	w.must(err)
	w.t.Cleanup(func() { _ = l.Close() })
}

// exchange sends data of some lengths from a client to its peer and back. Nobody reads
// the server's sockets: what arrives was relayed by the program.
func (w *world) exchange(f *Flow, client, peer *net.UDPConn, lengths []int) {
	w.t.Helper()
	for _, n := range lengths {
		framed := channelData(f.Channel, data(n))
		w.deliver(client, f.Server, framed, peer, f.Relayed, data(n))
		w.deliver(peer, f.Relayed, data(n), client, f.Server, framed)
	}
}

// deliver sends a datagram, again and again since it may be lost while the network is
// new, until another socket has it as what it is to become.
func (w *world) deliver(from *net.UDPConn, to netip.AddrPort, sent []byte, at *net.UDPConn, source netip.AddrPort, want []byte) {
	w.t.Helper()
	buf := make([]byte, 4096)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err := from.WriteToUDPAddrPort(sent, to); err != nil {
			w.t.Fatal(err)
		}
		w.must(at.SetReadDeadline(time.Now().Add(patience / 20)))
		for {
			n, by, err := at.ReadFromUDPAddrPort(buf)
			if err != nil {
				break // and send again
			}
			if by == source && bytes.Equal(buf[:n], want) {
				return
			}
			if len(want) <= n && by == source { // what was sent before is shorter
				w.t.Fatalf("got %x, want %x", buf[:n], want)
			}
		}
	}
	w.t.Fatalf("%v never got %d bytes from %v: %v", at.LocalAddr(), len(want), source, w.totals())
}

// TestLoopback attaches the program to a loopback device, in generic mode: there every
// checksum is left to a device, and the kernel keeps that mark on a frame whose headers
// have moved.
func TestLoopback(t *testing.T) {
	labtest.New(t).Host("alone").Do(func() {
		w := &world{t: t, p: load(t, Config{Flows: 8, Sources: 1}), flows: make(map[uint32]*Flow)}
		w.must(w.p.SetInterface(device, Interface{}))
		w.attach(w.p.XDP(), device, link.XDPGenericMode)
		for slot, ip := range []string{"127.0.0.1", "::1"} {
			client, peer := w.socket(ip), w.socket(ip)
			f := Flow{
				Client: addressOf(client), Server: addressOf(w.socket(ip)),
				Relayed: addressOf(w.socket(ip)), Peer: addressOf(peer), Channel: 0x4001,
			}
			w.must(w.p.Set(uint32(slot), f, never))
			for d := range directions {
				w.p.SetHop(uint32(slot), d, Hop{Interface: device, Limit: maxPacket})
			}
			// Of the lengths that are 231 beyond a multiple of 256 the kernel makes sure.
			lengths := []int{0, 1, 2, 3, 17, 160, 231, 999, 1200, 1900}
			if ip == "127.0.0.1" {
				w.exchange(&f, client, peer, lengths)
				continue
			}
			for _, n := range lengths { // to the peer user space has them
				w.deliver(peer, f.Relayed, data(n), client, f.Server, channelData(f.Channel, data(n)))
			}
		}
		w.expectRelayed(10)
	})
}

// cable is one end of a link, as the program has to know it.
type cable struct {
	index int
	mac   MAC
}

func cableOf(t *testing.T, h *labtest.Host, name string) (c cable) {
	t.Helper()
	h.Do(func() {
		i, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		c = cable{i.Index, MAC(i.HardwareAddr)}
	})
	return c
}

// TestVirtualEthernet attaches the program to a server's links to a client and to a
// peer, in native mode, and relays between real sockets from the one link to the other,
// with the checksums that virtual links leave to a device.
func TestVirtualEthernet(t *testing.T) {
	for _, f := range allFamilies {
		t.Run(f.String(), func(t *testing.T) { virtualEthernet(t, f) })
	}
}

func virtualEthernet(t *testing.T, f families) {
	lab := labtest.New(t)
	client, server, peer := lab.Host("client"), lab.Host("server"), lab.Host("peer")
	w := &world{t: t, p: load(t, Config{Flows: 8, Sources: 1}), flows: make(map[uint32]*Flow)}
	network := func(family, n, host int) string {
		return map[int]string{4: fmt.Sprintf("10.%d.0.%d", n, host), 6: fmt.Sprintf("fd00:%d::%d", n, host)}[family]
	}
	var ends [2][2]cable // of the client's link and the peer's: the server's end, and the far one
	for i, far := range []*labtest.Host{client, peer} {
		family := []int{f.client, f.peer}[i]
		length := map[int]string{4: "/24", 6: "/64"}[family]
		a, b := lab.Link(
			labtest.End{Host: server, Address: netip.MustParsePrefix(network(family, i+1, 1) + length)},
			labtest.End{Host: far, Address: netip.MustParsePrefix(network(family, i+1, 2) + length)},
		)
		ends[i] = [2]cable{cableOf(t, server, a), cableOf(t, far, b)}
		// A veth takes frames from a program only if it has one itself.
		far.Do(func() { w.attach(w.p.objects.HairpinClock, ends[i][1].index, link.XDPDriverMode) })
	}
	flow := Flow{Channel: 0x4001}
	var from, to *net.UDPConn
	client.Do(func() { from = w.socket(network(f.client, 1, 2)) })
	peer.Do(func() { to = w.socket(network(f.peer, 2, 2)) })
	server.Do(func() {
		flow.Server, flow.Relayed = addressOf(w.socket(network(f.client, 1, 1))), addressOf(w.socket(network(f.peer, 2, 1)))
		for _, e := range ends {
			w.must(w.p.SetInterface(e[0].index, Interface{MAC: e[0].mac}))
			w.must(w.p.SetEgress(e[0].index, true))
			w.attach(w.p.XDP(), e[0].index, link.XDPDriverMode)
		}
	})
	flow.Client, flow.Peer = addressOf(from), addressOf(to)
	w.must(w.p.Set(0, flow, never))
	for d, e := range map[Direction][2]cable{ToClient: ends[0], ToPeer: ends[1]} {
		w.p.SetHop(0, d, Hop{Destination: e[1].mac, Source: e[0].mac, Interface: e[0].index, Limit: 1500})
	}
	w.exchange(&flow, from, to, []int{0, 1, 2, 3, 17, 160, 1200, 1424})
	w.expectRelayed(8)
}

// expectRelayed fails the test unless the program relayed so many packets each way.
func (w *world) expectRelayed(n uint64) {
	w.t.Helper()
	if c := w.totals(); c[RelayedToPeer].Packets < n || c[RelayedToClient].Packets < n {
		w.t.Errorf("the program did not relay all: %v", c)
	}
}
