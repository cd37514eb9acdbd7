package control

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// heap returns the bytes of live memory.
func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// strangers are what clients without credentials, or with wrong ones, send.
func strangers(r *rig) [][]byte {
	anonymous, forger := r.dial(alice), r.login(alice, "alice")
	forger.password = "wrong"
	forged := forger.build(stun.MethodAllocate, requestUDP)
	forger.nonce = []byte("obMatJos2AAAAaaaaaaaaaaaaaaa")
	return [][]byte{
		anonymous.build(stun.MethodBinding),
		anonymous.build(stun.MethodAllocate, requestUDP),
		anonymous.build(stun.MethodBinding),
		anonymous.build(stun.MethodRefresh, lifetime(0)),
		anonymous.build(stun.MethodBinding, attr(0x7F01)),
		anonymous.build(stun.MethodCreatePermission, peerAt(peerA)),
		forged,
		forger.build(stun.MethodAllocate, requestUDP), // SEC-23: a nonce that is not ours
	}
}

// SEC-22, SEC-23: a million requests without a good credential, from as many sources,
// leave no state, no memory, no goroutine and no event.
func TestStrangersLeaveNothing(t *testing.T) {
	requests := 1_000_000
	if underRace || testing.Short() {
		requests = 50_000
	}
	r := newRig(t, nil)
	messages := strangers(r)
	random := rand.New(rand.NewPCG(1, 2))
	room := make([]byte, 512)
	flood := func(n int) {
		from := r.dial(alice).from
		for i := range n {
			ip := [4]byte{192, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())}
			from.Client = netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(random.Uint32()))
			if got := r.server.Handle(r.now(), &from, messages[i%len(messages)], room[:0]); len(got.Reply) == 0 || len(got.Reply) > 72 {
				t.Fatalf("a reply of %d bytes", len(got.Reply))
			}
		}
	}
	flood(1000) // what is pooled is there from now on
	before, goroutines := heap(), runtime.NumGoroutine()
	flood(requests)
	if grown := heap() - before; grown > 64<<10 {
		t.Errorf("SEC-22: %d bytes are kept after %d requests", grown, requests)
	}
	s := r.server
	state := len(s.allocations) + len(s.users) + len(s.addresses) + len(s.reservations) + len(s.reserved) + len(s.answered)
	if state+len(r.told())+len(r.sockets) > 0 || runtime.NumGoroutine() > goroutines {
		t.Errorf("SEC-22: state %d, events %v, sockets %d, goroutines %d", state, r.told(), len(r.sockets), runtime.NumGoroutine())
	}
	stats := s.Stats()
	if stats.Refused[NoCredentials] == 0 || stats.Refused[WrongSecret] == 0 || stats.Bindings == 0 {
		t.Errorf("%+v", stats)
	}
}

// SEC-20: secrets are rotated under load, and nobody is refused.
func TestRotationUnderLoad(t *testing.T) {
	const rotations = credentials.MaxSecrets - 1 // so that no secret in use is dropped
	r := newRig(t, nil)
	progress, done := make(chan struct{}), make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		q := r.login(fmt.Sprintf("192.0.2.%d:7", i+1), "alice")
		q.allocate()
		clients.Go(func() {
			for {
				for range 5 {
					if got := r.server.Handle(r.now(), &q.from, q.build(stun.MethodRefresh), nil); got.Reason != None {
						t.Errorf("SEC-20: %v", got.Reason)
					}
				}
				fresh, err := r.secrets.Mint("alice", time.Hour, r.now()) // by the newest secret
				if err != nil {
					t.Error(err)
				}
				q.username, q.password = fresh.Username, fresh.Password
				select {
				case progress <- struct{}{}:
				case <-done:
					return
				}
			}
		})
	}
	secrets := []credentials.Secret{credentials.UnsafeSecret(secret)}
	for range rotations {
		secrets = append([]credentials.Secret{credentials.RandomSecret()}, secrets...)
		if err := r.secrets.Rotate(secrets); err != nil {
			t.Error(err)
		}
		for range 20 {
			<-progress
		}
	}
	close(done)
	clients.Wait()
}

