//go:build !race

package nat_test

import (
	"testing"

	"hairpin/turnserver/nat"

	"github.com/pion/stun/v3"
)

func TestRespondAllocatesNothing(t *testing.T) {
	s := sites()[1]
	r, dst := s.responder(t), make([]byte, nat.MaxResponseLen)
	for _, m := range []*stun.Message{
		binding(t),
		binding(t, change(6), stun.Fingerprint),
		binding(t, raw(stun.AttrPadding, make([]byte, 2048)...)),
		binding(t, raw(0x7F00), raw(0x7F01)),
	} {
		if n := testing.AllocsPerRun(100, func() { r.Respond(dst, m.Raw, s.client, s.at(0, 0)) }); n != 0 {
			t.Errorf("%v allocations a request: %v", n, m)
		}
	}
}
