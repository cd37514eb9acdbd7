package turnserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// These tests attack a running server over real sockets. Each asks three things
// afterwards: that the server still serves, that its memory is what it was, and that
// no goroutine was left.

// heapSlack is how much the heap may grow under attack, in bytes. A thousandth of it
// for every packet would show.
const heapSlack = 1 << 20

// effort returns how often to do something that the race detector makes ten times
// slower.
func effort(full int) int {
	if raceEnabled || testing.Short() {
		return full / 10
	}
	return full
}

// residue is what a process holds.
type residue struct {
	heap       uint64 // bytes
	goroutines int
}

// measure returns what the process holds that it cannot let go of.
func measure() residue {
	runtime.GC()
	runtime.GC() // pools let go of their memory in the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return residue{m.HeapAlloc, runtime.NumGoroutine()}
}

// startAttacked runs a server, lets every part of it do its work once, and measures it.
func startAttacked(t *testing.T, change func(*Config)) (*running, residue) {
	t.Helper()
	r := start(t, change)
	r.checkHealth()
	waitFor(t, "the first clients to be gone", func() bool { return r.table.Len() == 0 && r.openStreams() == 0 })
	return r, measure()
}

// checkUnharmed makes sure that the server serves and holds no more than before, but
// for the allocations that are there.
func (r *running) checkUnharmed(before residue) {
	r.t.Helper()
	r.checkHealth()
	waitFor(r.t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before.goroutines+r.table.Len() })
	var now residue
	waitFor(r.t, "memory to be free again", func() bool {
		now = measure()
		return now.heap <= before.heap+heapSlack
	})
	r.t.Logf("heap %d kB before, %d kB after; %d goroutines before, %d after",
		before.heap>>10, now.heap>>10, before.goroutines, now.goroutines)
}

func (r *running) openStreams() (open int) {
	for _, s := range r.Stats().Streams {
		open += s.Open
	}
	return open
}

// checkHealth makes sure that the server answers over UDP and TCP, and relays a packet
// from an allocation to itself.
func (r *running) checkHealth() {
	r.t.Helper()
	for _, network := range []string{"udp4", "tcp4"} {
		q := r.raw(network, r.udp()) // the port is the same
		q.must(stun.MethodBinding)
		q.login("health")
		relayed := q.allocateRelayed()
		q.bindChannel(0x4FFF, relayed)
		frame := []byte{0x4F, 0xFF, 0, 4, 'p', 'i', 'n', 'g'}
		q.send(frame)
		if got := q.receive(); !bytes.Equal(got, frame) {
			r.t.Fatalf("over %s, %x came back as %x", network, frame, got)
		}
		q.must(stun.MethodRefresh, lifetimeZero)
		q.conn.Close()
	}
}

var lifetimeZero = stun.RawAttribute{Type: stun.AttrLifetime, Value: make([]byte, 4)}

// allocateRelayed allocates and returns the relayed transport address.
func (q *raw) allocateRelayed(setters ...stun.Setter) *net.UDPAddr {
	q.r.t.Helper()
	reply := q.must(stun.MethodAllocate, append(setters, requestUDP)...)
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(reply, stun.AttrXORRelayedAddress); err != nil {
		q.r.t.Fatal(err)
	}
	return &net.UDPAddr{IP: relayed.IP, Port: relayed.Port}
}

// fence waits until the server has dealt with what was sent before: it serves the
// packets of one client in order. It returns the replies to what came before.
func (q *raw) fence() (replies int) {
	q.r.t.Helper()
	_ = q.conn.SetDeadline(time.Now().Add(patience))
	m, _ := stun.Build(stun.TransactionID, stun.BindingRequest) // cannot fail
	q.send(m.Raw)
	for {
		got := q.receive()
		if len(got) >= 20 && bytes.Equal(got[8:20], m.TransactionID[:]) {
			return replies
		}
		replies++
	}
}

// noise makes messages out of good ones that are hardly good any more.
type noise struct {
	*rand.Rand
	seeds [][]byte
}

// newNoise returns noise that is the same in every run.
func newNoise(seeds [][]byte) *noise {
	return &noise{rand.New(rand.NewPCG(3478, 8656)), seeds}
}

// values are bytes and lengths at which decoders go wrong.
var values = []uint16{0, 1, 2, 3, 4, 5, 8, 0x7F, 0x80, 0xFF, 0x100, 0x3FFF, 0x4000, 0x7FFF, 0x8000, 0xFFEC, 0xFFF0, 0xFFFC, 0xFFFF}

