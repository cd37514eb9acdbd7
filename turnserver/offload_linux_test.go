package turnserver

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/offload"
	"hairpin/turnserver/relay"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/pion/stun/v3"
	"github.com/vishvananda/netlink"
)

// kernelRig is a server in a process of its own, with a client's network on one side and
// a peer's on the other.
type kernelRig struct {
	*process
	client, server, peer *labtest.Host
	interfaces           [2]string // the server's
}

const (
	kernelServer = "10.1.0.1"
	kernelClient = "10.1.0.2"
	kernelRelay  = "10.2.0.1"
	kernelPeer   = "10.2.0.2"
)

// newKernelRig starts a server in a mode, with both far ends ready to take frames.
func newKernelRig(t *testing.T, mode offload.Mode) *kernelRig {
	t.Helper()
	lab := labtest.New(t)
	r := &kernelRig{client: lab.Host("client"), server: lab.Host("server"), peer: lab.Host("peer")}
	end := func(h *labtest.Host, four, six string) labtest.End {
		return labtest.End{Host: h, Address: netip.MustParsePrefix(four + "/24"), More: []netip.Prefix{netip.MustParsePrefix(six + "/64")}}
	}
	var far [2]string
	far[0], r.interfaces[0] = lab.Link(end(r.client, kernelClient, "fd01::2"), end(r.server, kernelServer, "fd01::1"))
	far[1], r.interfaces[1] = lab.Link(end(r.peer, kernelPeer, "fd02::2"), end(r.server, kernelRelay, "fd02::1"))
	passAll(t, r.client, far[0])
	passAll(t, r.peer, far[1])
	r.process = startProcessBy(t, r.server.Command, testServer{
		Listen: netip.MustParseAddrPort("[::]:3478"), Offload: mode,
		Relays: []netip.Addr{netip.MustParseAddr(kernelRelay), netip.MustParseAddr("fd02::1")},
		Allow:  []netip.Prefix{netip.MustParsePrefix("10.2.0.0/24"), netip.MustParsePrefix("fd02::/64")},
	})
	r.killed = true // by the lab, before it closes
	t.Cleanup(func() { _ = r.cmd.Wait() })
	return r
}

// passAll attaches a program that passes everything, for the length of the test.
func passAll(t *testing.T, h *labtest.Host, name string) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
	})
	if err != nil {
		skipOrFail(t, err.Error())
	}
	t.Cleanup(func() { program.Close() })
	h.Do(func() {
		device, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: device.Index, Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	})
}

// stats asks the server for its figures.
func (r *kernelRig) stats() (s Stats) {
	r.t.Helper()
	r.commands.Write([]byte("stats\n"))
	if err := json.Unmarshal([]byte(r.line()), &s); err != nil {
		r.t.Fatal(err)
	}
	r.line()
	return s
}

// inKernel returns how many packets the program has relayed.
func inKernel(s Stats) (n uint64) {
	for _, f := range s.Offload.Frames {
		if f.Reason == "to-peer" || f.Reason == "to-client" || f.Reason == "hairpin" {
			n += f.Count
		}
	}
	return n
}

// dialOn opens a socket on a host.
func (r *kernelRig) dialOn(h *labtest.Host, from, to string) (conn *net.UDPConn) {
	r.t.Helper()
	h.Do(func() {
		var err error
		local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
		if conn, err = net.DialUDP("udp", local, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
			r.t.Fatal(err)
		}
	})
	return conn
}

// stampedLoad is a client that sends as fast as it can by a channel, and its peer, who
// notes when what arrives was sent.
type stampedLoad struct {
	client  *raw
	begun   time.Time
	latest  atomic.Int64 // the newest stamp that has arrived
	refused atomic.Int64 // when the server's host last refused a packet
	stop    chan struct{}
	ended   sync.WaitGroup
}

