package probe

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// segments is a connection that has received something, and receives it in pieces.
type segments struct {
	net.Conn
	io.Reader
}

func (s segments) Read(b []byte) (int, error) { return s.Reader.Read(b) }

// FuzzStream: what is taken from a stream are frames that are what the stream held, in
// order, and the rest is an error and not a hang.
func FuzzStream(f *testing.F) {
	binding := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	f.Add(binding)
	f.Add(append([]byte{0x40, 0, 0, 1, 'x', 0, 0, 0}, binding...))
	f.Add([]byte{0x40, 0, 0xff, 0xfc, 0, 0, 0, 0, 0})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		s := newStream(segments{Reader: bytes.NewReader(sent)})
		buf := make([]byte, maxMessage)
		rest := sent
		for {
			n, err := s.receive(buf)
			if err != nil {
				return
			}
			if n < channelLen || !bytes.HasPrefix(rest, buf[:n]) {
				t.Fatalf("%d bytes that are not what was sent", n)
			}
			if buf[0]>>6 == 1 {
				n = (n + 3) &^ 3
			}
			rest = rest[n:]
		}
	})
}

// FuzzTake: no packet ends a client, none is taken for the answer to a request that was
// not made, and the payload of ChannelData comes out whole.
func FuzzTake(f *testing.F) {
	data := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodData, stun.ClassIndication),
		xorPeer(netip.MustParseAddrPort("192.0.2.1:9")), attribute{stun.AttrData, []byte("x")})
	f.Add(data.Raw)
	f.Add([]byte{0x40, 0, 0, 1, 'x'})
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingSuccess, stun.Fingerprint).Raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &client{arrivals: make(chan arrival, 1), pending: make(map[transactionID]chan<- *stun.Message)}
		taken := c.take(b, time.Time{})
		if !taken {
			c.stray(b)
		}
		if taken != (len(c.arrivals) == 1) {
			t.Fatalf("taken: %v, and %d arrived", taken, len(c.arrivals))
		}
		if taken && b[0]>>6 == 1 {
			if a := <-c.arrivals; !bytes.Equal(a.payload, b[channelLen:channelLen+len(a.payload)]) {
				t.Fatalf("%x became %x", b, a.payload)
			}
		}
	})
}

func TestXORAddress(t *testing.T) {
	for _, text := range []string{"192.0.2.1:1", "[2001:db8::1]:65535", "[::ffff:127.0.0.1]:9", "0.0.0.0:0"} {
		want := netip.MustParseAddrPort(text)
		m := stun.MustBuild(stun.TransactionID, stun.BindingSuccess, xorAddress{stun.AttrXORMappedAddress, want})
		if got, ok := addressOf(m, stun.AttrXORMappedAddress); !ok || got != want {
			t.Errorf("%v became %v, %v", want, got, ok)
		}
		var theirs stun.XORMappedAddress
		if err := theirs.GetFrom(m); err != nil || theirs.Port != int(want.Port()) || !theirs.IP.Equal(want.Addr().AsSlice()) {
			t.Errorf("%v is %v to package stun: %v", want, theirs, err)
		}
	}
	for _, value := range [][]byte{nil, {0}, {0, 1, 0, 0}, make([]byte, 8), {0, 2, 0, 0, 1, 2, 3, 4}, make([]byte, 19), append([]byte{0, 1}, make([]byte, 18)...)} {
		m := stun.MustBuild(stun.TransactionID, stun.BindingSuccess, attribute{stun.AttrXORMappedAddress, value})
		if got, ok := addressOf(m, stun.AttrXORMappedAddress); ok {
			t.Errorf("%x became %v", value, got)
		}
	}
}

func TestParseExpiry(t *testing.T) {
	tests := []struct {
		in   string
		form usernameForm
	}{
		{"12334939:mbzrxpgjys", formExpiryUser},
		{"1772366400", formExpiryUser},
		{"1772366400:a:b", formExpiryUser},
		{"1772366400000:alice", formMilliseconds},
		{"alice:1772366400", formUserExpiry},
		{"alice", formOther},
		{"", formOther},
		{":", formOther},
		{"7:alice", formOther},
		{"-1772366400:alice", formOther},
		{"99999999999999999999:alice", formOther},
	}
	for _, tt := range tests {
		if _, form := parseExpiry(tt.in); form != tt.form {
			t.Errorf("%q: got form %d, want %d", tt.in, form, tt.form)
		}
	}
	if at, _ := parseExpiry("12334939:mbzrxpgjys"); at.Unix() != 12334939 {
		t.Errorf("got %v", at)
	}
}

