package turnserver

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/control"
	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// toolTimeout bounds one run of a tool. With a hundred clients, connecting alone takes
// coturn's ten seconds.
const toolTimeout = 90 * time.Second

// sharedSecret is in the hands of coturn's client too. It protects nothing.
const sharedSecret = "5f0c6bb7f2a94cd7b8e1d3a60297e4fc"

// startForCoturn runs a server for coturn's client, which makes all its allocations as
// one user from one address, reserves ports it never takes, and chooses channel numbers
// as RFC 5766 allowed them.
func startForCoturn(t *testing.T) *running {
	t.Helper()
	secret, err := credentials.NewSecret(sharedSecret)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := credentials.NewSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, func(c *Config) {
		c.Credentials = secrets
		c.Quota = control.Quota{Allocations: 20_000}
		c.Streams.PerAddress = 0
		c.LegacyChannels = true
		if conn, err := net.ListenPacket("udp6", "[::1]:0"); err == nil {
			conn.Close()
			c.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::]:0")}
			c.Relays = append(c.Relays, relay.Address{Local: loopback6, Advertised: loopback6})
		}
	})
}

// needTool returns the path of one of coturn's programs.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		skipOrFail(t, "coturn's tools are missing: "+err.Error())
	}
	return path
}

// runTool runs a program to its end and returns what it printed.
func runTool(ctx context.Context, path string, args ...string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return string(out), err
}

// coturnTotals is what coturn's client says at its end.
type coturnTotals struct{ sent, received, lost, dropped int }

var (
	coturnMessages = regexp.MustCompile(`tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\n`)
	coturnLosses   = regexp.MustCompile(`Total lost packets (\d+) \(.*total send dropped (\d+) `)
)

// readTotals finds the totals in the output of coturn's client.
func readTotals(output string) (c coturnTotals, ok bool) {
	messages, losses := coturnMessages.FindStringSubmatch(output), coturnLosses.FindStringSubmatch(output)
	if messages == nil || losses == nil {
		return c, false
	}
	for i, field := range []*int{&c.sent, &c.received, &c.lost, &c.dropped} {
		*field, _ = strconv.Atoi([]string{messages[1], messages[2], losses[1], losses[2]}[i]) // digits, by the pattern
	}
	return c, true
}

// coturnLogin returns the flags that log in: with the shared secret, from which the
// client makes its own credential, or with one that was minted here.
func (r *running) coturnLogin(bySecret bool) []string {
	if bySecret {
		return []string{"-W", sharedSecret, "-u", "alice"}
	}
	c := r.login("alice")
	return []string{"-u", c.Username, "-w", c.Password}
}

// coturnClient is one way to run coturn's client.
type coturnClient struct {
	flags    string
	server   string // the server's address
	peer     string // the address of a peer that echoes; empty for client to client
	bySecret bool
	messages int // to be sent in all
}

// coturnClients are the ways it is run. Without -c every client has a second allocation
// for RTCP on the next port, by EVEN-PORT and RESERVATION-TOKEN; with -c it asks for an
// even port every other time.
var coturnClients = []coturnClient{
	{flags: "-y -n 50", server: "127.0.0.1", messages: 200},
	{flags: "-y -n 50 -c", server: "127.0.0.1", messages: 100, bySecret: true},
	{flags: "-y -n 50 -t", server: "127.0.0.1", messages: 200},
	{flags: "-y -n 50 -s", server: "127.0.0.1", messages: 200},
	{flags: "-y -n 50 -t -s -c", server: "127.0.0.1", messages: 100},
	{flags: "-y -n 50 -t -D", server: "127.0.0.1", messages: 200},
	{flags: "-y -n 50 -g -G", server: "127.0.0.1", messages: 200},
	{flags: "-y -n 50 -x", server: "::1", messages: 200},
	{flags: "-y -n 50 -x -t -c", server: "127.0.0.1", messages: 100},
	{flags: "-y -n 20 -m 100", server: "127.0.0.1", messages: 2000, bySecret: true},
	{flags: "-y -n 20 -m 100 -t -c", server: "127.0.0.1", messages: 2000},
	{flags: "-n 50", server: "127.0.0.1", peer: "127.0.0.2", messages: 100},
	{flags: "-n 50 -t", server: "127.0.0.1", peer: "127.0.0.2", messages: 100, bySecret: true},
	{flags: "-n 50 -s -g -c", server: "127.0.0.1", peer: "127.0.0.2", messages: 50},
	{flags: "-n 50 -l 1400 -c", server: "127.0.0.1", peer: "127.0.0.2", messages: 50},
	{flags: "-n 50 -x", server: "::1", peer: "::1", messages: 100},
	{flags: "-n 20 -m 100", server: "127.0.0.1", peer: "127.0.0.2", messages: 2000},
}

// coturnRun is what came of one way to run it.
type coturnRun struct {
	output string
	err    error
}

// TestCoturnClient lets coturn's client send messages through the server, to another of
// its kind or to coturn's peer, and wants all of them to arrive.
func TestCoturnClient(t *testing.T) {
	t.Parallel() // with the other tests that mostly wait
	path := needTool(t, "turnutils_uclient")
	r := startForCoturn(t)
	runs := make([]chan coturnRun, len(coturnClients))
	peers := make(map[string]string)
	for i, c := range coturnClients {
		if c.server == "::1" && len(r.config.Relays) == 1 {
			continue
		}
		if c.peer != "" && peers[c.peer] == "" {
			peers[c.peer] = coturnPeer(t, c.peer)
		}
		args := r.coturnArgs(c, peers[c.peer])
		runs[i] = make(chan coturnRun, 1)
		go func() { // all at once: each spends seconds waiting for nothing
			output, err := runTool(t.Context(), path, args...)
			runs[i] <- coturnRun{output, err}
		}()
	}
	for i, c := range coturnClients {
		t.Run(strings.ReplaceAll(c.flags, " ", "")+" "+c.server, func(t *testing.T) { checkCoturn(t, c, runs[i]) })
	}
	dropped := r.Stats().Relay.Dropped
	for _, why := range []relay.Drop{relay.DropMalformed, relay.DropPeerDenied, relay.DropSocket, relay.DropClientSlow} {
		if dropped[why] != 0 {
			t.Errorf("%d packets were dropped as %v", dropped[why], why)
		}
	}
}

