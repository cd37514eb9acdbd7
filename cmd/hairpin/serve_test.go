package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/probe"

	"github.com/pion/turn/v4"
)

// patience bounds every wait of these tests; nothing that works comes near it.
const patience = 20 * time.Second

// programs holds the program that these tests run, built when the first one asks.
var programs struct {
	once sync.Once
	dir  string // removed at the end
	path string
	err  error
}

// program returns the program: the one that HAIRPIN_BIN names, or one built for this
// run, which watches for data races if the tests do.
func program(t *testing.T) string {
	t.Helper()
	programs.once.Do(func() {
		if programs.path = os.Getenv("HAIRPIN_BIN"); programs.path != "" {
			return
		}
		if programs.dir, programs.err = os.MkdirTemp("", "hairpin"); programs.err != nil {
			return
		}
		programs.path = filepath.Join(programs.dir, "hairpin")
		out, err := exec.Command("go", "build", fmt.Sprintf("-race=%v", raceEnabled), "-o", programs.path, ".").CombinedOutput()
		if err != nil {
			programs.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return programs.path
}

// tests is what testscript runs: all tests, and then the removal of the program.
type tests struct{ m *testing.M }

// Run implements testscript's TestingM.
func (all tests) Run() int {
	defer func() { _ = os.RemoveAll(programs.dir) }() // nothing, if it is empty
	return all.m.Run()
}

// served is a running "hairpin serve".
type served struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout chan string // lines
	log    chan logLine
	ended  chan error
	ready  logLine
}

// logLine is a line of the log in JSON.
type logLine map[string]any

func (l logLine) text(key string) string { text, _ := l[key].(string); return text }

// startServe runs the program on free ports of the loopback address, and waits until
// it is ready.
func startServe(t *testing.T, args ...string) *served {
	t.Helper()
	args = append([]string{
		"serve", "--listen", "127.0.0.1:0", "--relay-address", "127.0.0.1", "--http", "127.0.0.1:0", "--log-format", "json",
	}, args...)
	s := runServe(t, args...)
	s.ready = s.await("ready")
	return s
}

// runServe runs the program with an environment that configures nothing.
func runServe(t *testing.T, args ...string) *served {
	t.Helper()
	return followServe(t, exec.Command(program(t), args...))
}

// followServe runs a command for the program.
func followServe(t *testing.T, cmd *exec.Cmd) *served {
	t.Helper()
	s := &served{t: t, cmd: cmd, ended: make(chan error, 1)}
	s.stdout, s.log = make(chan string, 64), make(chan logLine, 4096)
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, variablePrefix) })
	stdout, _ := s.cmd.StdoutPipe() // these fail only if they were called before
	stderr, _ := s.cmd.StderrPipe()
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.follow(stdout, stderr)
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // fails if it has ended
		<-s.ended
	})
	return s
}

// follow hands on what the program writes until it has ended.
func (s *served) follow(stdout, stderr io.Reader) {
	var results sync.WaitGroup
	results.Go(func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			s.stdout <- lines.Text()
		}
		close(s.stdout)
	})
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		line := logLine{}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			line["msg"] = lines.Text()
		}
		select {
		case s.log <- line:
		default: // nobody waits for it
		}
	}
	results.Wait() // nothing may be read once Wait has been called
	err := s.cmd.Wait()
	close(s.log)
	s.ended <- err
	close(s.ended)
}

// await returns the next line of the log that begins so.
func (s *served) await(msg string) logLine {
	s.t.Helper()
	timeout := time.After(patience)
	var seen []string
	for {
		select {
		case line, ok := <-s.log:
			if !ok {
				s.t.Fatalf("the program has ended without logging %q, after\n%s", msg, strings.Join(seen, "\n"))
			}
			if strings.HasPrefix(line.text("msg"), msg) {
				return line
			}
			seen = append(seen, fmt.Sprint(line))
		case <-timeout:
			s.t.Fatalf("waited %v for %q; the log:\n%s", patience, msg, strings.Join(seen, "\n"))
		}
	}
}