func TestFlowSums(t *testing.T) {
	d := FlowDetails{Sent: 4}.sum(map[uint32]time.Duration{0: 10 * time.Millisecond, 1: 14 * time.Millisecond, 3: 12 * time.Millisecond})
	want := FlowDetails{Sent: 4, Received: 3, LossPercent: 25, DelayMinMS: 10, DelayMS: 12, DelayMaxMS: 14, JitterMS: 3}
	if d != want {
		t.Errorf("got %+v, want %+v", d, want)
	}
	if none := (FlowDetails{Sent: 2}).sum(nil); none.Received != 0 || none.LossPercent != 100 {
		t.Errorf("got %+v", none)
	}
}

// TestRelayedAddress: what a relayed address says about a server depends on where the
// server is.
func TestRelayedAddress(t *testing.T) {
	tests := []struct{ server, relayed, reason string }{
		{"198.51.100.1:3478", "198.51.100.1:50000", ""},
		{"198.51.100.1:3478", "203.0.113.9:50000", ""},
		{"198.51.100.1:3478", "10.0.0.5:50000", "relayed-private"},
		{"198.51.100.1:3478", "100.64.0.5:50000", "relayed-private"},
		{"198.51.100.1:3478", "169.254.0.5:50000", "relayed-private"},
		{"198.51.100.1:3478", "127.0.0.1:50000", "relayed-private"},
		{"198.51.100.1:3478", "0.0.0.0:50000", "relayed-impossible"},
		{"198.51.100.1:3478", "198.51.100.1:0", "relayed-impossible"},
		{"198.51.100.1:3478", "224.0.0.1:50000", "relayed-impossible"},
		{"10.0.0.1:3478", "10.0.0.1:50000", ""},
		{"10.0.0.1:3478", "127.0.0.1:50000", "relayed-private"},
		{"10.0.0.1:3478", "198.51.100.1:50000", ""},
		{"127.0.0.1:3478", "127.0.0.1:50000", ""},
		{"[2001:db8::1]:3478", "[fd00::1]:50000", "relayed-private"},
		{"[2001:db8::1]:3478", "[2001:db8::1]:50000", ""},
	}
	for _, tt := range tests {
		p := &prober{at: netip.MustParseAddrPort(tt.server)}
		p.allocated = &allocation{relayed: netip.MustParseAddrPort(tt.relayed), mapped: p.at, lifetime: 10 * time.Minute}
		if step := p.allocation(t.Context()); step.Reason != tt.reason {
			t.Errorf("%s at %s: %+v, want %q", tt.relayed, tt.server, step, tt.reason)
		}
	}
}

// TestPolicyVerdict: the same answers mean different things in different networks.
func TestPolicyVerdict(t *testing.T) {
	tests := []struct {
		name, server, relayed string
		accepted              []string // kinds
		status                Status
		reason                string
	}{
		{"public peers only", "198.51.100.1:1", "198.51.100.1:1", []string{kindPublic}, OK, ""},
		{"listed peers only", "198.51.100.1:1", "198.51.100.1:1", nil, OK, ""},
		{"private on a public server", "198.51.100.1:1", "198.51.100.1:1", []string{kindPublic, kindPrivate}, Fault, "peer-policy-hole"},
		{"private on a private server", "10.1.1.1:1", "10.1.1.1:1", []string{kindPublic, kindPrivate, kindShared}, OK, ""},
		{"private relay of a public server", "198.51.100.1:1", "10.1.1.1:1", []string{kindPrivate}, Fault, "peer-policy-hole"},
		{"loopback on a private server", "10.1.1.1:1", "10.1.1.1:1", []string{kindPublic, kindLoopback}, Fault, "peer-policy-hole"},
		{"metadata on a private server", "10.1.1.1:1", "10.1.1.1:1", []string{kindMetadata}, Fault, "peer-policy-hole"},
		{"loopback on loopback", "127.0.0.1:1", "127.0.0.1:1", []string{kindLoopback}, OK, ""},
		{"loopback in another coat", "127.0.0.1:1", "127.0.0.1:1", []string{kindTranslated}, Fault, "peer-policy-hole"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &prober{at: netip.MustParseAddrPort(tt.server)}
			p.allocated = &allocation{relayed: netip.MustParseAddrPort(tt.relayed)}
			asked := strangers()
			for i := range asked {
				a := &asked[i]
				a.Answer = answerRefused
				for _, kind := range tt.accepted {
					if a.Kind == kind {
						a.Answer = answerAccepted
					}
				}
				a.Expected = a.Answer == answerRefused || a.Kind == kindPublic || p.atHome(*a)
			}
			step := p.judgePolicy(asked, true)
			if step.Status != tt.status || step.Reason != tt.reason {
				t.Errorf("got %s %s: %s", step.Status, step.Reason, step.Words)
			}
		})
	}
}