// coturnArgs returns the command line of a client.
func (r *running) coturnArgs(c coturnClient, peerPort string) []string {
	args := append(r.coturnLogin(c.bySecret), "-p", strconv.Itoa(int(r.Addrs().UDP[0].Port())))
	args = append(args, strings.Fields(c.flags)...)
	if c.peer != "" {
		args = append(args, "-e", c.peer, "-r", peerPort)
	}
	return append(args, c.server)
}

// checkCoturn waits for a client and wants all its messages to have come back.
func checkCoturn(t *testing.T, c coturnClient, run <-chan coturnRun) {
	if run == nil {
		needIPv6(t)
	}
	got := <-run
	totals, ok := readTotals(got.output)
	want := coturnTotals{sent: c.messages, received: c.messages}
	if got.err != nil || !ok || totals != want {
		t.Errorf("got %+v, want %+v; error %v; turnutils_uclient printed:\n%s", totals, want, got.err, got.output)
	}
}

// coturnAttacks are flags with which coturn's client misbehaves: malformed and misplaced
// messages, quick connections, and clients that are suddenly gone.
var coturnAttacks = []string{"-y -N", "-y -R", "-y -O -m 50", "-y -B -n 20 -m 20", "-y -B -t -c"}

// attackTime bounds an attack: after some, the client waits for ever.
const attackTime = 8 * time.Second

// TestCoturnAttacks lets coturn's client do its worst, of which it is only wanted that
// the server survives it.
func TestCoturnAttacks(t *testing.T) {
	t.Parallel()
	path := needTool(t, "turnutils_uclient")
	r := startForCoturn(t)
	ctx, cancel := context.WithTimeout(t.Context(), attackTime)
	defer cancel()
	var attacks sync.WaitGroup
	for _, flags := range coturnAttacks {
		args := r.coturnArgs(coturnClient{flags: flags, server: "127.0.0.1"}, "")
		attacks.Go(func() { _, _ = runTool(ctx, path, args...) })
	}
	attacks.Wait()
	r.checkHealth()
}

// coturnPeer runs coturn's peer, which sends back what it gets, and returns its port.
func coturnPeer(t *testing.T, address string) (port string) {
	t.Helper()
	path := needTool(t, "turnutils_peer")
	free, err := net.ListenPacket("udp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(free.LocalAddr().String()) // always splits
	free.Close()
	cmd := exec.Command(path, "-L", address, "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails if it has ended, which the tests would have noticed
		_ = cmd.Wait()
	})
	waitForEcho(t, net.JoinHostPort(address, port))
	return port
}

// waitForEcho asks an echoing peer that is starting until it answers.
func waitForEcho(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	waitFor(t, "the peer at "+address, func() bool {
		_, _ = conn.Write([]byte("there?"))                             // nobody listens yet, perhaps
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // fails on closed sockets only
		n, _ := conn.Read(make([]byte, 100))
		return n > 0
	})
}

// TestCoturnSTUNClient asks for the mapped address with coturn's STUN client.
func TestCoturnSTUNClient(t *testing.T) {
	path := needTool(t, "turnutils_stunclient")
	r := startForCoturn(t)
	for address, want := range map[string]string{
		"127.0.0.1": `IPv4\. UDP reflexive addr: 127\.0\.0\.1:\d+`,
		"::1":       `IPv6\. UDP reflexive addr: ::1:\d+`,
	} {
		t.Run(address, func(t *testing.T) {
			if address == "::1" {
				needIPv6(t)
			}
			output, err := runTool(t.Context(), path, "-p", strconv.Itoa(int(r.Addrs().UDP[0].Port())), address)
			if err != nil || !regexp.MustCompile(want).MatchString(output) {
				t.Errorf("error %v; turnutils_stunclient printed:\n%s", err, output)
			}
		})
	}
}

// The channel numbers of RFC 5766 are for those who ask for them.
func TestLegacyChannels(t *testing.T) { // C3
	for _, legacy := range []bool{false, true} {
		r := start(t, func(c *Config) { c.LegacyChannels = legacy })
		q := r.raw("udp4", r.udp())
		q.login("alice")
		relayed := q.allocateRelayed()
		for channel, want := range map[uint16]int{0x4FFF: 0, 0x5000: 400, 0x7FFF: 400, 0x8000: 400, 0x3FFF: 400} {
			if legacy && channel >= 0x5000 && channel < 0x8000 {
				want = 0
			}
			peer := &net.UDPAddr{IP: relayed.IP, Port: 50_000 + int(channel)%1000}
			if code := errorCode(q.request(stun.MethodChannelBind, channelNumber(channel), peerAddress(peer))); code != want {
				t.Errorf("legacy %v: channel %#x got %d, want %d", legacy, channel, code, want)
			}
		}
		if !legacy {
			continue
		}
		q.bindChannel(0x7ABC, relayed)
		frame := []byte{0x7A, 0xBC, 0, 4, 'p', 'i', 'n', 'g'}
		q.send(frame)
		if got := q.receive(); !bytes.Equal(got, frame) {
			t.Errorf("%x came back as %x", frame, got)
		}
	}
}