// exit waits for the end of the program.
func (s *served) exit() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(patience):
		s.t.Fatalf("the program did not end in %v", patience)
		return nil
	}
}

func (s *served) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// get asks for a path and returns the answer.
func (s *served) get(path string) (code int, body string) {
	s.t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + s.ready.text("http") + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// handedOut is what a browser is given.
type handedOut struct {
	ICEServers []struct {
		URLs                 []string
		Username, Credential string
	}
}

// login asks for credentials as a page does.
func (s *served) login() probe.Login {
	s.t.Helper()
	code, body := s.get("/v1/ice-servers")
	var ice handedOut
	if err := json.Unmarshal([]byte(body), &ice); err != nil || code != http.StatusOK || len(ice.ICEServers) != 2 {
		s.t.Fatalf("%d %s: %v", code, body, err)
	}
	turnServer := ice.ICEServers[1]
	want := []string{"turn:" + s.ready.text("udp") + "?transport=udp", "turn:" + s.ready.text("tcp") + "?transport=tcp"}
	if !slices.Equal(turnServer.URLs, want) {
		s.t.Errorf("the page is sent to %q, want %q", turnServer.URLs, want)
	}
	return probe.Login{Username: turnServer.Username, Password: turnServer.Credential, Realm: "hairpin"}
}

// loop relays a packet to itself with an independent client.
func (s *served) loop(login probe.Login) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return probe.Loop(ctx, netip.MustParseAddrPort(s.ready.text("udp")), login)
}

// allocate makes an allocation that lasts until the test ends.
func (s *served) allocate(network string, login probe.Login) (*turn.Client, net.PacketConn) {
	s.t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if network == "tcp" {
		var stream net.Conn
		stream, err = net.Dial("tcp4", s.ready.text("tcp"))
		conn = turn.NewSTUNConn(stream)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: s.ready.text("udp"), Username: login.Username, Password: login.Password, Realm: login.Realm, Conn: conn,
	})
	if err == nil {
		err = client.Listen()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { client.Close(); conn.Close() })
	relayed, err := client.Allocate()
	if err != nil {
		s.t.Fatal(err)
	}
	return client, relayed
}

func TestServeHandsOutCredentialsForAsLongAsToldTo(t *testing.T) {
	s := startServe(t, "--credential-ttl", "30s")
	for path, want := range map[string]string{"/v1/ice-servers": `"ttl":30,`, "/v1/ice-servers?ttl=90": `"ttl":90,`} {
		if code, body := s.get(path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
	}
}

func TestServeSaysWhereToGo(t *testing.T) {
	s := runServe(t, "serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--relay-address", "127.0.0.1")
	var page, turnURI, api string
	for api == "" {
		line, ok := <-s.stdout
		if !ok {
			t.Fatal("the program has ended")
		}
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "  Call page "):
			page = fields[2]
		case strings.HasPrefix(line, "  STUN, TURN "):
			turnURI = fields[2]
		case strings.HasPrefix(line, "  ICE servers "):
			api = fields[2]
		}
	}
	if !regexp.MustCompile(`^turn:127\.0\.0\.1:[1-9]\d*\?transport=udp$`).MatchString(turnURI) {
		t.Errorf("TURN is said to be at %q", turnURI)
	}
	for _, address := range []string{page, api} {
		response, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", address, response.Status)
		}
	}
	s.signal(os.Interrupt)
	if err := s.exit(); err != nil {
		t.Error(err)
	}
}

