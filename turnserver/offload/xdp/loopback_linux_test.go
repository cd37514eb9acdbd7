//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"

	"hairpin/turnserver/labtest"
)

// patience is how long anything may take. Only a failing test waits so long.
const patience = 10 * time.Second

// TestLoopback attaches the program to a loopback device, in generic mode, and relays
// between real sockets: there every checksum is left to a device, and the kernel keeps
// that mark on a frame whose headers have moved.
func TestLoopback(t *testing.T) {
	h := labtest.New(t).Host("alone")
	if out, err := h.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.Do(func() {
		w := &world{t: t, p: load(t, Config{Flows: 8, Sources: 1}), flows: make(map[uint32]*Flow), limit: 65535}
		w.must(w.p.SetInterface(device, Interface{}))
		attached, err := link.AttachXDP(link.XDPOptions{Program: w.p.XDP(), Interface: device, Flags: link.XDPGenericMode})
		w.must(err)
		defer attached.Close()
		w.relayOnLoopback(0, families{4, 4})
		w.relayOnLoopback(1, families{6, 6})
		if totals := w.totals(); totals[RelayedToPeer].Packets == 0 || totals[RelayedToClient].Packets == 0 {
			t.Errorf("the program relayed nothing: %v", totals)
		}
	})
}

// socket opens a socket on a loopback address.
func (w *world) socket(family int) (*net.UDPConn, netip.AddrPort) {
	w.t.Helper()
	ip := netip.MustParseAddr("127.0.0.1")
	if family == 6 {
		ip = netip.IPv6Loopback()
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	w.must(err)
	w.t.Cleanup(func() { _ = c.Close() })
	w.must(c.SetDeadline(time.Now().Add(patience)))
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// relayOnLoopback sends packets of many lengths there and back. Nobody reads the
// server's sockets: what arrives was relayed by the program.
func (w *world) relayOnLoopback(slot uint32, f families) {
	w.t.Helper()
	client, clientAt := w.socket(f.client)
	_, server := w.socket(f.client)
	_, relayed := w.socket(f.peer)
	peer, peerAt := w.socket(f.peer)
	flow := w.bind(slot, Flow{Client: clientAt, Server: server, Relayed: relayed, Peer: peerAt, Channel: 0x4001})
	for _, d := range []Direction{ToPeer, ToClient} {
		w.p.SetHop(slot, d, Hop{Interface: device, Limit: maxPacket})
	}
	buf := make([]byte, 4096)
	for _, n := range []int{0, 1, 2, 3, 17, 160, 1200, 1900} {
		if _, err := client.WriteToUDPAddrPort(channelData(flow.Channel, data(n)), server); err != nil {
			w.t.Fatal(err)
		}
		got, from, err := peer.ReadFromUDPAddrPort(buf)
		if err != nil || from != relayed || !bytes.Equal(buf[:got], data(n)) {
			w.t.Fatalf("%v: the peer got %x from %v: %v", f, buf[:got], from, err)
		}
		if _, err := peer.WriteToUDPAddrPort(data(n), relayed); err != nil {
			w.t.Fatal(err)
		}
		got, from, err = client.ReadFromUDPAddrPort(buf)
		if err != nil || from != server || !bytes.Equal(buf[:got], channelData(flow.Channel, data(n))) {
			w.t.Fatalf("%v: the client got %x from %v: %v", f, buf[:got], from, err)
		}
	}
}
