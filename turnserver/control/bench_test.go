package control

import (
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// handle measures one request that is answered the same every time.
func handle(b *testing.B, code int, build func(*client) []byte) {
	q := newRig(b, nil).dial(alice)
	msg, room := build(q), make([]byte, 512)
	if got := q.exchange(msg); got.code != code {
		b.Fatalf("code %d", got.code)
	}
	b.ReportAllocs()
	for b.Loop() {
		q.server.Handle(q.now(), &q.from, msg, room[:0])
	}
}

// A Binding request that is not answered in place.
func BenchmarkBinding(b *testing.B) {
	handle(b, 0, func(q *client) []byte { return q.build(stun.MethodBinding, attr(stun.AttrSoftware, 'x')) })
}

// The 401 that every client gets first.
func BenchmarkChallenge(b *testing.B) {
	handle(b, 401, func(q *client) []byte { return q.build(stun.MethodAllocate, requestUDP) })
}

// An authenticated request that changes next to nothing.
func BenchmarkCreatePermission(b *testing.B) {
	handle(b, 0, func(q *client) []byte {
		q.as("alice").allocate()
		return q.build(stun.MethodCreatePermission, peerAt(peerA))
	})
}

// The whole life of an allocation: an authenticated Allocate and a Refresh with
// lifetime 0, sockets aside.
func BenchmarkAllocate(b *testing.B) {
	const lives = 1000 // that are prepared at once, so that preparing them is not measured
	q := newRig(b, func(c *Config) { c.Observe = nil }).dial(alice)
	var requests [][2][]byte
	room := make([]byte, 512)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%lives == 0 {
			b.StopTimer()
			requests = requests[:0]
			q.as("alice")
			for range lives {
				requests = append(requests, [2][]byte{
					q.build(stun.MethodAllocate, requestUDP), q.build(stun.MethodRefresh, lifetime(0)),
				})
			}
			q.wait(time.Minute) // ports have rested
			b.StartTimer()
		}
		for _, msg := range requests[i%lives] {
			if got := q.server.Handle(q.now(), &q.from, msg, room[:0]); got.Reason != None {
				b.Fatal(got.Reason)
			}
		}
	}
}
