package offload

import (
	"encoding/binary"
	"net/netip"

	"hairpin/turnserver/offload/xdp"
)

// datagram is a UDP datagram in an Ethernet frame, as the program sends it: TTL 64, no
// options, no flags.
type datagram struct {
	destination, source xdp.MAC
	from, to            netip.AddrPort // one family
	payload             []byte
}

const (
	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86DD

	protocolUDP  = 17
	hopLimit     = 64
	ipv4Length   = 20
	ipv4Checksum = 10 // its offset in the header
)

// frame returns the frame, with whole checksums. The identification of an IPv4 packet is
// zero.
func (d datagram) frame() []byte {
	udp := d.udp()
	frame := append(d.destination[:], d.source[:]...)
	if d.from.Addr().Is6() {
		frame = binary.BigEndian.AppendUint16(frame, etherTypeIPv6)
		frame = binary.BigEndian.AppendUint32(frame, 6<<28)
		frame = binary.BigEndian.AppendUint16(frame, uint16(len(udp)))
		frame = append(frame, protocolUDP, hopLimit)
		return append(append(frame, d.addresses()...), udp...)
	}
	frame = binary.BigEndian.AppendUint16(frame, etherTypeIPv4)
	header := []byte{0x45, 0}
	header = binary.BigEndian.AppendUint16(header, uint16(ipv4Length+len(udp)))
	header = append(header, 0, 0, 0, 0, hopLimit, protocolUDP, 0, 0)
	header = append(header, d.addresses()...)
	binary.BigEndian.PutUint16(header[ipv4Checksum:], ^sum(0, header))
	return append(append(frame, header...), udp...)
}

func (d datagram) addresses() []byte {
	return append(d.from.Addr().AsSlice(), d.to.Addr().AsSlice()...)
}

// udp returns the UDP header and the payload.
func (d datagram) udp() []byte {
	const header = 8
	size := header + len(d.payload)
	udp := binary.BigEndian.AppendUint16(nil, d.from.Port())
	udp = binary.BigEndian.AppendUint16(udp, d.to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(size))
	udp = append(append(udp, 0, 0), d.payload...)
	checksum := ^sum(sum(sum(0, []byte{0, protocolUDP, byte(size >> 8), byte(size)}), d.addresses()), udp)
	if checksum == 0 {
		checksum = 0xFFFF // RFC 768: zero means that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], checksum)
	return udp
}

// sum adds bytes to a ones' complement sum, the last padded with a zero.
func sum(before uint16, b []byte) uint16 {
	total := uint32(before)
	for i, octet := range b {
		total += uint32(octet) << (8 * (1 - i%2))
		total = total&0xFFFF + total>>16
	}
	return uint16(total&0xFFFF + total>>16)
}
