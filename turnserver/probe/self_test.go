package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	publicAddr  = netip.MustParseAddr("5.9.0.1")
	privateAddr = netip.MustParseAddr("10.0.0.1")
	outsideSTUN = []netip.AddrPort{netip.MustParseAddrPort("[2001:4860::1]:3478"), netip.MustParseAddrPort("8.8.4.4:3478")}
)

// goodMachine is a machine and a server on it that nothing is wrong with.
func goodMachine() *self {
	now := time.Now()
	return &self{
		SelfConfig{
			Listen: []netip.AddrPort{netip.MustParseAddrPort("[::]:3478")}, Running: true,
			Relays:  []SelfRelay{{publicAddr, publicAddr}, {netip.MustParseAddr("2a01:4f8::1"), netip.MustParseAddr("2a01:4f8::1")}},
			MinPort: 49152, MaxPort: 65535, Allocations: 20_000, ListenBuffer: 4 << 20, OpenFiles: 1 << 20,
		},
		machine{
			answers: func(_ context.Context, at netip.AddrPort) AddressDetails {
				return AddressDetails{Address: at, Answers: true}
			},
			mapped: func(_ context.Context, local netip.Addr, low, _ uint16, _ netip.AddrPort) (ours, mapped netip.AddrPort, err error) {
				return netip.AddrPortFrom(local, low), netip.AddrPortFrom(publicAddr, low), nil
			},
			open:          func(netip.Addr, uint16, uint16) error { return nil },
			addrs:         func() []netip.Addr { return []netip.Addr{publicAddr} },
			receiveBuffer: func(asked int) (int, error) { return asked, nil },
			conntrack:     func() (int, int, bool) { return 0, 0, false },
			synchronised:  func() (bool, bool) { return true, true },
			date:          func(context.Context, string) (time.Time, time.Time, error) { return now, now, nil },
		},
	}
}

func TestSelfOfAGoodMachine(t *testing.T) {
	r := look(t.Context(), goodMachine())
	if r.Verdict != Healthy || !strings.HasSuffix(r.Words, "not known: relay-ports") {
		t.Errorf("%s: %s", r.Verdict, r.Words)
	}
	for _, s := range r.Steps {
		t.Logf("%s %s %s: %s", s.Status, s.Name, s.Reason, s.Words)
		if s.Status == Fault || s.Status == Warning {
			t.Errorf("%s is a %s", s.Name, s.Status)
		}
	}
}

