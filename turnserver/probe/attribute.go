package probe

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"
)

// Attributes that package stun has no name for.
const (
	attrAdditionalAddressFamily stun.AttrType = 0x8000 // RFC 8656 §18.11
	attrMobilityTicket          stun.AttrType = 0x8030 // RFC 8016 §5
)

// Values of attributes (RFC 8656 §18).
const (
	familyIPv4   = 0x01
	familyIPv6   = 0x02
	protocolTCP  = 6
	protocolUDP  = 17
	evenPortNext = 0x80 // the R bit
)

// attribute is any attribute, ready to be added to a message.
type attribute struct {
	kind  stun.AttrType
	value []byte
}

func (a attribute) AddTo(m *stun.Message) error {
	m.Add(a.kind, a.value)
	return nil
}

// requestedTransport is REQUESTED-TRANSPORT (RFC 8656 §18.8).
func requestedTransport(protocol byte) attribute {
	return attribute{stun.AttrRequestedTransport, []byte{protocol, 0, 0, 0}}
}

// lifetime is LIFETIME in whole seconds (RFC 8656 §18.2).
func lifetime(d time.Duration) attribute {
	return attribute{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))}
}

// xorAddress is an address attribute as RFC 8489 §14.2 obscures it. An IPv4-mapped
// address stays an IPv6 address, which package stun would not let through.
type xorAddress struct {
	kind    stun.AttrType
	address netip.AddrPort
}

func xorPeer(peer netip.AddrPort) xorAddress { return xorAddress{stun.AttrXORPeerAddress, peer} }

func (x xorAddress) AddTo(m *stun.Message) error {
	family := byte(familyIPv6)
	if x.address.Addr().Is4() {
		family = familyIPv4
	}
	value := binary.BigEndian.AppendUint16([]byte{0, family}, x.address.Port())
	value = append(value, x.address.Addr().AsSlice()...)
	obscure(value, m)
	m.Add(x.kind, value)
	return nil
}

// obscure exchanges the port and address of an attribute with the magic cookie and
// transaction identifier; doing it twice does nothing.
func obscure(value []byte, m *stun.Message) {
	mask := binary.BigEndian.AppendUint32(nil, magicCookie)
	mask = append(mask, m.TransactionID[:]...)
	for i := range value[4:] {
		value[4+i] ^= mask[i]
	}
	value[2] ^= mask[0]
	value[3] ^= mask[1]
}

// magicCookie is what every message holds after its length (RFC 8489 §5).
const magicCookie = 0x2112A442

// addressOf returns the first address attribute of a kind. It takes XORed ones only.
func addressOf(m *stun.Message, kind stun.AttrType) (netip.AddrPort, bool) {
	value, err := m.Get(kind)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return decodeAddress(value, m)
}

func decodeAddress(value []byte, m *stun.Message) (netip.AddrPort, bool) {
	if len(value) != 8 && len(value) != 20 {
		return netip.AddrPort{}, false
	}
	plain := append([]byte(nil), value...)
	obscure(plain, m)
	address, _ := netip.AddrFromSlice(plain[4:]) // the length is one of the two
	if want := byte(familyIPv6); address.Is4() {
		want = familyIPv4
		if plain[1] != want {
			return netip.AddrPort{}, false
		}
	} else if plain[1] != want {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(address, binary.BigEndian.Uint16(plain[2:])), true
}

// addressesOf returns every address attribute of a kind.
func addressesOf(m *stun.Message, kind stun.AttrType) (all []netip.AddrPort) {
	for _, a := range m.Attributes {
		if a.Type == kind {
			if address, ok := decodeAddress(a.Value, m); ok {
				all = append(all, address)
			}
		}
	}
	return all
}

// maxText is how much of a text of the server's is kept (RFC 8489 §14.14), in bytes.
const maxText = 763

// textOf returns a text attribute, bounded; it may hold anything.
func textOf(m *stun.Message, kind stun.AttrType) string {
	value, _ := m.Get(kind)
	return string(value[:min(len(value), maxText)])
}
