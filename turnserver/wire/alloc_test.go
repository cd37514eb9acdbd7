//go:build !race

package wire

import (
	"testing"

	"github.com/pion/stun/v3"
)

func TestNothingAllocates(t *testing.T) {
	send := message(t, sendType, peerV4, attr(stun.AttrData, 1, 2, 3))
	bind := message(t, bindType)
	channelData := []byte{0x40, 0, 0, 1, 7, 0, 0, 0}
	buf := make([]byte, 128)
	allocs := testing.AllocsPerRun(100, func() {
		_ = Classify(send)
		_, _, _ = ParseChannelData(channelData)
		_, _ = ParseSendIndication(send)
		_, _, _ = PutDataIndication(buf, 64, 100, TransactionID{}, peers[1])
		_, _ = Claim(send)
		_ = AnswerBinding(buf, bind, peers[0])
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
