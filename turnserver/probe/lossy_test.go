package probe_test

import (
	"net"
	"sync"
	"testing"

	"hairpin/turnserver/probe"

	"github.com/pion/stun/v3"
)

// lossy is a UDP relay in front of a server that does not let everything through. Its
// function is given each packet on its way to a client, and whether it is data of a peer
// that is itself a relayed transport address.
func lossy(t *testing.T, server string, pass func(packet []byte, relayToRelay bool) bool) string {
	t.Helper()
	front, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lossyRelay{t: t, front: front, server: server, pass: pass, lent: make(map[int]bool)}
	l.running.Go(l.run)
	t.Cleanup(func() {
		_ = front.Close()
		l.running.Wait()
	})
	return front.LocalAddr().String()
}

type lossyRelay struct {
	t       *testing.T
	front   net.PacketConn
	server  string
	pass    func([]byte, bool) bool
	running sync.WaitGroup

	mu   sync.Mutex   // guards lent
	lent map[int]bool // the ports of relayed transport addresses
}

func (l *lossyRelay) run() {
	behind := make(map[string]net.Conn)
	defer func() {
		for _, conn := range behind {
			_ = conn.Close()
		}
	}()
	buf := make([]byte, 2048)
	for {
		n, from, err := l.front.ReadFrom(buf)
		if err != nil {
			return
		}
		conn := behind[from.String()]
		if conn == nil {
			if conn, err = net.Dial("udp4", l.server); err != nil {
				l.t.Error(err)
				return
			}
			behind[from.String()] = conn
			l.running.Go(func() { l.back(conn, from) })
		}
		_, _ = conn.Write(buf[:n])
	}
}

// back passes on what the server sends to one client.
func (l *lossyRelay) back(conn net.Conn, client net.Addr) {
	buf := make([]byte, 2048)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if l.pass(buf[:n], l.betweenRelays(buf[:n])) {
			_, _ = l.front.WriteTo(buf[:n], client)
		}
	}
}

// betweenRelays takes note of relayed transport addresses, and reports whether a packet
// is a Data indication from one.
func (l *lossyRelay) betweenRelays(b []byte) bool {
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if m.Decode() != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var address stun.XORMappedAddress
	if address.GetFromAs(m, stun.AttrXORRelayedAddress) == nil {
		l.lent[address.Port] = true
	}
	return address.GetFromAs(m, stun.AttrXORPeerAddress) == nil && l.lent[address.Port]
}

// TestRelayToRelay: a server from whose relays the others cannot be reached is found
// out, and is still tried with this machine as the peer.
func TestRelayToRelay(t *testing.T) {
	s := serve(t, nil)
	at := lossy(t, s.Addrs().UDP[0].String(), func(_ []byte, relayToRelay bool) bool { return !relayToRelay })
	r := run(t, "turn:"+at, probe.Options{Login: s.login(t), Wait: impatient})
	step := wantStep(t, r, probe.StepIndication, probe.Fault, "relay-to-relay")
	if d := step.Details.(probe.RelayDetails); d.PeerKind != "this-machine" || d.ToPeer.Received == 0 {
		t.Errorf("got %+v", d)
	}
	wantStep(t, r, probe.StepChannel, probe.OK, "")
	s.wantNoAllocation(t)
}

// TestLossIsMeasured: of the packets over the channel, every fourth is lost.
func TestLossIsMeasured(t *testing.T) {
	s := serve(t, nil)
	count := 0
	at := lossy(t, s.Addrs().UDP[0].String(), func(packet []byte, _ bool) bool {
		if packet[0]>>6 == 1 {
			count++ // one client has a channel, and so one goroutine comes here
			return count%4 != 0
		}
		return true
	})
	r := run(t, "turn:"+at, probe.Options{Login: s.login(t), Packets: 20, Wait: impatient})
	wantStep(t, r, probe.StepIndication, probe.OK, "")
	step := wantStep(t, r, probe.StepChannel, probe.Fault, "loss")
	if d := step.Details.(probe.RelayDetails); d.ToClient.LossPercent != 25 || d.ToPeer.LossPercent != 0 || d.ToClient.DelayMS <= 0 {
		t.Errorf("got %+v", d)
	}
}

// TestFirstOfAllIsLost: what is lost is sent again.
func TestFirstOfAllIsLost(t *testing.T) {
	s := serve(t, nil)
	var mu sync.Mutex
	seen := make(map[string]bool)
	at := lossy(t, s.Addrs().UDP[0].String(), func(packet []byte, relayToRelay bool) bool {
		mu.Lock()
		defer mu.Unlock()
		id := string(packet[:20]) // of a response: all that come again have the same
		again := seen[id]
		seen[id] = true
		return again || packet[0]>>6 == 1 || relayToRelay
	})
	r := run(t, "stun:"+at, probe.Options{})
	wantStep(t, r, probe.StepBinding, probe.OK, "")
}
