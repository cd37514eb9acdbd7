package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"
)

// Random bytes, and requests that turn into them half way, leave HTTP and the relay
// healthy.
func TestServeOutlivesNoiseOverHTTP(t *testing.T) {
	s := startServe(t)
	noise := rand.New(rand.NewPCG(1, 2))
	beginnings := []string{
		"", "GET / HTTP/1.1\r\n", "POST /v1/credentials HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n{",
		"GET /v1/signal HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer x\r\n\r\n",
	}
	for i := range 200 {
		conn, err := net.Dial("tcp", s.ready.text("http"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		bytes := make([]byte, 1+noise.IntN(2000))
		for j := range bytes {
			bytes[j] = byte(noise.Uint32())
		}
		// The server may have hung up before all is sent, and that is fine.
		_, _ = fmt.Fprintf(conn, "%s%s", beginnings[i%len(beginnings)], bytes)
		_ = conn.Close()
	}
	if code, body := s.get("/readyz"); code != http.StatusOK {
		t.Errorf("afterwards: %d %s", code, body)
	}
	if err := s.loop(s.login()); err != nil {
		t.Error(err)
	}
}