// next returns a message. One in eight is random altogether.
func (n *noise) next() []byte {
	if n.IntN(8) == 0 {
		p := make([]byte, n.IntN(200))
		n.fill(p)
		return p
	}
	p := bytes.Clone(n.seeds[n.IntN(len(n.seeds))])
	for range 1 + n.IntN(6) {
		p = n.mutate(p)
	}
	return p
}

func (n *noise) fill(p []byte) {
	for i := range p {
		p[i] = byte(n.Uint32())
	}
}

// mutate changes one thing.
func (n *noise) mutate(p []byte) []byte {
	if len(p) < 4 {
		return append(p, 0, 1, 0, 0)
	}
	at := n.IntN(len(p) - 1)
	switch n.IntN(7) {
	case 0:
		p[at] ^= 1 << n.IntN(8)
	case 1:
		p[at] = byte(n.Uint32())
	case 2:
		binary.BigEndian.PutUint16(p[at:], values[n.IntN(len(values))])
	case 3: // a length field, where there should be one
		binary.BigEndian.PutUint16(p[min(2+4*n.IntN(1+len(p)/4), len(p)-2):], values[n.IntN(len(values))])
	case 4:
		p = p[:at]
	case 5:
		p = slices.Insert(p, at, p[at:min(at+4*n.IntN(16), len(p))]...)
	default:
		other := n.seeds[n.IntN(len(n.seeds))]
		p = append(p[:at:at], other[min(at, len(other)):]...)
	}
	return p
}

// goodMessages are what a client with an allocation may send.
func (q *raw) goodMessages(peer *net.UDPAddr) [][]byte {
	raw := func(t stun.AttrType, value ...byte) stun.Setter { return stun.RawAttribute{Type: t, Value: value} }
	channel := raw(stun.AttrChannelNumber, 0x40, 1, 0, 0)
	indication := func(method stun.Method, setters ...stun.Setter) []byte {
		m, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassIndication), peerAddress(peer)}, setters...)...)
		if err != nil {
			q.r.t.Fatal(err)
		}
		return m.Raw
	}
	bind, _ := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint) // cannot fail
	return [][]byte{
		bind.Raw,
		q.build(stun.MethodAllocate, requestUDP).Raw,
		q.build(stun.MethodAllocate, requestUDP, raw(stun.AttrEvenPort, 0x80), raw(stun.AttrDontFragment), raw(stun.AttrLifetime, 0, 0, 3, 0)).Raw,
		q.build(stun.MethodAllocate, requestUDP, raw(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)).Raw,
		q.build(stun.MethodRefresh, raw(stun.AttrRequestedAddressFamily, 1, 0, 0, 0)).Raw,
		q.build(stun.MethodCreatePermission, peerAddress(peer), peerAddress(peer)).Raw,
		q.build(stun.MethodChannelBind, channel, peerAddress(peer)).Raw,
		indication(stun.MethodSend, raw(stun.AttrDontFragment), raw(stun.AttrData, []byte("some data")...)),
		indication(stun.MethodData, raw(stun.AttrData, []byte("some data")...)),
		{0x40, 1, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0},
		{0x40, 0, 0xFF, 0xFC, 0, 0, 0, 0, 0},
		{22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 1, 0}, // as DTLS begins
		[]byte("GET / HTTP/1.1\r\nHost: turn.example\r\n\r\n"),
	}
}

// seeds returns good messages with a credential, whose nonce is another client's.
func (r *running) seeds() [][]byte {
	r.t.Helper()
	q := r.raw("udp4", r.udp())
	q.login("seed")
	return q.goodMessages(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 2).To4(), Port: 4000})
}

func TestAttackNoiseOverUDP(t *testing.T) { // SEC-22, SEC-26, SEC-31
	r, before := startAttacked(t, nil)
	n, q := newNoise(r.seeds()), r.raw("udp4", r.udp())
	for i := range effort(200_000) {
		if p := n.next(); len(p) > 0 {
			q.send(p)
		}
		if i%64 == 0 {
			q.fence()
		}
	}
	q.fence()
	if left := r.Stats().Control.Allocations[relay.UDP]; left != 0 {
		t.Errorf("noise made %d allocations", left)
	}
	r.checkUnharmed(before)
}

// Noise from a client that holds an allocation reaches further: nothing protects its
// indications and ChannelData.
func TestAttackNoiseFromAnOwner(t *testing.T) {
	r, before := startAttacked(t, nil)
	peer := echo(t, "udp4", "127.0.0.2:0").(*net.UDPAddr)
	before.goroutines++ // the peer's
	q := r.raw("udp4", r.udp())
	q.login("mallory")
	q.allocateRelayed()
	q.bindChannel(0x4001, peer)
	n := newNoise(q.goodMessages(peer))
	for i := range effort(200_000) {
		if p := n.next(); len(p) > 0 {
			q.send(p)
		}
		if i%64 == 0 {
			q.fence()
		}
	}
	q.fence()
	r.checkUnharmed(before)
}

