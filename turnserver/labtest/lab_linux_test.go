package labtest_test

import (
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/labtest"
)

// patience is how long anything may take. Only a failing test waits so long.
const patience = 10 * time.Second

func TestHostsTalkOverALinkAlone(t *testing.T) {
	for _, addresses := range [][2]string{{"10.1.0.1/24", "10.1.0.2/24"}, {"fd00::1/64", "fd00::2/64"}} {
		t.Run(addresses[0], func(t *testing.T) {
			lab := labtest.New(t)
			here, there := netip.MustParsePrefix(addresses[0]), netip.MustParsePrefix(addresses[1])
			a, b, stranger := lab.Host("a"), lab.Host("b"), lab.Host("stranger")
			lab.Link(labtest.End{Host: a, Address: here}, labtest.End{Host: b, Address: there})

			server := listen(t, b, netip.AddrPortFrom(there.Addr(), 0))
			to := server.LocalAddr().(*net.UDPAddr).AddrPort()
			stranger.Do(func() {
				if c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)); err == nil {
					c.Close()
					t.Error("a host without a link reached another")
				}
			})
			client := listen(t, a, netip.AddrPortFrom(here.Addr(), 0))
			if _, err := client.WriteToUDPAddrPort([]byte("hello"), to); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 16)
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil || string(buf[:n]) != "hello" || from.Addr() != here.Addr() {
				t.Errorf("got %q from %v: %v", buf[:n], from, err)
			}
		})
	}
}

func listen(t *testing.T, h *labtest.Host, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	h.Do(func() {
		var err error
		if conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestRouteAndSysctl(t *testing.T) {
	lab := labtest.New(t)
	prefix := netip.MustParsePrefix
	a, router, b := lab.Host("a"), lab.Host("router"), lab.Host("b")
	lab.Link(labtest.End{Host: a, Address: prefix("10.1.0.1/24")}, labtest.End{Host: router, Address: prefix("10.1.0.2/24")})
	lab.Link(labtest.End{Host: b, Address: prefix("10.2.0.1/24")}, labtest.End{Host: router, Address: prefix("10.2.0.2/24")})
	router.Sysctl("net/ipv4/ip_forward", "1")
	a.Route(prefix("10.2.0.0/24"), netip.MustParseAddr("10.1.0.2"))
	b.Route(prefix("0.0.0.0/0"), netip.MustParseAddr("10.2.0.2"))

	server := listen(t, b, netip.MustParseAddrPort("10.2.0.1:0"))
	client := listen(t, a, netip.MustParseAddrPort("10.1.0.1:0"))
	if _, err := client.WriteTo([]byte("hello"), server.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, from, err := server.ReadFrom(make([]byte, 16)); err != nil || from.String() != client.LocalAddr().String() {
		t.Errorf("got a datagram from %v: %v", from, err)
	}
}

func TestCommandRunsOnTheHostAndDiesWithTheTest(t *testing.T) {
	var cmd *exec.Cmd
	t.Run("lab", func(t *testing.T) {
		lab := labtest.New(t)
		h := lab.Host("host")
		out, err := h.Command("ip", "-o", "link", "show").Output()
		if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); err != nil || len(lines) != 1 {
			t.Errorf("the host has interfaces %q: %v", lines, err)
		}
		cmd = h.Command("cat")
		in, err := cmd.StdinPipe() // open until Wait, so that only a signal ends the program
		if err != nil {
			t.Fatal(err)
		}
		echo, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, "up"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(echo, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		if name := executable(t, cmd.Process.Pid); name != "cat" {
			t.Errorf("the process is %s, not the program", name)
		}
	})
	if cmd == nil {
		t.Skip("no lab")
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Success() {
		t.Errorf("the program was not killed: %v", cmd.ProcessState)
	}
}

func executable(t *testing.T, pid int) string {
	t.Helper()
	name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}
