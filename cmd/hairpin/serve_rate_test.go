package main

import (
	"net"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestUnauthenticatedRate(t *testing.T) {
	ten, none := 10, 0
	for configured, want := range map[*int]int{nil: 0, &ten: 10, &none: -1} {
		if got := unauthenticatedRate(configured); got != want {
			t.Errorf("%v is %d to the server, want %d", configured, got, want)
		}
	}
}

// A rate that is asked for holds for loopback too; without one, loopback has none. Of the
// former the server's look at itself, which comes from there, may have had its share.
func TestServeUnauthenticatedRate(t *testing.T) {
	for _, c := range []struct {
		flags       []string
		least, most int // answers of 100
	}{
		{[]string{"--unauthenticated-rate", "1"}, 1, 20},
		{[]string{"--unauthenticated-rate", "0"}, 100, 100},
		{nil, 100, 100},
	} {
		s := startServe(t, c.flags...)
		if n := bindingsAnswered(t, s.ready.text("udp"), 100); n < c.least || n > c.most {
			t.Errorf("%q: %d of 100 requests were answered, want %d to %d", c.flags, n, c.least, c.most)
		}
	}
}

// bindingsAnswered sends so many Binding requests at once, and counts the answers.
func bindingsAnswered(t *testing.T, server string, requests int) (answers int) {
	t.Helper()
	conn, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range requests {
		m, _ := stun.Build(stun.TransactionID, stun.BindingRequest) // cannot fail
		if _, err := conn.Write(m.Raw); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 1500)
	for answers < requests {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := conn.Read(buf); err != nil {
			break
		}
		answers++
	}
	return answers
}