// requestMethods are those that need a credential.
var requestMethods = []stun.Method{stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind}

// Requests with random attributes that are signed in spite of it get past the
// authentication. Each has to be answered, with what may be an error.
func TestAttackSignedNoise(t *testing.T) {
	r, before := startAttacked(t, func(c *Config) { c.Quota.Reservations = 1 })
	q := r.raw("udp4", r.udp())
	q.login("mallory")
	n := newNoise(nil)
	answers := make(map[int]int)
	for range effort(50_000) {
		_ = q.conn.SetDeadline(time.Now().Add(patience))
		reply := q.request(requestMethods[n.IntN(len(requestMethods))], n.attributes()...)
		code := errorCode(reply)
		if code == 0 && reply.Type.Class != stun.ClassSuccessResponse {
			t.Fatalf("answered %v", reply)
		}
		answers[code]++
		if reply.Type.Method == stun.MethodAllocate && n.IntN(4) == 0 {
			q.request(stun.MethodRefresh, lifetimeZero) // there may be something to allocate again
		}
	}
	t.Logf("answers by error code: %v", answers)
	for _, code := range []int{0, 400, 420, 437, 440, 442} {
		if answers[code] == 0 {
			t.Errorf("none of the requests got as far as %d", code)
		}
	}
	q.request(stun.MethodRefresh, lifetimeZero)
	r.checkUnharmed(before)
}

// knownAttributes are those that some handler reads.
var knownAttributes = []stun.AttrType{
	stun.AttrRequestedTransport, stun.AttrLifetime, stun.AttrEvenPort, stun.AttrReservationToken,
	stun.AttrDontFragment, stun.AttrRequestedAddressFamily, stun.AttrType(0x8000), stun.AttrXORPeerAddress,
	stun.AttrChannelNumber, stun.AttrData, stun.AttrXORMappedAddress, stun.AttrErrorCode,
}

// attributes returns a few attributes of mostly known types, with values of mostly the
// right length.
func (n *noise) attributes() (all []stun.Setter) {
	if n.IntN(2) == 0 {
		all = append(all, requestUDP)
	}
	for range n.IntN(4) {
		value := make([]byte, []int{0, 1, 4, 4, 4, 8, 8, 20, n.IntN(64)}[n.IntN(9)])
		n.fill(value)
		if n.IntN(2) == 0 && len(value) > 1 {
			value[0], value[1] = byte(n.IntN(3)), byte(n.IntN(3)) // a family, or its place
		}
		t := knownAttributes[n.IntN(len(knownAttributes))]
		if n.IntN(16) == 0 {
			t = stun.AttrType(0x0030 + n.IntN(0x7000)) // understood by nobody
		}
		all = append(all, stun.RawAttribute{Type: t, Value: value})
	}
	return all
}

func TestAttackNoiseOverTCP(t *testing.T) { // SEC-28, SEC-30
	r, before := startAttacked(t, nil)
	seeds := r.seeds()
	var clients sync.WaitGroup
	for i := range 4 {
		n := &noise{rand.New(rand.NewPCG(uint64(i), 8656)), seeds}
		clients.Go(func() {
			for range effort(2000) / 4 {
				r.noisyConnection(n)
			}
		})
	}
	clients.Wait()
	waitFor(t, "the connections to be closed", func() bool { return r.openStreams() == 0 })
	if left := r.Stats().Control.Allocations[relay.TCP]; left != 0 {
		t.Errorf("noise made %d allocations", left)
	}
	r.checkUnharmed(before)
}

// noisyConnection sends a few messages in pieces, reads what comes, and leaves in one
// way or the other. The server may close at any time.
func (r *running) noisyConnection(n *noise) {
	conn, err := net.Dial("tcp4", r.tcp())
	if err != nil {
		r.t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var stream []byte
	for range 1 + n.IntN(8) {
		if n.IntN(2) == 0 {
			stream = append(stream, n.seeds[n.IntN(len(n.seeds))]...)
		} else {
			stream = append(stream, n.next()...)
		}
	}
	for len(stream) > 0 && err == nil {
		piece := min(1+n.IntN(100), len(stream))
		_, err = conn.Write(stream[:piece])
		stream = stream[piece:]
	}
	if n.IntN(4) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset
		return
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if _, err = io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		r.t.Error("the server did not close a connection that its client had ended")
	}
}
