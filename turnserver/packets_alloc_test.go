//go:build !race

package turnserver

import (
	"net/netip"
	"testing"

	"hairpin/credentials"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"

	"github.com/pion/stun/v3"
)

// What cannot make progress costs no memory, and neither does what is answered in place.
func TestHopelessPacketsAllocateNothing(t *testing.T) { // SEC-25, SEC-26
	secrets, err := credentials.NewSecrets(credentials.RandomSecret())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		Listen:      []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Relays:      []relay.Address{{Local: loopback4, Advertised: loopback4}},
		Credentials: secrets, UnauthenticatedRate: 1, Sockets: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := newPacketLoop(s, s.packets[0])
	bind, bare := claim(t, stun.MethodBinding, ""), claim(t, stun.MethodAllocate, "")
	for name, data := range map[string][]byte{
		"no byte":                      {},
		"a DTLS alert":                 {21, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40},
		"a DTLS application record":    {23, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7},
		"ChannelData of nobody":        {0x40, 0, 0, 1, 7, 0, 0, 0},
		"noise":                        {0xFF, 1, 2, 3},
		"Binding, within and beyond":   bind,
		"an Allocate beyond the limit": bare,
	} {
		buf := make([]byte, 2048)
		p := udp.Packet{Buf: buf, End: copy(buf, data), Remote: netip.MustParseAddrPort("127.0.0.9:9")}
		var again udp.Packet
		packet := func() {
			again = p
			l.packet(s.table.Now(), &again)
			l.flush()
		}
		for range 10 { // beyond the limit, and with the pools warm
			packet()
		}
		if n := testing.AllocsPerRun(500, packet); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
