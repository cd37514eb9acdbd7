package bench

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"hairpin/credentials"
	"hairpin/turnserver"
	"hairpin/turnserver/control"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// start runs a real server on loopback for the length of the test, and returns how to
// use it.
func start(t testing.TB) (*turnserver.Server, Config) {
	t.Helper()
	secrets, err := credentials.NewSecrets(credentials.RandomSecret())
	if err != nil {
		t.Fatal(err)
	}
	server, err := turnserver.New(turnserver.Config{
		Listen:      []netip.AddrPort{netip.AddrPortFrom(loopback, 0)},
		Relays:      []relay.Address{{Local: loopback, Advertised: loopback}},
		Credentials: secrets,
		Policy:      control.PolicyConfig{Profile: control.ProfilePublic, AllowLoopback: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	login, err := secrets.Mint("bench", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return server, Config{Server: server.Addrs().UDP[0], Username: login.Username, Password: login.Password}
}

// fake runs a server that answers each request with what the script returns for it, or
// not at all. Requests are counted from one.
func fake(t *testing.T, script func(n int, request *stun.Message) []stun.Setter) Config {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		buf := make([]byte, 1500)
		for n := 1; ; n++ {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			request := &stun.Message{Raw: buf[:size]}
			if err := request.Decode(); err != nil {
				t.Errorf("request %d: %v", n, err)
				continue
			}
			setters := script(n, request)
			if setters == nil {
				continue
			}
			id := stun.NewTransactionIDSetter(request.TransactionID)
			if _, err := conn.WriteTo(stun.MustBuild(append([]stun.Setter{id}, setters...)...).Raw, from); err != nil {
				t.Error(err)
			}
		}
	}()
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return Config{Server: at, Username: "user", Password: "password", Clients: 1}
}

// reply is a response to a request.
func reply(request *stun.Message, class stun.MessageClass, attributes ...stun.Setter) []stun.Setter {
	return append([]stun.Setter{stun.NewType(request.Type.Method, class)}, attributes...)
}

func refuse(request *stun.Message, code stun.ErrorCode, attributes ...stun.Setter) []stun.Setter {
	return reply(request, stun.ClassErrorResponse, append(attributes, code)...)
}

func challenge(request *stun.Message, code stun.ErrorCode, nonce string) []stun.Setter {
	return refuse(request, code, stun.NewRealm("realm"), stun.NewNonce(nonce))
}

// allocated is an Allocate success response.
func allocated(request *stun.Message) []stun.Setter {
	return reply(request, stun.ClassSuccessResponse, relayedAddress{})
}

type relayedAddress struct{}

func (relayedAddress) AddTo(m *stun.Message) error {
	return (&stun.XORMappedAddress{IP: net.IPv4(192, 0, 2, 1), Port: 50000}).AddToAs(m, stun.AttrXORRelayedAddress)
}

func TestEstablishAnswersChallenges(t *testing.T) {
	integrity := stun.NewLongTermIntegrity("user", "realm", "password")
	checked := func(request *stun.Message, nonce string) {
		var got stun.Nonce
		if err := got.GetFrom(request); err != nil || got.String() != nonce {
			t.Errorf("nonce %q, want %q: %v", got, nonce, err)
		}
		if err := integrity.Check(request); err != nil {
			t.Error(err)
		}
	}
	config := fake(t, func(n int, request *stun.Message) []stun.Setter {
		switch n {
		case 1:
			return challenge(request, stun.CodeUnauthorized, "first")
		case 2:
			checked(request, "first")
			return challenge(request, stun.CodeStaleNonce, "second")
		case 3:
			checked(request, "second")
			return allocated(request)
		default:
			return reply(request, stun.ClassSuccessResponse)
		}
	})
	fleet, err := Establish(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if want := netip.MustParseAddrPort("192.0.2.1:50000"); fleet.clients[0].relayed != want {
		t.Errorf("relayed transport address %v, want %v", fleet.clients[0].relayed, want)
	}
	if err := fleet.Close(); err != nil {
		t.Error(err)
	}
}

func TestEstablishExchangesAPortThatIsRemembered(t *testing.T) {
	config := fake(t, func(n int, request *stun.Message) []stun.Setter {
		if n == 1 {
			return refuse(request, stun.CodeAllocMismatch)
		}
		return allocated(request)
	})
	var ports []netip.AddrPort
	config.ListenClient = func(o udp.Options) (*udp.Conn, error) {
		conn, err := udp.Listen(netip.AddrPortFrom(loopback, 0), o)
		ports = append(ports, conn.LocalAddr())
		return conn, err
	}
	fleet, err := Establish(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if len(ports) != 2 || fleet.clients[0].conn.LocalAddr() != ports[1] {
		t.Errorf("the client is at %v after %v", fleet.clients[0].conn.LocalAddr(), ports)
	}
	if err := fleet.Close(); err != nil {
		t.Error(err)
	}
}

func TestEstablishSaysWhyItFails(t *testing.T) {
	unauthorized := func(_ int, request *stun.Message) []stun.Setter {
		return challenge(request, stun.CodeUnauthorized, "nonce")
	}
	stale := func(_ int, request *stun.Message) []stun.Setter {
		return challenge(request, stun.CodeStaleNonce, "nonce")
	}
	tests := []struct {
		name   string
		script func(int, *stun.Message) []stun.Setter
		want   string
	}{
		{"wrong password", unauthorized, "client 1 of 1: Allocate: the server does not accept the credentials"},
		{"nonces that are never fresh", stale, "client 1 of 1: Allocate: the server does not accept the credentials"},
		{"quota", func(_ int, request *stun.Message) []stun.Setter {
			return refuse(request, stun.CodeAllocQuotaReached)
		}, `client 1 of 1: Allocate: the server refuses: 486 "Allocation Quota Reached"`},
		{"every port remembered", func(_ int, request *stun.Message) []stun.Setter {
			return refuse(request, stun.CodeAllocMismatch)
		}, "client 1 of 1: Allocate: 437 Allocation Mismatch"},
		{"a challenge without a nonce", func(_ int, request *stun.Message) []stun.Setter {
			return refuse(request, stun.CodeUnauthorized, stun.NewRealm("realm"))
		}, "client 1 of 1: Allocate: challenge without nonce or realm: attribute not found"},
		{"a success without an address", func(_ int, request *stun.Message) []stun.Setter {
			return reply(request, stun.ClassSuccessResponse)
		}, "client 1 of 1: Allocate: the answer's relayed transport address: attribute not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Establish(t.Context(), fake(t, test.script))
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestEstablishRetransmitsAndEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	var first atomic.Pointer[stun.Message]
	config := fake(t, func(n int, request *stun.Message) []stun.Setter {
		if n == 1 {
			first.Store(&stun.Message{TransactionID: request.TransactionID})
			return nil
		}
		if request.TransactionID != first.Load().TransactionID {
			t.Error("the request is another, not the same again")
		}
		cancel(enough)
		return nil
	})
	if _, err := Establish(ctx, config); !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
}

func TestEstablishSaysThatAServerFallsSilent(t *testing.T) {
	config := fake(t, func(n int, request *stun.Message) []stun.Setter {
		if n == 1 {
			return allocated(request)
		}
		return nil
	})
	config.Clients, config.Handshakes = 2, 1
	config.attempts = 2
	_, err := Establish(t.Context(), config)
	if !errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "after 1 allocations: client 2 of 2: ") {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Server: netip.AddrPortFrom(loopback, 3478), Username: "user", Password: "password"}
	for name, change := range map[string]func(*Config){
		"server":     func(c *Config) { c.Server = netip.AddrPort{} },
		"username":   func(c *Config) { c.Username = "" },
		"password":   func(c *Config) { c.Password = "" },
		"clients":    func(c *Config) { c.Clients = -1 },
		"peers":      func(c *Config) { c.Peers = -1 },
		"handshakes": func(c *Config) { c.Handshakes = -1 },
	} {
		c := good
		change(&c)
		if _, err := Establish(t.Context(), c); err == nil {
			t.Errorf("a wrong %s is accepted", name)
		}
	}
}