func (r *kernelRig) load() *stampedLoad {
	r.t.Helper()
	conn := r.dialOn(r.client, kernelClient, kernelServer+":3478")
	l := &stampedLoad{client: r.rawOn(conn), begun: time.Now(), stop: make(chan struct{})}
	l.client.login("alice")
	relayed := l.client.allocateRelayed()
	peer := r.dialOn(r.peer, kernelPeer, relayed.String())
	l.client.bindChannel(0x4000, peer.LocalAddr().(*net.UDPAddr))
	l.ended.Go(func() {
		for buf := make([]byte, 2048); ; {
			n, err := peer.Read(buf)
			if n == 160 {
				l.latest.Store(max(l.latest.Load(), int64(binary.BigEndian.Uint64(buf))))
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
		}
	})
	l.ended.Go(func() {
		frame := append([]byte{0x40, 0, 0, 160}, make([]byte, 160)...)
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			binary.BigEndian.PutUint64(frame[4:], uint64(time.Since(l.begun)))
			if _, err := conn.Write(frame); errors.Is(err, syscall.ECONNREFUSED) {
				l.refused.Store(int64(time.Since(l.begun)))
			}
		}
	})
	r.t.Cleanup(func() {
		close(l.stop)
		peer.Close()
		l.ended.Wait()
	})
	return l
}

// nothingAfter wants nothing to have arrived that was sent after a point in time.
func (l *stampedLoad) nothingAfter(t *testing.T, end time.Time) {
	t.Helper()
	if latest := l.begun.Add(time.Duration(l.latest.Load())); latest.After(end) {
		t.Errorf("the peer got what was sent %v after the end", latest.Sub(end))
	}
}

// TestKilledUnderLoad kills the server while the kernel relays as fast as the client can
// send: no program stays, and nothing is relayed from then on.
func TestKilledUnderLoad(t *testing.T) {
	r := newKernelRig(t, offload.Native)
	l := r.load()
	waitFor(t, "the kernel to relay", func() bool { return inKernel(r.stats()) > 1000 })
	if err := r.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait() // says that it was killed
	waitFor(t, "the programs to be gone", func() bool { return !r.attached() })
	killed := time.Now()
	// The server's host refuses what comes now, and so has seen what was sent before.
	waitFor(t, "packets to be refused", func() bool {
		return l.begun.Add(time.Duration(l.refused.Load())).After(killed.Add(10 * time.Millisecond))
	})
	l.nothingAfter(t, killed)
}

// attached reports whether one of the server's interfaces has a program.
func (r *kernelRig) attached() (attached bool) {
	r.server.Do(func() {
		for _, name := range r.interfaces {
			l, err := netlink.LinkByName(name)
			attached = attached || err == nil && l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached
		}
	})
	return attached
}

// TestPolicyEndsFlowsInTheKernel denies a peer while the kernel relays to it.
func TestPolicyEndsFlowsInTheKernel(t *testing.T) {
	r := newKernelRig(t, offload.Native)
	l := r.load()
	waitFor(t, "the kernel to relay", func() bool { return inKernel(r.stats()) > 1000 })
	r.do("deny " + kernelPeer + "/32")
	denied := time.Now()
	before := r.stats()
	waitFor(t, "packets to be refused", func() bool {
		return r.stats().Relay.Dropped[relay.DropNoChannel] > before.Relay.Dropped[relay.DropNoChannel]+1000
	})
	l.nothingAfter(t, denied)
	if now := r.stats(); inKernel(now) != inKernel(before) || now.Offload.Flows != 0 {
		t.Errorf("the kernel relays on: %v", now.Offload)
	}
}

