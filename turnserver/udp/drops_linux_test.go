package udp

import (
	"testing"
	"time"
)

// TestDrops sends more than a socket that nobody reads has room for.
func TestDrops(t *testing.T) {
	reader := backends[0].open(t, "127.0.0.1:0", Options{ReceiveBuffer: 4096})
	writer := backends[0].open(t, "127.0.0.1:0", Options{})
	if n := reader.Drops(); n != 0 {
		t.Errorf("%d dropped before anything was sent", n)
	}
	w, ps := NewWriter(), []Packet{packet(loopback(reader, "127.0.0.1"), pattern(1000, 1))}
	for deadline := time.Now().Add(10 * time.Second); reader.Drops() == 0; {
		if _, err := writer.WriteBatch(w, ps); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was ever dropped")
		}
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if n := reader.Drops(); n != 0 {
		t.Errorf("%d dropped by a closed socket", n)
	}
}
