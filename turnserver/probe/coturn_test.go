package probe_test

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/probe"
)

// coturn runs Debian's coturn on loopback and returns its address. Where it is not
// installed it skips the test, or fails it where the environment has
// HAIRPIN_TEST_FULL=1.
func coturn(t *testing.T, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("turnserver")
	switch {
	case err == nil:
	case os.Getenv("HAIRPIN_TEST_FULL") == "1":
		t.Fatalf("coturn is not installed: %v", err)
	default:
		t.Skipf("coturn is not installed: %v", err)
	}
	for range 5 {
		if at, ok := tryCoturn(t, program, freePort(t), args); ok {
			return at
		}
	}
	t.Fatal("coturn does not answer, on none of several ports")
	return ""
}

// tryCoturn starts coturn on a port, and reports whether it came to answer there:
// somebody else may have taken the port.
func tryCoturn(t *testing.T, program string, port int, args []string) (at string, ok bool) {
	t.Helper()
	dir := t.TempDir()
	all := append([]string{
		"-n", "--no-cli", "--log-file", "stdout", "--simple-log", "--realm", "coturn",
		"--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--listening-port", strconv.Itoa(port),
		"--pidfile", filepath.Join(dir, "pid"), "--userdb", filepath.Join(dir, "db"),
	}, args...)
	if !slices.Contains(args, "--cert") {
		all = append(all, "--no-tls", "--no-dtls")
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, all...)
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	at = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	u, _ := probe.ParseURI("stun:" + at)
	ask := time.NewTicker(50 * time.Millisecond) // it does not say when it is ready
	defer ask.Stop()
	giveUp := time.After(5 * time.Second)
	for {
		select {
		case <-ask.C:
			if probe.Server(t.Context(), u, probe.Options{Wait: impatient}).Verdict == probe.Healthy {
				return at, true
			}
		case <-giveUp:
			stop()
			return "", false
		}
	}
}

// freePort returns a port that was free a moment ago over UDP and TCP, for a program
// that takes no 0. It lies below those that the kernel gives to anybody.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + mathrand.IntN(12_000)
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		datagrams, err := net.ListenPacket("udp4", at)
		if err != nil {
			continue
		}
		_ = datagrams.Close()
		stream, err := net.Listen("tcp4", at)
		if err != nil {
			continue
		}
		_ = stream.Close()
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// randomSecret is a shared secret as text, and as ours.
func randomSecret(t *testing.T) (string, *credentials.Secrets) {
	t.Helper()
	text := rand.Text() + rand.Text()
	secret, err := credentials.NewSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return text, mustSecrets(t, secret)
}

func TestCoturn(t *testing.T) {
	text, secrets := randomSecret(t)
	at := coturn(t, "--use-auth-secret", "--static-auth-secret", text, "--allow-loopback-peers", "--mobility")
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			r := run(t, "turn:"+at+"?transport="+transport, probe.Options{Mint: []probe.Mint{mint(secrets)}})
			if !strings.HasPrefix(r.Software, "Coturn") {
				t.Errorf("software %q", r.Software)
			}
			for _, name := range []string{
				probe.StepReachability, probe.StepBinding, probe.StepAuthentication, probe.StepAllocation, probe.StepPermission,
				probe.StepIndication, probe.StepChannel, probe.StepOutside, probe.StepFeatures,
			} {
				wantStep(t, r, name, probe.OK, "")
			}
			policy := wantStep(t, r, probe.StepPeerPolicy, probe.Fault, "peer-policy-hole")
			if !strings.Contains(policy.Words, "metadata 169.254.169.254") {
				t.Errorf("got %q", policy.Words)
			}
			features, _ := r.Step(probe.StepFeatures)
			want := map[string]string{"even-port": "yes", "mobility": "yes", "reservation": "yes", "ipv6-relay": "no"}
			for _, f := range features.Details.([]probe.Feature) {
				if w, ok := want[f.Name]; ok && w != f.Offered {
					t.Errorf("%s: %s (%s), want %s", f.Name, f.Offered, f.Words, w)
				}
			}
		})
	}
}

func TestCoturnWrongPassword(t *testing.T) {
	at := coturn(t, "--lt-cred-mech", "--user", "alice:wonderland")
	r := run(t, "turn:"+at, probe.Options{Login: &probe.Login{Username: "alice", Password: "looking-glass"}})
	wantStep(t, r, probe.StepAuthentication, probe.Fault, "wrong-credentials")
	r = run(t, "turn:"+at, probe.Options{Login: &probe.Login{Username: "alice", Password: "wonderland"}})
	wantStep(t, r, probe.StepAuthentication, probe.OK, "")
	// coturn refuses its own relayed addresses where they are on loopback.
	wantStep(t, r, probe.StepPermission, probe.Fault, "relay-to-relay-denied")
}

func TestCoturnWithoutCredentials(t *testing.T) {
	at := coturn(t, "--no-auth", "--allow-loopback-peers")
	r := run(t, "turn:"+at, probe.Options{})
	wantStep(t, r, probe.StepAuthentication, probe.Fault, "no-authentication")
	wantStep(t, r, probe.StepChannel, probe.OK, "")
}
