package control

import (
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// SEC-15: an allocation ends with the credential that it was made with, unless it is
// refreshed with a newer one of the same user.
func TestStrictExpiry(t *testing.T) {
	t.Run("LIFETIME is bounded by the credential", func(t *testing.T) {
		q := newRig(t, nil).dial(alice).with("alice", 200*time.Second)
		got := q.want(0, stun.MethodAllocate, requestUDP, lifetime(3600))
		q.wait(150 * time.Second)
		refreshed := q.want(0, stun.MethodRefresh)
		if got.lifetime() != 200 || refreshed.lifetime() != 50 {
			t.Errorf("lifetimes %d and %d", got.lifetime(), refreshed.lifetime())
		}
		q.wait(50*time.Second - time.Millisecond)
		if q.socketAt(got.relayed()) == nil {
			t.Error("ended before the credential")
		}
		q.wait(time.Second + time.Millisecond)
		if q.socketAt(got.relayed()) != nil {
			t.Error("outlived the credential")
		}
		q.do(stun.MethodRefresh).wantChallenge(t, 401, Expired)
	})
	t.Run("LIFETIME is never 0 of an allocation that lives", func(t *testing.T) {
		q := newRig(t, nil).dial(alice).with("alice", time.Second)
		q.pass(700 * time.Millisecond)
		if got := q.want(0, stun.MethodAllocate, requestUDP); got.lifetime() != 1 {
			t.Errorf("lifetime %d", got.lifetime())
		}
	})
}

// And it lives as long as the newest credential it was refreshed with.
func TestNewerCredential(t *testing.T) {
	t.Run("a newer credential prolongs it", func(t *testing.T) {
		q := newRig(t, nil).dial(alice).with("alice", 200*time.Second)
		relayed := q.allocate()
		older := *q
		q.with("alice", 400*time.Second)
		if got := q.want(0, stun.MethodRefresh); got.lifetime() != 400 {
			t.Errorf("lifetime %d", got.lifetime())
		}
		q.wait(100 * time.Second)
		if got := older.want(0, stun.MethodRefresh); got.lifetime() != 300 { // an older one takes nothing away
			t.Errorf("lifetime %d", got.lifetime())
		}
		q.wait(200 * time.Second)
		if q.socketAt(relayed) == nil {
			t.Error("ended with the older credential")
		}
		q.want(0, stun.MethodCreatePermission, peerAt(peerA))
		q.wait(101 * time.Second)
		if q.socketAt(relayed) != nil {
			t.Error("outlived the newer credential")
		}
	})
	t.Run("any request with a newer credential, but Refresh, leaves it", func(t *testing.T) {
		q := newRig(t, nil).dial(alice).with("alice", 200*time.Second)
		relayed := q.allocate()
		q.as("alice").want(0, stun.MethodCreatePermission, peerAt(peerA))
		q.wait(201 * time.Second)
		if q.socketAt(relayed) != nil {
			t.Error("was prolonged")
		}
	})
	t.Run("another user's newer credential", func(t *testing.T) {
		q := newRig(t, nil).dial(alice).with("alice", 200*time.Second)
		q.allocate()
		q.as("bob").want(441, stun.MethodRefresh)
	})
}

func TestKeepExpired(t *testing.T) {
	q := newRig(t, func(c *Config) { c.KeepExpired, c.Observe = true, nil }).dial(alice).with("alice", 200*time.Second)
	got := q.want(0, stun.MethodAllocate, requestUDP)
	if got.lifetime() != 600 {
		t.Errorf("lifetime %d", got.lifetime())
	}
	q.wait(599 * time.Second)
	if q.socketAt(got.relayed()) == nil {
		t.Fatal("ended with its credential")
	}
	q.do(stun.MethodRefresh).wantChallenge(t, 401, Expired) // it cannot be prolonged without a good one
	q.as("alice").want(0, stun.MethodRefresh)
	q.wait(601 * time.Second)
	if q.socketAt(got.relayed()) != nil {
		t.Error("outlived its lifetime")
	}
}
