package udp

import (
	"net/netip"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSockaddr(t *testing.T) {
	tests := []struct {
		addr   string
		family uint16
		length uint32
	}{
		{"192.0.2.1:3478", unix.AF_INET, unix.SizeofSockaddrInet4},
		{"192.0.2.1:3478", unix.AF_INET6, unix.SizeofSockaddrInet6},
		{"[2001:db8::1]:65535", unix.AF_INET6, unix.SizeofSockaddrInet6},
		{"[fe80::1%7]:1", unix.AF_INET6, unix.SizeofSockaddrInet6},
		{"[2001:db8::1]:1", unix.AF_INET, 0},
		{"[fe80::1%nosuch]:1", unix.AF_INET6, 0},
	}
	for _, test := range tests {
		var s sockaddr
		for i := range s {
			s[i] = 0xaa // what an earlier packet left
		}
		addr := netip.MustParseAddrPort(test.addr)
		if n := s.put(test.family, addr); n != test.length {
			t.Errorf("%v for family %d: %d bytes, want %d", addr, test.family, n, test.length)
		} else if n > 0 && s.get() != addr {
			t.Errorf("%v for family %d: decoded as %v", addr, test.family, s.get())
		}
	}
	var s sockaddr
	if n := s.put(unix.AF_INET6, netip.AddrPort{}); n != 0 {
		t.Errorf("no address: %d bytes", n)
	}
	if s = (sockaddr{}); s.get().IsValid() {
		t.Errorf("no family: %v", s.get())
	}
}

func TestZoneName(t *testing.T) {
	lo, ok := zoneIndex("lo")
	if !ok || lo == 0 {
		t.Fatal("the loopback interface was not found")
	}
	if n, ok := zoneIndex(strconv.Itoa(int(lo))); !ok || n != lo {
		t.Fatalf("index %d was taken for %d", lo, n)
	}
}

// FuzzSockaddr holds: what is encoded decodes to itself.
func FuzzSockaddr(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, uint16(3478), uint32(0))
	f.Add(netip.MustParseAddr("fe80::1").AsSlice(), uint16(1), uint32(3))
	f.Fuzz(func(t *testing.T, ip []byte, port uint16, zone uint32) {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok {
			return
		}
		if addr = addr.Unmap(); addr.Is6() && zone != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(zone), 10))
		}
		want := netip.AddrPortFrom(addr, port)
		var s sockaddr
		for _, family := range []uint16{unix.AF_INET, unix.AF_INET6} {
			n := s.put(family, want)
			if n == 0 && family == unix.AF_INET && addr.Is6() {
				continue
			}
			if n == 0 || s.get() != want {
				t.Fatalf("%v for family %d: %d bytes, decoded as %v", want, family, n, s.get())
			}
		}
	})
}

// FuzzDestination reads control messages made of any bytes.
func FuzzDestination(f *testing.F) {
	var c control
	n := c.putSource(0, unix.AF_INET6, netip.MustParseAddr("2001:db8::1"))
	f.Add(c[:n], 64)
	c = control{}
	n = c.putSegmentSize(0, 1200)
	f.Add(c[:n], 20)
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		var c control
		copy(c[:], raw)
		if addr := c.destination(max(n, 0)); addr.Is4In6() {
			t.Fatalf("%v is IPv4-mapped", addr)
		}
	})
}

// TestDestination has the address after another control message, and cut off.
func TestDestination(t *testing.T) {
	want := netip.MustParseAddr("2001:db8::1")
	var c control
	n := c.putSource(c.putDontFragment(0), unix.AF_INET6, want)
	if got := c.destination(n); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for cut := range unix.CmsgSpace(4) + unix.CmsgLen(unix.SizeofInet6Pktinfo) {
		if got := c.destination(cut); got.IsValid() {
			t.Errorf("got %v of %d bytes", got, cut)
		}
	}
}
