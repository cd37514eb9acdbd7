//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"encoding/binary"
	"net/netip"
)

// datagram is a UDP datagram in an Ethernet frame, as these tests make and read them:
// written from the RFCs, with nothing of the program's.
type datagram struct {
	destination, source MAC
	from, to            netip.AddrPort
	payload             []byte

	id    uint16 // IPv4's
	ttl   uint8
	class uint8
	sum   sumKind
	odd   uint16 // what a wrong checksum makes the datagram sum up to, not 0xFFFF
}

// sumKind is how the UDP checksum is filled in.
type sumKind int

const (
	wholeSum   sumKind = iota // as RFC 768 says
	noSum                     // zero
	pendingSum                // left to a device: the pseudo-header's sum alone
	wrongSum                  // the datagram was damaged
)

const (
	ethernetLen = 14
	udpLen      = 8
)

func (d *datagram) six() bool { return d.from.Addr().Is6() }

func (d *datagram) ipLen() int {
	if d.six() {
		return 40
	}
	return 20
}

// frame returns the datagram as it lies on the wire, without padding.
func (d *datagram) frame() []byte {
	f := append(d.destination[:], d.source[:]...)
	if d.six() {
		f = append(f, 0x86, 0xDD)
	} else {
		f = append(f, 0x08, 0x00)
	}
	f = d.appendIP(f, udpLen+len(d.payload))
	return d.appendUDP(f)
}

func (d *datagram) appendIP(f []byte, length int) []byte {
	if d.six() {
		f = append(f, 0x60|d.class>>4, d.class<<4, 0, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(length))
		f = append(f, 17, d.ttl)
		f = append(f, d.from.Addr().AsSlice()...)
		return append(f, d.to.Addr().AsSlice()...)
	}
	start := len(f)
	f = append(f, 0x45, d.class)
	f = binary.BigEndian.AppendUint16(f, uint16(20+length))
	f = binary.BigEndian.AppendUint16(f, d.id)
	f = append(f, 0, 0, d.ttl, 17, 0, 0)
	f = append(f, d.from.Addr().AsSlice()...)
	f = append(f, d.to.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(f[start+10:], ^ones(f[start:]))
	return f
}

func (d *datagram) appendUDP(f []byte) []byte {
	start := len(f)
	f = binary.BigEndian.AppendUint16(f, d.from.Port())
	f = binary.BigEndian.AppendUint16(f, d.to.Port())
	f = binary.BigEndian.AppendUint16(f, uint16(udpLen+len(d.payload)))
	f = append(f, 0, 0)
	f = append(f, d.payload...)
	pseudo := d.pseudo(udpLen + len(d.payload))
	binary.BigEndian.PutUint16(f[start+6:], d.checksum(pseudo, f[start:]))
	return f
}

// checksum returns the field's value for a datagram in which it is zero.
func (d *datagram) checksum(pseudo, udp []byte) uint16 {
	total := uint16(0xFFFF)
	switch d.sum {
	case noSum:
		return 0
	case pendingSum:
		return ones(pseudo)
	case wrongSum:
		total = d.odd
	}
	missing := ^ones(append(pseudo, udp...))
	if sum := ones([]byte{byte(missing >> 8), byte(missing), byte(total >> 8), byte(total)}); sum != 0 {
		return sum
	}
	return 0xFFFF
}

// pseudo returns the pseudo-header (RFC 768, RFC 8200 §8.1); that of IPv4 sums up to
// the same in IPv6's form.
func (d *datagram) pseudo(length int) []byte {
	p := append(d.from.Addr().AsSlice(), d.to.Addr().AsSlice()...)
	p = binary.BigEndian.AppendUint32(p, uint32(length))
	return append(p, 0, 0, 0, 17)
}

// ones returns the ones' complement sum of bytes (RFC 1071).
func ones(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i++ {
		if i%2 == 0 {
			sum += uint32(b[i]) << 8
		} else {
			sum += uint32(b[i])
		}
		sum = sum&0xFFFF + sum>>16
	}
	return uint16(sum)
}

// read returns what a host's network stack would make of a frame: the UDP datagram in
// it, if there is a whole one. Of a wrong UDP checksum, and of padding after the packet,
// it tells.
func read(f []byte) (d datagram, padded, ok bool) {
	if len(f) < ethernetLen {
		return d, false, false
	}
	d.destination, d.source = MAC(f[:6]), MAC(f[6:12])
	packet := f[ethernetLen:]
	var udp []byte
	switch binary.BigEndian.Uint16(f[12:]) {
	case 0x0800:
		udp, ok = d.readIP4(packet)
	case 0x86DD:
		udp, ok = d.readIP6(packet)
	}
	if !ok || !d.readUDP(udp) {
		return d, false, false
	}
	return d, len(packet) > d.ipLen()+len(udp), true
}

func (d *datagram) readIP4(p []byte) (udp []byte, ok bool) {
	if len(p) < 20 || p[0] != 0x45 || p[9] != 17 || ones(p[:20]) != 0xFFFF {
		return nil, false
	}
	length := int(binary.BigEndian.Uint16(p[2:]))
	if length < 20 || length > len(p) || binary.BigEndian.Uint16(p[6:])&0x3FFF != 0 {
		return nil, false
	}
	d.class, d.id, d.ttl = p[1], binary.BigEndian.Uint16(p[4:]), p[8]
	d.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:])), 0)
	d.to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:])), 0)
	return p[20:length], true
}

func (d *datagram) readIP6(p []byte) (udp []byte, ok bool) {
	if len(p) < 40 || p[0]>>4 != 6 || p[6] != 17 {
		return nil, false
	}
	length := int(binary.BigEndian.Uint16(p[4:]))
	if 40+length > len(p) {
		return nil, false
	}
	d.class, d.ttl = p[0]<<4|p[1]>>4, p[7]
	d.from = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[8:])), 0)
	d.to = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[24:])), 0)
	return p[40 : 40+length], true
}

func (d *datagram) readUDP(u []byte) bool {
	if len(u) < udpLen {
		return false
	}
	length := int(binary.BigEndian.Uint16(u[4:]))
	if length < udpLen || length > len(u) {
		return false
	}
	d.from = netip.AddrPortFrom(d.from.Addr(), binary.BigEndian.Uint16(u))
	d.to = netip.AddrPortFrom(d.to.Addr(), binary.BigEndian.Uint16(u[2:]))
	d.payload = u[udpLen:length]
	sum := binary.BigEndian.Uint16(u[6:])
	pseudo := d.pseudo(length)
	switch {
	case sum == 0:
		d.sum = noSum
		return !d.six()
	case sum == ones(pseudo):
		d.sum = pendingSum
		return true
	}
	if d.odd = ones(append(pseudo, u[:length]...)); d.odd != 0xFFFF {
		d.sum = wrongSum
	}
	return true
}
