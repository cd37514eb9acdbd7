package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is room for a struct sockaddr_in or sockaddr_in6, as the kernel reads and
// writes it: the family in the machine's byte order, port and address in the network's.
type sockaddr [unix.SizeofSockaddrInet6]byte

// put encodes a for a socket of the given family, on IPv6 sockets IPv4 addresses as
// IPv4-mapped, and returns the length, or zero if a socket of that family cannot reach
// a or a has no known zone.
func (s *sockaddr) put(family uint16, a netip.AddrPort) uint32 {
	addr := a.Addr()
	binary.NativeEndian.PutUint16(s[0:], family)
	binary.BigEndian.PutUint16(s[2:], a.Port())
	switch {
	case !addr.IsValid():
		return 0
	case family == unix.AF_INET:
		if addr.Is6() {
			return 0
		}
		ip := addr.As4()
		copy(s[4:], ip[:])
		clear(s[8:unix.SizeofSockaddrInet4])
		return unix.SizeofSockaddrInet4
	}
	scope, ok := zoneIndex(addr.Zone())
	if !ok {
		return 0
	}
	binary.NativeEndian.PutUint32(s[4:], 0)
	ip := addr.As16()
	copy(s[8:], ip[:])
	binary.NativeEndian.PutUint32(s[24:], scope)
	return unix.SizeofSockaddrInet6
}

// get decodes what the kernel wrote; the zero address if it is of neither family.
func (s *sockaddr) get() netip.AddrPort {
	port := binary.BigEndian.Uint16(s[2:])
	switch binary.NativeEndian.Uint16(s[0:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s[4:])), port)
	case unix.AF_INET6:
		addr := netip.AddrFrom16([16]byte(s[8:])).Unmap()
		if scope := binary.NativeEndian.Uint32(s[24:]); scope != 0 && addr.Is6() {
			addr = addr.WithZone(strconv.FormatUint(uint64(scope), 10))
		}
		return netip.AddrPortFrom(addr, port)
	}
	return netip.AddrPort{}
}

// zoneIndex returns the index of the interface a zone names. Zones of addresses that
// were read are indices already; names come from people.
func zoneIndex(zone string) (index uint32, ok bool) {
	if zone == "" {
		return 0, true
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), true
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, false
	}
	return uint32(i.Index), true
}

// control is room for the control messages of one packet: the longest combination is
// IPV6_PKTINFO and UDP_SEGMENT, 40 and 24 bytes on 64-bit machines.
type control [64]byte

// putHeader writes the header of a control message at offset and returns where its
// data starts and where the next message would.
func (c *control) putHeader(offset int, level, kind int32, length int) (data, next int) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c[offset]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(length))
	return offset + unix.CmsgLen(0), offset + unix.CmsgSpace(length)
}

// putSource asks for local as the source address. An IPv6 socket takes IPv4-mapped
// addresses here as well.
func (c *control) putSource(offset int, family uint16, local netip.Addr) (next int) {
	if family == unix.AF_INET {
		data, next := c.putHeader(offset, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		clear(c[data:next]) // struct in_pktinfo: interface, source, unused
		ip := local.As4()
		copy(c[data+4:], ip[:])
		return next
	}
	data, next := c.putHeader(offset, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	clear(c[data:next]) // struct in6_pktinfo: source, interface
	ip := local.As16()
	copy(c[data:], ip[:])
	return next
}

// segmentSizeLength is the length in bytes of a UDP_SEGMENT message's data.
const segmentSizeLength = 2

// putSegmentSize asks the kernel to cut the message into datagrams of size bytes.
func (c *control) putSegmentSize(offset, size int) (next int) {
	data, next := c.putHeader(offset, unix.SOL_UDP, unix.UDP_SEGMENT, segmentSizeLength)
	binary.NativeEndian.PutUint16(c[data:], uint16(size))
	return next
}

// putDontFragment asks that an IPv6 packet not be fragmented by this machine.
func (c *control) putDontFragment(offset int) (next int) {
	data, next := c.putHeader(offset, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 4)
	binary.NativeEndian.PutUint32(c[data:], 1)
	return next
}

// destination returns the address a received packet was sent to, from the first n
// bytes of control messages; the zero address if they do not say.
func (c *control) destination(n int) netip.Addr {
	for rest := c[:min(n, len(c))]; len(rest) >= unix.CmsgLen(0); {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		length := int(h.Len)
		if length < unix.CmsgLen(0) || length > len(rest) {
			break
		}
		data := rest[unix.CmsgLen(0):length]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(data[8:])) // after interface and reply source
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(data)).Unmap()
		}
		rest = rest[min(unix.CmsgSpace(len(data)), len(rest)):]
	}
	return netip.Addr{}
}
