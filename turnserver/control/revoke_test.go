package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// SEC-57: whoever is revoked gets a 401, and its traffic stops; nobody else's does.
func TestRevoke(t *testing.T) {
	r := newRig(t, nil)
	q, other := r.dial(alice).with("alice", 200*time.Second), r.login(alice6, "bob")
	relayed := q.allocate()
	kept := other.allocate(family(2))
	q.want(0, stun.MethodCreatePermission, peerAt(peerA))
	r.server.Revoke(r.now(), "alice", r.now().Add(time.Hour))
	if q.socketAt(relayed) != nil || q.socketAt(kept) == nil {
		t.Error("the wrong allocations live")
	}
	for _, method := range []stun.Method{stun.MethodRefresh, stun.MethodAllocate, stun.MethodCreatePermission} {
		q.do(method, requestUDP).wantChallenge(t, 401, Revoked)
	}
	other.want(0, stun.MethodRefresh)

	// What is issued later, and so expires later, is good.
	q.with("alice", time.Hour).do(stun.MethodAllocate, requestUDP).wantChallenge(t, 401, Revoked)
	q.with("alice", time.Hour+time.Second).allocate()
	r.server.Revoke(r.now(), "alice", r.now()) // an earlier end takes nothing back
	q.with("alice", time.Hour).do(stun.MethodRefresh).wantChallenge(t, 401, Revoked)
}

// The memory of the revoked is bounded, and those without credentials are forgotten first.
func TestRevokedAreBounded(t *testing.T) {
	r := newRig(t, nil)
	r.server.Revoke(r.now(), "gone", r.now().Add(-time.Second))
	for i := range maxRevoked + 1 {
		r.server.Revoke(r.now(), fmt.Sprint(i), r.now().Add(time.Duration(i+1)*time.Second))
	}
	if n := len(r.server.revoked); n != maxRevoked {
		t.Errorf("%d users are remembered", n)
	}
	for user, want := range map[string]bool{"gone": false, "0": false, "1": true, fmt.Sprint(maxRevoked): true} {
		if _, known := r.server.revoked[user]; known != want {
			t.Errorf("user %s is remembered: %v", user, known)
		}
	}
}