// soaked is an allocation at the end of its lifetime, and what its client asks then.
type soaked struct {
	*client
	relayed  netip.AddrPort
	requests [][]byte
}

// soak makes an allocation that has its lifetime, and its nonce, just behind it.
func soak(r *rig, round int) *soaked {
	s := &soaked{client: r.login(alice, "alice")}
	s.relayed = s.allocate()
	s.bind(0, 0x4000, peerA)
	r.pass(300 * time.Second)
	s.as("alice")
	s.requests = [][]byte{
		s.build(stun.MethodCreatePermission, peerAt(peerA), peerAt(peerB)),
		s.build(stun.MethodCreatePermission, peerAt(fmt.Sprintf("1.2.%d.%d:1", round/256, round%256))),
		s.build(stun.MethodChannelBind, channel(0x4000), peerAt(peerA)),
		s.build(stun.MethodRefresh),
		s.build(stun.MethodAllocate, requestUDP),
		s.build(stun.MethodRefresh, lifetime(0)),
	}
	r.pass(300 * time.Second)
	return s
}

// soaker does one thing to an allocation while others do other things to it. It is one
// goroutine.
type soaker struct {
	*rand.Rand
	worker *relay.Worker
	do     func(*soaker, *soaked)
	jobs   chan *soaked
}

// moment returns a time around the end of the lifetime.
func (w *soaker) moment(s *soaked) time.Time {
	return s.now().Add(time.Duration(w.IntN(3)-1) * time.Millisecond)
}

// soakers do all that may happen at once.
var soakers = map[string]func(*soaker, *soaked){
	"the clock": func(w *soaker, s *soaked) {
		for range 3 {
			s.server.Tick(w.moment(s).Add(time.Second))
		}
	},
	"requests": func(w *soaker, s *soaked) {
		for _, msg := range s.requests {
			s.server.Handle(w.moment(s), &s.from, msg, nil)
		}
	},
	"requests, and the end of the connection": func(w *soaker, s *soaked) {
		for _, msg := range slices.Backward(s.requests) {
			s.server.Handle(w.moment(s), &s.from, msg, nil)
		}
		s.server.ClientGone(s.now(), &s.from)
	},
	"packets of the client": func(w *soaker, s *soaked) {
		for range 5 {
			p := packet(channelData(0x4000, "x", 0), s.from.Client)
			w.worker.FromClient(s.instant(), &s.from.FiveTuple, &p)
			w.worker.Flush()
		}
	},
	"packets of the peer": func(_ *soaker, s *soaked) {
		if at := s.socketAt(s.relayed); at != nil {
			at.receive(peerA, []byte("x"))
		}
	},
	"the operator": func(_ *soaker, s *soaked) {
		s.server.SetPolicy(s.now(), s.server.policy.Load())
		s.server.SetQuota(DefaultQuota())
		s.server.Stats()
	},
}

// SEC-37: lifetimes end in the midst of bursts of requests and packets.
func TestExpiryUnderLoad(t *testing.T) {
	rounds := 10_000
	if testing.Short() {
		rounds = 2000
	}
	r := newRig(t, nil)
	var busy sync.WaitGroup
	var all []*soaker
	for name, do := range soakers {
		seed := rand.NewPCG(uint64(len(name)), 37)
		w := &soaker{rand.New(seed), r.server.config.Table.Borrow(), do, make(chan *soaked)}
		all = append(all, w)
		go func() {
			for s := range w.jobs {
				w.do(w, s)
				busy.Done()
			}
		}()
		defer close(w.jobs)
	}
	for round := range rounds {
		s := soak(r, round)
		busy.Add(len(all))
		for _, w := range all {
			w.jobs <- s
		}
		busy.Wait()
		r.wait(3602 * time.Second) // past every lifetime
		r.listen.sent = nil
		if len(r.sockets) > 0 {
			t.Fatalf("SEC-37: round %d: %d sockets are left", round, len(r.sockets))
		}
	}
}
