package main

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/bench"
)

// benchNow runs hairpin bench with the clock of the machine, as the server has it.
func (h *hairpin) benchNow(ctx context.Context, t *testing.T, args ...string) int {
	t.Helper()
	d := h.deps()
	d.now = time.Now
	code := run(ctx, d, append([]string{"bench"}, args...))
	t.Logf("hairpin bench %q: exit code %d\n%s%s", args, code, &h.stdout, &h.stderr)
	return code
}

func TestBenchText(t *testing.T) {
	at := probedServer(t)
	h := hairpin{env: map[string]string{secretsVariable: testSecret}}
	if code := h.benchNow(t.Context(), t, "--clients", "2", "--rate", "1000", "--duration", "200ms", "turn:"+at); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	text := h.stdout.String()
	for _, want := range []string{
		"turn:" + at + "?transport=udp  to-peer, 2 clients, 1 peer, 160 bytes, 1 000/s for 200ms\n",
		"\n  found        ", " was the limit", "\n  delivered    ", "/s, ", " Mbit/s, ", " lost\n",
		"\n  one way      p50 ", ", p99.9 ", "\n  allocations  2 in ", "\n  generator    ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if h.stderr.Len() > 0 || strings.Contains(text, testSecret) {
		t.Errorf("words on stderr where there is no terminal, or a secret: %s", &h.stderr)
	}
}

func TestBenchJSON(t *testing.T) {
	at := probedServer(t)
	for _, mode := range bench.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			h := hairpin{env: map[string]string{}}
			args := []string{"--json", "--mode", string(mode), "--clients", "2", "turn:" + at}
			if mode != bench.Allocate {
				args = append(args, "--rate", "100", "--duration", "100ms")
			}
			if mode != bench.Binding {
				h.env[secretsVariable] = testSecret
			}
			if code := h.benchNow(t.Context(), t, args...); code != exitOK {
				t.Errorf("exit code %d", code)
			}
			var got benched
			if err := json.Unmarshal(h.stdout.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.URI != "turn:"+at+"?transport=udp" || got.Server != at || got.Mode != mode || got.Clients != 2 || !got.Complete || got.Words == "" {
				t.Errorf("got %+v", got)
			}
			if (got.Packets == nil) != (mode == bench.Allocate) || (got.Allocations == nil) != (mode == bench.Binding) {
				t.Errorf("packets %+v, allocations %+v", got.Packets, got.Allocations)
			}
		})
	}
}

func TestBenchEndsEarlyWithWhatIsKnown(t *testing.T) {
	at := probedServer(t)
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	h := hairpin{env: map[string]string{secretsVariable: testSecret}}
	if code := h.benchNow(ctx, t, "--duration", "1m", "turn:"+at); code != exitFault {
		t.Errorf("exit code %d, want %d", code, exitFault)
	}
	if !strings.Contains(h.stdout.String(), "\n  found        ended ") {
		t.Error("it does not say that it ended early")
	}
}

func TestBenchIsRefused(t *testing.T) {
	at := probedServer(t)
	tests := []struct {
		secret string
		args   []string
		want   string
	}{
		{testSecret + "?", nil, "the server does not accept the credentials\nhint: hairpin credentials verify "},
		{testSecret, []string{"--clients", "50"}, "the server refuses: 486 \"quota-user\"\nhint: fewer --clients, "},
	}
	for _, test := range tests {
		h := hairpin{env: map[string]string{secretsVariable: test.secret}}
		if code := h.benchNow(t.Context(), t, append(test.args, "turn:"+at)...); code != exitFault {
			t.Errorf("exit code %d, want %d", code, exitFault)
		}
		if !strings.Contains(h.stderr.String(), test.want) || h.stdout.Len() > 0 {
			t.Errorf("stderr %q, want %q", &h.stderr, test.want)
		}
	}
}

func TestBenchTakesAPassword(t *testing.T) {
	file := writeFile(t, "wonderland\n")
	for _, test := range []benchOptions{
		{passwordFile: file},
		{password: "wonderland"},
		{deps: deps{getenv: func(name string) string { return map[string]string{passwordVariable: "wonderland"}[name] }}},
		{deps: deps{stdin: strings.NewReader("wonderland\n")}, passwordFile: "-"},
	} {
		if test.getenv == nil {
			test.getenv = func(string) string { return "" }
		}
		test.username = "alice"
		if username, password, err := test.login(); username != "alice" || password != "wonderland" || err != nil {
			t.Errorf("%q, %q, %v", username, password, err)
		}
	}
}

func TestIsPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": false, "::1": false, "10.0.0.1": false, "192.168.1.1": false, "172.16.0.1": false, "169.254.0.1": false,
		"100.64.0.1": false, "fd00::1": false, "fe80::1": false, "8.8.8.8": true, "2001:4860::8888": true, "100.128.0.1": true, "172.32.0.1": true,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is public: %v, want %v", address, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1 000", 1234567.8: "1 234 568", -1000: "-1 000"} {
		if got := thousands(n); got != want {
			t.Errorf("%v is %q, want %q", n, got, want)
		}
	}
}
