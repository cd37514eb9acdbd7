package bench_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hairpin/turnserver/bench"
	"hairpin/turnserver/labtest"
	"hairpin/turnserver/udp"
)

// secret is what both servers know. The lab has no way out, so it protects nothing.
const secret = "a secret that is at least thirty-two bytes long"

// site is a server's host with links to the client's and to the peer's host.
type site struct {
	client, server, peer *labtest.Host

	clientIP, listenIP, relayIP, peerIP netip.Addr
}

// newSite adds a server's host between the others, on networks of its own: 10.n.1.0/24
// towards the client and 10.n.2.0/24 towards the peer.
func newSite(lab *labtest.Lab, client, peer *labtest.Host, n byte) *site {
	s := &site{
		client: client, server: lab.Host(fmt.Sprintf("server%d", n)), peer: peer,
		clientIP: netip.AddrFrom4([4]byte{10, n, 1, 1}), listenIP: netip.AddrFrom4([4]byte{10, n, 1, 2}),
		relayIP: netip.AddrFrom4([4]byte{10, n, 2, 2}), peerIP: netip.AddrFrom4([4]byte{10, n, 2, 1}),
	}
	end := func(h *labtest.Host, ip netip.Addr) labtest.End {
		return labtest.End{Host: h, Address: netip.PrefixFrom(ip, 24)}
	}
	lab.Link(end(s.client, s.clientIP), end(s.server, s.listenIP))
	lab.Link(end(s.server, s.relayIP), end(s.peer, s.peerIP))
	return s
}

// establish gives clients of the site's server their allocations.
func (s *site) establish(t *testing.T, clients int) *bench.Fleet {
	t.Helper()
	fleet, err := bench.Establish(t.Context(), s.config(clients))
	if err != nil {
		t.Fatal(err)
	}
	return fleet
}

func closeFleet(t *testing.T, f *bench.Fleet) {
	t.Helper()
	if f == nil {
		return // the test failed before it was made
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// config returns what a fleet needs to use the site's server.
func (s *site) config(clients int) bench.Config {
	listen := func(h *labtest.Host, ip netip.Addr) func(udp.Options) (*udp.Conn, error) {
		return func(o udp.Options) (conn *udp.Conn, err error) {
			h.Do(func() { conn, err = udp.Listen(netip.AddrPortFrom(ip, 0), o) })
			return conn, err
		}
	}
	username := fmt.Sprintf("%d:bench", time.Now().Add(time.Hour).Unix())
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(username))
	return bench.Config{
		Server:   netip.AddrPortFrom(s.listenIP, turnPort),
		Username: username, Password: base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		Clients:      clients,
		ListenClient: listen(s.client, s.clientIP),
		ListenPeer:   listen(s.peer, s.peerIP),
	}
}

const turnPort = 3478

// server is a program to measure.
type server struct {
	name    string
	version func(*testing.T) string

	// start runs the program on a site's server host, on the given processor alone,
	// and returns when it answers.
	start func(t *testing.T, s *site, cpu string) bench.Process
}

// pinned returns a command on the site's server host that has one processor.
func (s *site) pinned(cpu, program string, args ...string) *exec.Cmd {
	return s.server.Command("taskset", append([]string{"-c", cpu, program}, args...)...)
}

// run starts a program and kills it when the test ends.
func run(t *testing.T, cmd *exec.Cmd) bench.Process {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return bench.Process(cmd.Process.Pid)
}

// hairpin is built from this checkout, unless HAIRPIN_BIN names another.
func hairpin(t *testing.T) server {
	binary := os.Getenv("HAIRPIN_BIN")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "hairpin")
		build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "hairpin/cmd/hairpin")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	secrets := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(secrets, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return server{
		name:    "hairpin",
		version: func(t *testing.T) string { return firstLine(t, binary, "version") },
		start: func(t *testing.T, s *site, cpu string) bench.Process {
			cmd := s.pinned(cpu, binary, "serve",
				"--listen", fmt.Sprintf("%v:%d", s.listenIP, turnPort), "--relay-address", s.relayIP.String(),
				"--http", "127.0.0.1:0", "--secret-file", secrets, "--peer-profile", "lan", "--log-format", "json",
				"--max-allocations", "0", "--max-allocations-per-user", "0", "--max-allocations-per-address", "0",
				"--unauthenticated-rate", "0")
			return runUntilReady(t, cmd)
		},
	}
}

// runUntilReady starts Hairpin and waits for the log line that says it is ready.
func runUntilReady(t *testing.T, cmd *exec.Cmd) bench.Process {
	t.Helper()
	log := &logWatcher{output: t.Output(), ready: make(chan struct{})}
	cmd.Stderr = log
	cmd.Env = withoutSettings(os.Environ())
	process := run(t, cmd)
	select {
	case <-log.ready:
	case <-time.After(patience):
		t.Fatal("hairpin is not ready")
	}
	return process
}

// withoutSettings removes what Hairpin would take for settings of its own.
func withoutSettings(environment []string) []string {
	return slices.DeleteFunc(environment, func(v string) bool { return strings.HasPrefix(v, "HAIRPIN_") })
}

// patience is how long anything may take. Only a failing test waits so long.
const patience = 20 * time.Second

// logWatcher takes a log in JSON, tells when it says "ready", and passes on errors and
// what is no log line.
type logWatcher struct {
	output io.Writer
	ready  chan struct{}
	rest   []byte // of a line whose end has not come
}

func (w *logWatcher) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		var entry struct{ Level, Msg string }
		if err := json.Unmarshal(line, &entry); err != nil || entry.Level == "ERROR" {
			fmt.Fprintf(w.output, "%s\n", line)
		}
		if entry.Msg == "ready" {
			close(w.ready)
		}
		w.rest = append(w.rest[:0], rest...)
	}
}

// coturn is Debian's, with its defaults and the options given.
func coturn(t *testing.T, name string, options ...string) server {
	const binary = "/usr/bin/turnserver"
	if _, err := os.Stat(binary); err != nil {
		t.Skip("Debian's coturn is not installed: ", err)
	}
	return server{
		name:    name,
		version: func(t *testing.T) string { return name + " " + firstLine(t, binary, "--version") },
		start: func(t *testing.T, s *site, cpu string) bench.Process {
			dir := t.TempDir()
			arguments := []string{
				"-n", "--no-cli", "--no-tls", "--no-dtls", "--no-stun-backward-compatibility",
				"--use-auth-secret", "--static-auth-secret", secret, "--realm", "bench",
				"--listening-ip", s.listenIP.String(), "--listening-port", strconv.Itoa(turnPort),
				"--relay-ip", s.relayIP.String(),
				"--simple-log", "--log-file", filepath.Join(dir, "log"), "--pidfile", filepath.Join(dir, "pid"),
			}
			process := run(t, s.pinned(cpu, binary, append(arguments, options...)...))
			closeFleet(t, s.establish(t, 1)) // its requests are repeated until somebody listens
			return process
		},
	}
}

func firstLine(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).Output()
	if err != nil {
		t.Logf("%s: %v", program, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
