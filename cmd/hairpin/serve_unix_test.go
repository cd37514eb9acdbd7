//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// SIGTERM while clients talk: no new allocations, readiness is gone, the live ones go
// on for as long as they may drain, and then the program ends in order.
func TestServeDrainsUnderLoad(t *testing.T) {
	const drain = 2 * time.Second
	s := startServe(t, "--drain-timeout", drain.String(), "--max-allocations-per-user", "0")
	login := s.login()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	for i := range 20 {
		_, relayed := s.allocate([]string{"udp", "tcp"}[i%2], login)
		clients.Go(func() {
			if hammer(ctx, relayed) == 0 {
				t.Error("a client got nothing through")
			}
		})
	}
	s.signal(syscall.SIGTERM)
	s.await("draining")
	begun := time.Now()
	if code, body := s.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, `"draining"`) {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, _ := s.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
	if err := s.loop(login); err == nil || !strings.Contains(err.Error(), "508") {
		t.Errorf("an allocation while draining: %v", err)
	}
	s.await("stopped")
	if err := s.exit(); err != nil {
		t.Error(err)
	}
	// What takes the time after the drain is the end of processes, on a busy machine.
	if took := time.Since(begun); took > drain+3*time.Second {
		t.Errorf("it took %v to end, of which %v were to drain", took, drain)
	}
	cancel()
	clients.Wait()
}

// The end comes at once when nobody is left.
func TestServeEndsWithItsLastAllocation(t *testing.T) {
	s := startServe(t, "--drain-timeout", "1h")
	_, relayed := s.allocate("udp", s.login())
	s.signal(syscall.SIGTERM)
	s.await("draining")
	if err := relayed.Close(); err != nil { // Refresh with lifetime 0
		t.Fatal(err)
	}
	s.await("stopped")
	if err := s.exit(); err != nil {
		t.Error(err)
	}
}

// A second signal does not wait.
func TestServeSecondSignalKills(t *testing.T) {
	s := startServe(t, "--drain-timeout", "1h")
	s.allocate("udp", s.login())
	s.signal(syscall.SIGTERM)
	s.await("draining")
	// That the program has let go of the signal cannot be seen from outside, so signals
	// are sent until one is deadly.
	for given := time.Now().Add(patience); time.Now().Before(given); {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
		select {
		case err := <-s.ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("ended by %v", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the program goes on")
}

const (
	firstSecret  = "0f1e2d3c4b5a69788796a5b4c3d2e1f01029384756"
	secondSecret = "9a8b7c6d5e4f30211203f4e5d6c7b8a99a0b1c2d3e"
)

// SIGHUP rotates secrets while clients come and go, and not one of them is refused.
func TestServeReloadsSecrets(t *testing.T) { // SEC-20
	file := filepath.Join(t.TempDir(), "secrets")
	before := mintFile(t, file, firstSecret)
	s := startServe(t, "--secret-file", file, "--max-allocations-per-user", "0")
	ctx, cancel := context.WithCancel(t.Context())
	var client sync.WaitGroup
	looped := make(chan struct{}, 1)
	client.Go(func() {
		defer close(looped)
		for ctx.Err() == nil {
			if err := s.loop(before); err != nil {
				t.Errorf("while the secrets changed: %v", err)
			}
			select {
			case looped <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
	reload := func(msg string) logLine {
		<-looped // one that was under way, or has been
		s.signal(syscall.SIGHUP)
		return s.await(msg)
	}
	after := mintFile(t, file, secondSecret, firstSecret)
	if err := s.loop(after); err == nil {
		t.Error("a secret counts before it is loaded")
	}
	reload("configuration reloaded")
	if err := s.loop(after); err != nil {
		t.Errorf("with the new secret: %v", err)
	}
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := reload("reload refused")
	if text := fmt.Sprint(refused); !strings.Contains(text, "shorter than 32 bytes") {
		t.Errorf("the log says %s", text)
	}
	if err := s.loop(after); err != nil {
		t.Errorf("after a reload that was refused: %v", err)
	}
	cancel()
	client.Wait()
	mintFile(t, file, secondSecret)
	reload("configuration reloaded")
	if err := s.loop(before); err == nil {
		t.Error("the old secret goes on")
	}
}

// SIGHUP changes who may be relayed to.
func TestServeReloadsPolicy(t *testing.T) { // SEC-05
	file := filepath.Join(t.TempDir(), "hairpin.yaml")
	configure := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("drain_timeout: 0s\n")
	s := startServe(t, "--config", file)
	client, _ := s.allocate("udp", s.login())
	peer := &net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 53} // permitted, never sent to
	if err := client.CreatePermission(peer); err != nil {
		t.Fatal(err)
	}
	configure("drain_timeout: 0s\ndeny_peer: [8.8.8.0/24]\nrealm: other\n")
	s.signal(syscall.SIGHUP)
	restart := s.await("these settings take effect with the next start")
	if text := restart.text("msg"); !strings.HasSuffix(text, ": realm") {
		t.Errorf("the log says %q", text)
	}
	s.await("configuration reloaded")
	if err := client.CreatePermission(peer); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a denied peer: %v", err)
	}
	configure("denied_peer: [8.8.8.0/24]\n")
	s.signal(syscall.SIGHUP)
	s.await("reload refused")
}