func TestServeWholeTour(t *testing.T) {
	s := startServe(t)
	for _, path := range []string{"/healthz", "/readyz", "/"} {
		if code, body := s.get(path); code != http.StatusOK {
			t.Errorf("%s: %d %.200s", path, code, body)
		}
	}
	login := s.login()
	if err := s.loop(login); err != nil {
		t.Error(err)
	}
	_, relayed := s.allocate("tcp", login)
	_ = relayed.SetDeadline(time.Now().Add(patience))
	if _, err := relayed.WriteTo([]byte("over TCP and back"), relayed.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, _, err := relayed.ReadFrom(buf); err != nil || string(buf[:n]) != "over TCP and back" {
		t.Errorf("got %q: %v", buf[:n], err)
	}
	checkMetrics(t, s, login)
	s.signal(os.Kill)
	for line := range s.stdout {
		t.Errorf("with JSON logs, stdout has %q", line)
	}
}

// knownLabels are the labels of metrics whose values the server itself chooses.
var knownLabels = []string{"transport", "direction", "reason", "type", "route", "method", "status", "le", "quantile", "version", "pair", "verdict", "interface", "driver", "mode"}

// checkMetrics wants the figures of what has happened, and nothing that a client chose.
func checkMetrics(t *testing.T, s *served, login probe.Login) {
	t.Helper()
	s.get("/a-path-of-the-clients-choice")
	code, metrics := s.get("/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", code, metrics)
	}
	for _, want := range []string{
		`(?m)^hairpin_allocations\{transport="tcp"\} 1$`,
		`(?m)^hairpin_relayed_packets_total\{direction="to-peer",transport="tcp"\} [1-9]`,
		`(?m)^hairpin_relayed_bytes_total\{direction="to-client",transport="udp"\} [1-9]`,
		`(?m)^hairpin_offload_stayed_total\{reason="full"\} 0$`,
		`(?m)^hairpin_offload_flows 0$`,
		`(?m)^hairpin_withheld_answers_total\{reason="challenge-source"\} 0$`,
		`(?m)^hairpin_refused_requests_total\{reason="no-credentials"\} [1-9]`,
		`(?m)^hairpin_refused_requests_total\{reason="peer-denied-private"\} 0$`,
		`(?m)^hairpin_dropped_packets_total\{reason="no-permission"\} 0$`,
		`(?m)^hairpin_stream_connections 1$`,
		`(?m)^hairpin_bindings_total \d`,
		`(?m)^hairpin_signaling_rooms 0$`,
	} {
		if !regexp.MustCompile(want).MatchString(metrics) {
			t.Errorf("no metric is %s", want)
		}
	}
	for _, label := range regexp.MustCompile(`[{,](\w+)="`).FindAllStringSubmatch(metrics, -1) {
		if !slices.Contains(knownLabels, label[1]) {
			t.Errorf("a metric has the label %q", label[1])
		}
	}
	_, user, _ := strings.Cut(login.Username, ":")
	for _, chosen := range []string{user, login.Password, "127.0.0.1", "clients-choice"} {
		if strings.Contains(metrics, chosen) {
			t.Errorf("%q is in the metrics", chosen)
		}
	}
}

// hammer sends packets to its own relayed address and reads them, until ctx is done.
func hammer(ctx context.Context, relayed net.PacketConn) (received int) {
	buf := make([]byte, 100)
	for ctx.Err() == nil {
		_ = relayed.SetDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = relayed.WriteTo([]byte("load"), relayed.LocalAddr()) // at the end the server is gone
		if _, _, err := relayed.ReadFrom(buf); err == nil {
			received++
		}
	}
	return received
}

// mintFile writes a file of secrets, newest first, and mints with the first.
func mintFile(t *testing.T, file string, secrets ...string) probe.Login {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Join(secrets, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	newest, err := credentials.NewSecret(secrets[0])
	if err != nil {
		t.Fatal(err)
	}
	all, err := credentials.NewSecrets(newest)
	if err != nil {
		t.Fatal(err)
	}
	c, err := all.Mint("alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return probe.Login{Username: c.Username, Password: c.Password, Realm: "hairpin"}
}
