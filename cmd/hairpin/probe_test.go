package main

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver"
	"hairpin/turnserver/control"
	"hairpin/turnserver/relay"
)

// probedServer runs a server on loopback that knows the test's secret, with the clock
// of the machine, and returns its address.
func probedServer(t *testing.T) string {
	t.Helper()
	secret, err := credentials.NewSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := credentials.NewSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	s, err := turnserver.New(turnserver.Config{
		Listen:      []netip.AddrPort{netip.AddrPortFrom(loopback, 0)},
		Relays:      []relay.Address{{Local: loopback, Advertised: loopback}},
		Credentials: secrets,
		Policy:      control.PolicyConfig{AllowLoopback: true},
		Sockets:     1,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s.Addrs().UDP[0].String()
}

// probeNow runs hairpin probe with the clock of the machine, as the server has it.
func (h *hairpin) probeNow(t *testing.T, args ...string) int {
	t.Helper()
	d := h.deps()
	d.now = time.Now
	code := run(t.Context(), d, append([]string{"probe"}, args...))
	t.Logf("hairpin probe %q: exit code %d\n%s%s", args, code, &h.stdout, &h.stderr)
	return code
}

func TestProbeText(t *testing.T) {
	at := probedServer(t)
	h := hairpin{env: map[string]string{secretsVariable: testSecret}}
	if code := h.probeNow(t, "turn:"+at, "stun:"+at); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	text := h.stdout.String()
	for _, want := range []string{
		"turn:" + at + "?transport=udp  healthy: no fault found\n",
		"\n  software  Hairpin\n",
		"\n  ok       dns             127.0.0.1 is an address, no name\n",
		"\n  ok       channel         to the peer 20 of 20 in ",
		"\n\nstun:" + at + "  healthy",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > 101 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if strings.Contains(text, "\x1b") || h.stderr.Len() > 0 {
		t.Errorf("colours, or words on stderr, where there is no terminal: %s", &h.stderr)
	}
}

func TestProbeJSON(t *testing.T) {
	at := probedServer(t)
	h := hairpin{env: map[string]string{secretsVariable: testSecret}}
	if code := h.probeNow(t, "--json", "turn:"+at+"?transport=tcp"); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	var got struct {
		Verdict string
		Results []struct {
			URI, Verdict, Server, Software string
			Steps                          []struct {
				Name, Status string
				Details      json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(h.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Verdict != "healthy" || len(got.Results) != 1 || got.Results[0].Server != at || got.Results[0].Software != "Hairpin" {
		t.Errorf("got %+v", got)
	}
	for _, s := range got.Results[0].Steps {
		if s.Status == "ok" && len(s.Details) == 0 {
			t.Errorf("step %s has no details", s.Name)
		}
	}
	for _, want := range []string{`"relayed": "127.0.0.1:`, `"lossPercent": 0`, `"realm": "hairpin"`, `"peerKind": "second-allocation"`, `"offered": "yes"`} {
		if !strings.Contains(h.stdout.String(), want) {
			t.Errorf("it does not hold %s", want)
		}
	}
}

func TestProbePassword(t *testing.T) {
	at := probedServer(t)
	secrets, err := credentials.NewSecrets(credentials.UnsafeSecret(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	c, err := secrets.Mint("alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		h    hairpin
		args []string
		code int
	}{
		{"stdin", hairpin{stdin: c.Password + "\n"}, []string{"--password-file", "-"}, exitOK},
		{"file", hairpin{}, []string{"--password-file", writeFile(t, c.Password+"\n")}, exitOK},
		{"environment", hairpin{env: map[string]string{passwordVariable: c.Password}}, nil, exitOK},
		{"password before secret", hairpin{env: map[string]string{passwordVariable: c.Password, secretsVariable: strings.Repeat("ab1", 20)}}, nil, exitOK},
		{"wrong", hairpin{stdin: "wonderland"}, []string{"--password-file=-"}, exitFault},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if code := tt.h.probeNow(t, append(tt.args, "--username", c.Username, "turn:"+at)...); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if all := tt.h.stdout.String() + tt.h.stderr.String(); strings.Contains(all, c.Password) || strings.Contains(all, "wonderland") {
				t.Error("the password is shown")
			}
		})
	}
}

// TestProbeExitCodes: the worst of the results is the exit code.
func TestProbeExitCodes(t *testing.T) {
	at := probedServer(t)
	closed, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	dead := "stun:" + closed.LocalAddr().String()
	tests := []struct {
		args []string
		want int
	}{
		{[]string{"stun:" + at}, exitOK},
		{[]string{dead}, exitUnreachable},
		{[]string{"stun:" + at, dead}, exitUnreachable},
		{[]string{dead, "--json", "stun:" + at}, exitUnreachable},
		{[]string{"turns:" + at}, exitFault},
		{[]string{"turn:" + at, "--timeout", "1ns"}, exitFault},
	}
	for _, tt := range tests {
		var h hairpin
		if code := h.probeNow(t, tt.args...); code != tt.want || h.stdout.Len() == 0 || h.stderr.Len() > 0 {
			t.Errorf("%q: exit code %d, want %d", tt.args, code, tt.want)
		}
	}
}

// TestProbeInterrupted: what is known is printed.
func TestProbeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var h hairpin
	if code := run(ctx, h.deps(), []string{"probe", "turn:127.0.0.1", "turn:127.0.0.2"}); code != exitFault {
		t.Errorf("exit code %d", code)
	}
	if got := h.stdout.String(); !strings.Contains(got, "incomplete: ended before all was tried") || !strings.Contains(got, "interrupted") {
		t.Errorf("got %s", got)
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", []string{""}},
		{"one", []string{"one"}},
		{"one two three", []string{"one two", "three"}},
		{"a-word-that-is-too-long x", []string{"a-word-that-is-too-long", "x"}},
	}
	for _, tt := range tests {
		if got := wrap(tt.in, 8); !slices.Equal(got, tt.want) {
			t.Errorf("%q became %q", tt.in, got)
		}
	}
}
