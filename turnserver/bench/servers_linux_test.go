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
	"path"
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

	// The interfaces of the links, at the ends named.
	clientLink, listenLink, relayLink, peerLink string
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
	s.clientLink, s.listenLink = lab.Link(end(s.client, s.clientIP), end(s.server, s.listenIP))
	s.relayLink, s.peerLink = lab.Link(end(s.server, s.relayIP), end(s.peer, s.peerIP))
	return s
}

// shortcut joins the client's to the peer's host past the server, for baselines. It
// returns the interfaces of the link.
func (s *site) shortcut(lab *labtest.Lab) (client, peer string) {
	near, far := s.clientIP.As4(), s.clientIP.As4()
	near[2], far[2], far[3] = shortcutNetwork, shortcutNetwork, 2
	clientEnd := labtest.End{Host: s.client, Address: netip.PrefixFrom(netip.AddrFrom4(near), 24)}
	peerEnd := labtest.End{Host: s.peer, Address: netip.PrefixFrom(netip.AddrFrom4(far), 24)}
	client, peer = lab.Link(clientEnd, peerEnd)
	s.client.Route(netip.PrefixFrom(s.peerIP, 32), peerEnd.Address.Addr())
	s.peer.Route(netip.PrefixFrom(s.clientIP, 32), clientEnd.Address.Addr())
	return client, peer
}

// shortcutNetwork is the third byte of its addresses.
const shortcutNetwork = 3

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
		Dial:         s.dial(turnPort),
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
func (s *site) pinned(cpu string, command ...string) *exec.Cmd {
	return s.server.Command("taskset", append([]string{"-c", cpu}, command...)...)
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

// build builds a program of this module and returns its name.
func build(t *testing.T, of string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), path.Base(of))
	command := exec.CommandContext(t.Context(), "go", "build", "-o", binary, of)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// hairpinProgram is built from this checkout, unless HAIRPIN_BIN names another.
func hairpinProgram(t *testing.T) string {
	if binary := os.Getenv("HAIRPIN_BIN"); binary != "" {
		return binary
	}
	return build(t, "hairpin/cmd/hairpin")
}

// hairpin is a program of hairpinProgram with the options given.
func hairpin(t *testing.T, name, binary string, options ...string) server {
	secrets := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(secrets, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return server{
		name:    name,
		version: func(t *testing.T) string { return firstLine(t, binary, "version") },
		start: func(t *testing.T, s *site, cpu string) bench.Process {
			arguments := []string{
				binary, "serve",
				"--listen", fmt.Sprintf("%v:%d", s.listenIP, turnPort), "--relay-address", s.relayIP.String(),
				"--http", "127.0.0.1:0", "--secret-file", secrets, "--peer-profile", "lan", "--log-format", "json",
				"--max-allocations", "0", "--max-allocations-per-user", "0", "--max-allocations-per-address", "0",
				"--unauthenticated-rate", "0",
			}
			return runUntilReady(t, s.pinned(cpu, append(arguments, options...)...))
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
		if os.Getenv("HAIRPIN_TEST_FULL") == "1" {
			t.Fatal("Debian's coturn is not installed: ", err)
		}
		t.Skip("Debian's coturn is not installed: ", err)
	}
	return server{
		name:    name,
		version: func(t *testing.T) string { return name + " " + firstLine(t, binary, "--version") },
		start: func(t *testing.T, s *site, cpu string) bench.Process {
			dir := t.TempDir()
			arguments := []string{
				binary, "-n", "--no-cli", "--no-dtls", "--no-stun-backward-compatibility",
				"--use-auth-secret", "--static-auth-secret", secret, "--realm", "bench",
				"--listening-ip", s.listenIP.String(), "--listening-port", strconv.Itoa(turnPort),
				"--relay-ip", s.relayIP.String(),
				"--simple-log", "--log-file", filepath.Join(dir, "log"), "--pidfile", filepath.Join(dir, "pid"),
			}
			process := run(t, s.pinned(cpu, append(arguments, options...)...))
			closeFleet(t, s.establish(t, 1)) // its requests are repeated until somebody listens
			return process
		},
	}
}

// pionturn is a minimal server made of pion/turn.
func pionturn(t *testing.T) server {
	binary := build(t, "hairpin/turnserver/bench/testdata/pionturn")
	return server{
		name:    "pion/turn",
		version: func(t *testing.T) string { return "pion/turn " + moduleVersion(t, "github.com/pion/turn/v4") },
		start: func(t *testing.T, s *site, cpu string) bench.Process {
			cmd := s.pinned(cpu, binary, "-listen", fmt.Sprintf("%v:%d", s.listenIP, turnPort), "-relay", s.relayIP.String())
			cmd.Env = append(os.Environ(), "PIONTURN_SECRET="+secret)
			cmd.Stderr = t.Output()
			process := run(t, cmd)
			closeFleet(t, s.establish(t, 1)) // its requests are repeated until somebody listens
			return process
		},
	}
}

func moduleVersion(t *testing.T, module string) string {
	t.Helper()
	return firstLine(t, "go", "list", "-m", "-f", "{{.Version}}", module)
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