// TestFiguresAreTheSame relays so many packets by each data plane, and wants both to
// count them alike.
func TestFiguresAreTheSame(t *testing.T) {
	const packets = 100
	for _, mode := range []offload.Mode{offload.Off, offload.Native} {
		t.Run(string(mode), func(t *testing.T) {
			r := newKernelRig(t, mode)
			client := r.rawOn(r.dialOn(r.client, kernelClient, kernelServer+":3478"))
			client.login("alice")
			peer := r.dialOn(r.peer, kernelPeer, client.allocateRelayed().String())
			defer peer.Close()
			_ = peer.SetDeadline(time.Now().Add(patience))
			client.bindChannel(0x4000, peer.LocalAddr().(*net.UDPAddr))
			for range packets {
				client.send([]byte{0x40, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'})
				if n, err := peer.Read(make([]byte, 16)); n != 5 {
					t.Fatalf("the peer got %d bytes: %v", n, err)
				}
				if _, err := peer.Write([]byte("hi")); err != nil {
					t.Fatal(err)
				}
				if got := client.receive(); string(got) != "\x40\x00\x00\x02hi" {
					t.Fatalf("the client got %x", got)
				}
			}
			s := r.stats()
			want := [2]relay.Counts{{Packets: packets, Bytes: 5 * packets}, {Packets: packets, Bytes: 2 * packets}}
			if got := s.Relay.Relayed[relay.UDP]; got != want {
				t.Errorf("the totals are %v, want %v", got, want)
			}
			if n := inKernel(s); (n > packets) != (mode == offload.Native) {
				t.Errorf("the kernel has relayed %d", n)
			}
			client.must(stun.MethodRefresh, lifetimeZero)
			if got := r.stats().Relay.Relayed[relay.UDP]; got != want {
				t.Errorf("afterwards the totals are %v", got)
			}
		})
	}
}

// TestCoturnClientThroughTheKernel runs coturn's client between the networks of a rig,
// in both modes: what it gets back is the same.
func TestCoturnClientThroughTheKernel(t *testing.T) {
	path, peerPath := needTool(t, "turnutils_uclient"), needTool(t, "turnutils_peer")
	for _, mode := range []offload.Mode{offload.Off, offload.Native} {
		r := newKernelRig(t, mode)
		peer := r.peer.Command(peerPath, "-L", kernelPeer, "-L", "fd02::2", "-p", "3480")
		if err := peer.Start(); err != nil {
			t.Fatal(err)
		}
		var runs sync.WaitGroup
		for _, flags := range []string{
			"-n 50 -m 5 -e 10.2.0.2 -r 3480 10.1.0.1",
			"-n 50 -m 5 -x -e fd02::2 -r 3480 fd01::1",
			"-n 50 -m 5 -x -e fd02::2 -r 3480 10.1.0.1",
			"-n 50 -m 5 -c -l 1200 -e 10.2.0.2 -r 3480 10.1.0.1",
			"-y -n 50 -m 6 10.1.0.1",
			"-y -n 50 -m 6 -x fd01::1",
			"-y -n 50 -m 6 -s 10.1.0.1",
		} {
			cmd := r.client.Command(path, append(r.coturnLogin(true), strings.Fields(flags)...)...)
			runs.Go(func() { // each spends seconds waiting for nothing
				if totals, output := runCoturn(cmd); totals.sent == 0 || totals.received != totals.sent || totals.lost != 0 {
					t.Errorf("%s %s: got %+v; turnutils_uclient printed:\n%s", mode, flags, totals, output)
				}
			})
		}
		runs.Wait()
		if n := inKernel(r.stats()); n > 0 != (mode == offload.Native) {
			t.Errorf("%s: the kernel relayed %d packets", mode, n)
		}
		_ = peer.Process.Kill()
		_ = peer.Wait()
	}
}

func runCoturn(cmd *exec.Cmd) (coturnTotals, string) {
	timeout := time.AfterFunc(toolTimeout, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	cmd.Env = os.Environ()
	output, _ := cmd.CombinedOutput()
	totals, _ := readTotals(string(output)) // none if it failed
	return totals, string(output)
}

// TestStopsUnderBindingFlood stops servers that are asked all the time, and whose answers
// come from one budget with the kernel's: a reader that outlived its memory would end the
// process.
func TestStopsUnderBindingFlood(t *testing.T) {
	host := labtest.New(t).Host("server")
	request := make([]byte, 20)
	copy(request, "\x00\x01\x00\x00\x21\x12\xA4\x42")
	for range 10 {
		var s *running
		var conn net.Conn
		host.Do(func() {
			s = start(t, func(c *Config) { c.Offload, c.UnauthenticatedRate = offload.Generic, 1<<20 })
			var err error
			if conn, err = net.Dial("udp", s.udp()); err != nil {
				t.Fatal(err)
			}
		})
		var flood sync.WaitGroup
		flood.Go(func() {
			for err := error(nil); !errors.Is(err, net.ErrClosed); {
				_, err = conn.Write(request)
			}
		})
		if _, err := conn.Read(make([]byte, 100)); err != nil { // it serves
			t.Fatal(err)
		}
		s.wait()
		conn.Close()
		flood.Wait()
	}
}
