package nat_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/nat"
)

// patience is how long anything on real sockets may take. Only a failing test waits so
// long.
const patience = time.Minute

// bindTries is how often two ports are looked for that are free on both addresses.
const bindTries = 32

// realServer answers by RFC 5780 on four real sockets of two loopback addresses.
func realServer(t *testing.T) nat.Addresses {
	t.Helper()
	set, conns := bindAll(t)
	serveAll(t, set, conns)
	return set
}

// bindAll opens four sockets on two loopback addresses, with the same two ports on each.
func bindAll(t *testing.T) (nat.Addresses, map[netip.AddrPort]*net.UDPConn) {
	t.Helper()
	for range bindTries {
		set := addresses(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"))
		set.Port = [2]uint16{}
		if conns := bindOnce(&set); conns != nil {
			return set, conns
		}
	}
	t.Fatal("no two ports are free on both addresses")
	return nat.Addresses{}, nil
}

// bindOnce takes the ports that the first two sockets find free. It returns nil if one
// is not free on the other address.
func bindOnce(set *nat.Addresses) map[netip.AddrPort]*net.UDPConn {
	conns := make(map[netip.AddrPort]*net.UDPConn)
	for i := range 4 {
		ip, port := i/2, i%2
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(set.IP[ip].Local, set.Port[port])))
		if err != nil {
			for _, c := range conns {
				_ = c.Close()
			}
			return nil
		}
		at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		set.Port[port] = at.Port()
		conns[netip.AddrPortFrom(set.IP[ip].Local, at.Port())] = conn
	}
	return conns
}

func serveAll(t *testing.T, set nat.Addresses, conns map[netip.AddrPort]*net.UDPConn) {
	responder, err := nat.NewResponder(set)
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for local, conn := range conns {
		readers.Go(func() {
			buf := make([]byte, 65536)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				if r, ok := responder.Respond(nil, buf[:n], from, local); ok {
					_, _ = conns[r.From].WriteToUDPAddrPort(r.Data, r.To)
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
		readers.Wait()
	})
}

func TestSystem(t *testing.T) {
	set := realServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server := netip.AddrPortFrom(set.IP[0].Local, set.Port[0])
	got, err := nat.Discover(ctx, nat.System{}, nat.Config{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	if got.UDP != nat.Yes || got.Translated != nat.No || got.Mapping != ei || got.Filtering != ei {
		t.Errorf("UDP %v, translated %v, mapping %v, filtering %v: %v", got.UDP, got.Translated, got.Mapping, got.Filtering, got.Gaps)
	}
	if want := netip.AddrPortFrom(set.IP[1].Local, set.Port[1]); got.Other != want || got.Mapped != got.Local {
		t.Errorf("other address %v, local %v, mapped %v", got.Other, got.Local, got.Mapped)
	}
	if got.PathMTU != 1500 || got.Fragments.Inbound != nat.Yes {
		t.Errorf("path MTU %d, fragments %v", got.PathMTU, got.Fragments)
	}
}

func TestSystemNobodyThere(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // it never reads
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/4)
	defer cancel()
	got, err := nat.Discover(ctx, nat.System{}, nat.Config{Server: conn.LocalAddr().(*net.UDPAddr).AddrPort()})
	if gap, _ := got.Missing(nat.PropertyUDP); err == nil || got.UDP != nat.Unknown || gap.Reason != nat.Interrupted {
		t.Errorf("UDP %v, %v: %v", got.UDP, gap, err)
	}
}

// tool returns a program of coturn's.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("HAIRPIN_TEST_FULL") == "1":
		t.Fatalf("%s is needed: %v", name, err)
	default:
		t.Skipf("%s is needed: %v", name, err)
	}
	return path
}

// Another's client comes to the same conclusion through our responder.
func TestCoturnClient(t *testing.T) {
	path := tool(t, "turnutils_natdiscovery")
	set := realServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-m", "-f", "-L", "127.0.0.1",
		"-p", fmt.Sprint(set.Port[0]), "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"NAT with Endpoint Independent Mapping!", "NAT with Endpoint Independent Filtering!"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", strings.TrimSpace(string(out)))
	}
}

// Our client comes to the right conclusion about another's server.
func TestCoturnServer(t *testing.T) {
	path := tool(t, "turnserver")
	set, conns := bindAll(t)
	for _, conn := range conns {
		_ = conn.Close() // so that they are free
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, "-n", "-L", "127.0.0.1", "-L", "127.0.0.2",
		"-p", fmt.Sprint(set.Port[0]), "--alt-listening-port", fmt.Sprint(set.Port[1]),
		"--no-auth", "--no-tls", "--no-dtls", "--no-cli", "--no-tcp", "--no-tcp-relay",
		"--log-file", dir+"/log", "--simple-log", "--pidfile", dir+"/pid", "--userdb", dir+"/db")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server := netip.AddrPortFrom(set.IP[0].Local, set.Port[0])
	got, err := nat.Discover(ctx, nat.System{}, nat.Config{Server: server}) // it asks until there is an answer
	if err != nil || got.Mapping != ei || got.Filtering != ei || got.Translated != nat.No {
		log, _ := os.ReadFile(dir + "/log")
		t.Errorf("mapping %v, filtering %v, translated %v, %v: %v\n%s", got.Mapping, got.Filtering, got.Translated, got.Gaps, err, log)
	}
	if want := netip.AddrPortFrom(set.IP[1].Local, set.Port[1]); got.Other != want {
		t.Errorf("other address %v, want %v", got.Other, want)
	}
}
