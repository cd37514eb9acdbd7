package turnserver

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// attackers are clients of one source and many ports.
type attackers struct {
	*running
	source  []*raw
	witness *raw // of another source, with an allocation
	begun   time.Time
}

// startLimited runs a server that answers everyone ten times a second, loopback too,
// and packets in the order they come.
func startLimited(t *testing.T, ports int) *attackers {
	r := start(t, func(c *Config) { c.UnauthenticatedRate, c.Sockets = 10, 1 })
	a := &attackers{running: r, witness: r.rawFrom("127.0.0.2", "udp4", r.udp()), begun: time.Now()}
	a.witness.login("witness")
	a.witness.allocateRelayed()
	for range ports {
		a.source = append(a.source, r.rawFrom("127.0.0.3", "udp4", r.udp()))
	}
	return a
}

// attack sends requests from all ports, in bursts that the kernel's buffers hold. The
// server has dealt with each burst when the witness has its answer, which it always
// gets.
func (a *attackers) attack(requests int, make func(port, i int) []byte) {
	a.t.Helper()
	const burst = 192
	for i := range requests {
		port := i % len(a.source)
		a.source[port].send(make(port, i))
		if i%burst == burst-1 || i == requests-1 {
			a.witness.must(stun.MethodRefresh)
		}
	}
}

// answered counts what the attackers got, which was sent before the witness's last.
func (a *attackers) answered() int {
	a.t.Helper()
	var all sync.WaitGroup
	var n atomic.Int64
	deadline := time.Now().Add(200 * time.Millisecond)
	for _, q := range a.source {
		_ = q.conn.SetReadDeadline(deadline)
		all.Go(func() {
			buf := make([]byte, 1500)
			for {
				if _, err := q.conn.Read(buf); err != nil {
					return // at the deadline, when all is read
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	return int(n.Load())
}

// check makes sure that of so many requests no more were answered than a rate a second
// allows, and that all others were counted.
func (a *attackers) check(requests, rate int) {
	a.t.Helper()
	got, elapsed := a.answered(), time.Since(a.begun)
	most := rate + int(elapsed.Seconds()*float64(rate)) + 1
	if got > most || got < rate/2 {
		a.t.Errorf("%d of %d requests were answered in %v, want %d to %d", got, requests, elapsed, rate/2, most)
	}
	withheld := 0
	for _, n := range a.Stats().Withheld {
		withheld += int(n)
	}
	if withheld < requests-most {
		a.t.Errorf("%d of %d requests were counted, want %d at least", withheld, requests, requests-most)
	}
	a.t.Logf("%d of %d requests were answered in %v", got, requests, elapsed.Round(time.Millisecond))
}

// stamped returns a request as another transaction.
func stamped(request []byte, i int) []byte {
	binary.BigEndian.PutUint32(request[16:], uint32(i))
	return request
}

// Whoever forges a source has it sent next to nothing, whichever ports it claims; a
// client of another source notices nothing, and the owner of the forged one keeps what
// it has.
func TestAttackForgedSource(t *testing.T) { // SEC-25
	for name, c := range map[string]struct {
		method stun.Method
		rate   int
	}{"challenges": {stun.MethodAllocate, 10}, "bindings": {stun.MethodBinding, 50}} {
		t.Run(name, func(t *testing.T) {
			a := startLimited(t, 100)
			owner := a.rawFrom("127.0.0.3", "udp4", a.udp())
			owner.login("owner")
			owner.allocateRelayed()
			bare := a.source[0].build(c.method, requestUDP).Raw
			if c.method == stun.MethodBinding {
				bare = a.source[0].build(c.method).Raw
			}
			requests := effort(100_000)
			a.attack(requests, func(_, i int) []byte { return stamped(bare, i) })
			owner.must(stun.MethodRefresh)
			other := a.rawFrom("127.0.0.4", "udp4", a.udp())
			other.must(stun.MethodBinding)
			other.login("other")
			other.allocateRelayed()
			a.check(requests, c.rate)
		})
	}
}

// A thousand guesses are not told apart a thousand times, from one port or from many.
// Who knows the password is let in meanwhile.
func TestAttackGuesses(t *testing.T) { // SEC-13
	for _, ports := range []int{1, 200} {
		a := startLimited(t, ports)
		for _, q := range a.source {
			c := a.login("victim")
			q.username, q.password, q.realm, q.nonce = c.Username, rand.Text(), "hairpin", []byte("obMatJos2AAAA")
		}
		a.attack(1000, func(port, _ int) []byte { return a.source[port].build(stun.MethodAllocate, requestUDP).Raw })
		victim := a.rawFrom("127.0.0.4", "udp4", a.udp())
		victim.login("victim")
		victim.allocateRelayed()
		a.check(1000, 10)
		a.wait()
	}
}

// Nor are guesses at one username that come from two hundred sources, each with a nonce of its own and
// within its own budget; other names are answered meanwhile.
func TestAttackGuessesFromManySources(t *testing.T) { // SEC-13
	a := startLimited(t, 0)
	victim := a.login("victim")
	for i := range 200 {
		q := a.rawFrom(fmt.Sprintf("127.0.1.%d", i+1), "udp4", a.udp())
		q.login("victim")
		q.username, q.password = victim.Username, rand.Text()
		a.source = append(a.source, q)
	}
	a.begun = time.Now()
	a.attack(1000, func(port, _ int) []byte { return a.source[port].build(stun.MethodAllocate, requestUDP).Raw })
	other := a.rawFrom("127.0.0.4", "udp4", a.udp())
	other.login("other")
	right := other.password
	other.password = rand.Text()
	if code := errorCode(other.request(stun.MethodAllocate, requestUDP)); code != 401 {
		t.Errorf("the first wrong password of another name: %d, want 401", code)
	}
	other.password = right
	other.allocateRelayed()
	a.check(1000, 10)
	if n := a.Stats().Withheld[GuessUser]; n < 900 {
		t.Errorf("%d guesses at the name were counted", n)
	}
}

// Over TCP a guess is answered as seldom, a client without a credential at once.
func TestAttackGuessesOverTCP(t *testing.T) { // SEC-13
	r := start(t, func(c *Config) { c.UnauthenticatedRate = 10 })
	q := r.raw("tcp4", r.tcp())
	for range 100 {
		q.request(stun.MethodAllocate, requestUDP)
	}
	q.login("victim")
	right := q.password
	q.password = rand.Text()
	begun := time.Now()
	for range 1000 {
		q.send(q.build(stun.MethodAllocate, requestUDP).Raw)
	}
	q.password = right
	last, got := q.build(stun.MethodAllocate, requestUDP), 0
	q.send(last.Raw)
	for reply := new(stun.Message); ; got++ {
		if err := stun.Decode(q.receive(), reply); err != nil {
			t.Fatal(err)
		}
		if reply.TransactionID == last.TransactionID {
			break
		}
	}
	elapsed := time.Since(begun)
	if most := 10 + int(elapsed.Seconds()*10) + 1; got < 10 || got > most {
		t.Errorf("%d of 1000 guesses were answered in %v, want 10 to %d", got, elapsed, most)
	}
	if code := errorCode(last); code != 0 {
		t.Errorf("the right password is refused: %d", code)
	}
}
