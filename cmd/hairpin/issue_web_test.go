package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/web"
)

// TestIssueThroughOwnServer has both ends of the credential API in one test: what the
// server mints, the client prints and hairpin credentials verify finds valid.
func TestIssueThroughOwnServer(t *testing.T) {
	server := newOwnServer(t)
	for _, format := range []string{formatJSON, formatICEServers} {
		h := hairpin{transport: http.DefaultTransport, env: map[string]string{apiKeyVariable: testKey}}
		if code := h.run(t, "credentials", "issue", "--user", "alice", "--ttl", "90s", "--server", server, "--format", format); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
		var got struct {
			Username, Password string
			TTL                int
			ICEServers         []struct{ Username, Credential string }
		}
		if err := json.Unmarshal(h.stdout.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		for _, s := range got.ICEServers {
			got.Username, got.Password = s.Username, s.Credential
		}
		if got.TTL != 90 || got.Username != "1772366490:alice" {
			t.Errorf("got %+v", got)
		}
		v := hairpin{stdin: got.Password, env: map[string]string{secretsVariable: testSecret}}
		if code := v.run(t, "credentials", "verify", got.Username, "-"); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestIssueRefusedByOwnServer(t *testing.T) {
	server := newOwnServer(t)
	for key, want := range map[string]string{"": "(missing-key)\nhint: give an API key", testKey + "x": "(unknown-key)\nhint: give an API key"} {
		h := hairpin{transport: http.DefaultTransport, env: map[string]string{apiKeyVariable: key}}
		code := h.run(t, "credentials", "issue", "--user", "alice", "--server", server)
		if code != exitFault || !strings.Contains(h.stderr.String(), want) {
			t.Errorf("key %q: exit code %d, want %q", key, code, want)
		}
	}
}

// newOwnServer returns the URL of a server with testSecret and testKey, at noon.
func newOwnServer(t *testing.T) string {
	t.Helper()
	secrets, err := credentials.NewSecrets(credentials.UnsafeSecret(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	key, err := web.NewKey("test", testKey)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := web.New(web.Config{
		Mint: func(user string, ttl time.Duration) (credentials.Credential, error) {
			return secrets.Mint(user, ttl, noon)
		},
		ICE: web.ICE{
			STUN: []string{"stun:turn.example.org:3478"},
			TURN: []string{"turn:turn.example.org:3478?transport=udp"},
		},
		Keys:  web.NewKeys(key),
		Ready: func(context.Context) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}