// Each case makes one thing wrong, and wants the one step that tells of it.
func TestSelfFindings(t *testing.T) {
	private := []SelfRelay{{privateAddr, privateAddr}}
	behind := []SelfRelay{{privateAddr, publicAddr}}
	for _, c := range []struct {
		step, reason string
		status       Status
		hint         string
		change       func(s *self)
	}{
		{"server", "no-answer", Fault, "nft list ruleset", func(s *self) {
			s.answers = func(context.Context, netip.AddrPort) AddressDetails {
				return AddressDetails{Reason: "silent", Words: "does not answer"}
			}
		}},
		{"server", "not-running", Unknown, "hairpin serve", func(s *self) {
			s.Running = false
			s.answers = func(context.Context, netip.AddrPort) AddressDetails { return AddressDetails{Reason: "refused"} }
		}},
		{"server", "not-stun", Fault, "ss -lunp 'sport = :3478'", func(s *self) {
			s.Running = false
			s.answers = func(context.Context, netip.AddrPort) AddressDetails { return AddressDetails{Reason: "not-stun"} }
		}},
		{"server", "not-running", Unknown, "", func(s *self) { s.Listen = nil }},
		{"address", "address-private", Warning, "--external-address", func(s *self) { s.Relays = private }},
		{"address", "address-loopback", Warning, "--relay-address", func(s *self) {
			s.Relays = []SelfRelay{{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1")}}
		}},
		{"address", "not-asked", Unknown, "--stun-server", func(s *self) { s.Relays = behind }},
		{"address", "", OK, "", func(s *self) { s.Relays, s.STUN = behind, outsideSTUN }},
		{"address", "address-differs", Fault, "--external-address 5.9.0.1", func(s *self) { s.Relays, s.STUN = private, outsideSTUN }},
		{"address", "ports-translated", Fault, "49152-65535", func(s *self) {
			s.Relays, s.STUN = behind, outsideSTUN
			s.mapped = func(_ context.Context, local netip.Addr, low, _ uint16, _ netip.AddrPort) (ours, mapped netip.AddrPort, err error) {
				return netip.AddrPortFrom(local, low), netip.AddrPortFrom(publicAddr, 1024), nil
			}
		}},
		{"address", "address-unseen", Unknown, "", func(s *self) {
			s.Relays, s.STUN = behind, outsideSTUN
			s.mapped = func(context.Context, netip.Addr, uint16, uint16, netip.AddrPort) (ours, mapped netip.AddrPort, err error) {
				return ours, mapped, errSilent
			}
		}},
		{"relay-ports", "port-taken", Fault, "--relay-ports", func(s *self) {
			s.open = func(netip.Addr, uint16, uint16) error { return errors.New("in use") }
		}},
		{"sockets", "buffers-small", Warning, "net.core.rmem_max=4194304", func(s *self) {
			s.receiveBuffer = func(int) (int, error) { return 212_992, nil }
		}},
		{"sockets", "not-measured", Unknown, "", func(s *self) {
			s.receiveBuffer = func(int) (int, error) { return 0, errors.New("no") }
		}},
		{"files", "files-few", Warning, "LimitNOFILE=26667", func(s *self) { s.OpenFiles = 1024 }},
		{"files", "not-measured", Unknown, "", func(s *self) { s.OpenFiles = 0 }},
		{"files", "", OK, "", func(s *self) { s.OpenFiles, s.Allocations = 1024, 0 }},
		{"conntrack", "conntrack-full", Fault, "notrack", func(s *self) { s.conntrack = func() (int, int, bool) { return 250_000, 262_144, true } }},
		{"conntrack", "conntrack-small", Warning, "49152-65535 notrack", func(s *self) { s.conntrack = func() (int, int, bool) { return 10, 16_384, true } }},
		{"conntrack", "", OK, "", func(s *self) { s.conntrack = func() (int, int, bool) { return 10, 262_144, true } }},
		{"clock", "clock-unsynchronised", Warning, "set-ntp", func(s *self) { s.synchronised = func() (bool, bool) { return false, true } }},
		{"clock", "not-asked", Unknown, "--time-url", func(s *self) { s.synchronised = func() (bool, bool) { return false, false } }},
		{"clock", "clock-skew", Fault, "set-ntp", func(s *self) { s.skew(time.Minute) }},
		{"clock", "clock-skew", Fault, "set-ntp", func(s *self) { s.skew(-time.Minute) }},
		{"clock", "", OK, "", func(s *self) { s.skew(20 * time.Second) }},
		{"clock", "no-date", Unknown, "", func(s *self) {
			s.TimeURL = "https://example.org"
			s.date = func(context.Context, string) (a, b time.Time, err error) { return a, b, errors.New("no") }
		}},
		{"ipv6", "ipv6-unused", Warning, "--relay-address 2a01:4f8::7", func(s *self) {
			s.Relays = s.Relays[:1]
			s.addrs = func() []netip.Addr {
				return []netip.Addr{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("2a01:4f8::7")}
			}
		}},
		{"ipv6", "", OK, "", func(s *self) { s.Relays = s.Relays[:1] }},
		{"offload", "in-doubt", Unknown, "", func(s *self) {
			s.Offload = func(context.Context) Step { return unknown("in-doubt", nil, "in doubt") }
		}},
	} {
		s := goodMachine()
		c.change(s)
		r := look(t.Context(), s)
		for _, step := range r.Steps {
			if step.Name == c.step && (step.Status != c.status || step.Reason != c.reason || !strings.Contains(step.Hint, c.hint)) {
				t.Errorf("want %s %s %s (%s), got %+v", c.status, c.step, c.reason, c.hint, step)
			}
		}
		if want := map[bool]Verdict{true: Faulty, false: Healthy}[c.status == Fault]; r.Verdict != want {
			t.Errorf("%s: verdict %s, want %s", c.reason, r.Verdict, want)
		}
	}
}

// skew sets the clock ahead of a server that is asked for the time.
func (s *self) skew(ahead time.Duration) {
	s.TimeURL = "https://example.org"
	s.date = func(context.Context, string) (theirs, ours time.Time, err error) {
		now := time.Now()
		return now, now.Add(ahead), nil
	}
}

func TestSelfInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := goodMachine()
	s.open = func(netip.Addr, uint16, uint16) error { cancel(); return nil }
	r := look(ctx, s)
	if r.Verdict != Incomplete || len(r.Steps) != len(s.stages()) || r.Steps[3].Reason != ReasonInterrupted {
		t.Errorf("%s: %+v", r.Verdict, r.Steps)
	}
}

// On whatever machine this is, there is an end to it and a word for everything.
func TestSelfHere(t *testing.T) {
	r := Self(t.Context(), SelfConfig{
		Listen:  []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")},
		Relays:  []SelfRelay{{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1")}},
		MinPort: 49152, MaxPort: 65535, Allocations: 20_000, ListenBuffer: 4 << 20, OpenFiles: 1024,
	})
	for _, s := range r.Steps {
		t.Logf("%s %s %s: %s (%s)", s.Status, s.Name, s.Reason, s.Words, s.Hint)
		if s.Words == "" || s.Status != OK && s.Reason == "" || s.Status == Warning && s.Hint == "" {
			t.Errorf("%s says too little: %+v", s.Name, s)
		}
	}
}

func TestAskDate(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Sun, 22 Nov 2026 20:00:00 GMT")
		http.Redirect(w, &http.Request{Method: http.MethodHead}, "https://elsewhere.example", http.StatusFound)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(answer))
	defer server.Close()
	if _, _, err := askDate(t.Context(), server.URL); err == nil {
		t.Error("a certificate that nobody trusts was trusted")
	}
	trust := http.DefaultTransport.(*http.Transport)
	before := trust.TLSClientConfig
	trust.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	defer func() { trust.TLSClientConfig = before }()
	theirs, _, err := askDate(t.Context(), server.URL)
	if err != nil || !theirs.Equal(time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", theirs, err)
	}
	for text, good := range map[string]bool{"https://example.org": true, "http://example.org": false, "example.org": false, "https://": false, "https://a:b@example.org": false} {
		if (CheckTimeURL(text) == nil) != good {
			t.Errorf("%s: good is to be %v", text, good)
		}
	}
}
