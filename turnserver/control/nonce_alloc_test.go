//go:build !race

package control

import "testing"

// Under the race detector a sync.Pool forgets at random, so this is not tested there.
func TestNonceAllocatesNothing(t *testing.T) {
	n := testNonces(t, 1)
	buf := n.append(nil, nonceClient, nonceTime)
	if got := testing.AllocsPerRun(200, func() {
		if buf = n.append(buf[:0], nonceClient, nonceTime); !n.valid(buf, nonceClient, nonceTime) {
			t.Fatal("invalid")
		}
	}); got != 0 {
		t.Errorf("making and checking a nonce allocates %v times", got)
	}
}
