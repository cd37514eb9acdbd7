package turnserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/control"
	"hairpin/turnserver/offload"
	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// asServer makes the test binary a server, so that what a server costs can be told
// from what its clients cost.
const asServer = "HAIRPIN_TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if config := os.Getenv(asServer); config != "" {
		if err := serveForTest(config, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// testServer is where a server runs that is a process of its own.
type testServer struct {
	Listen  netip.AddrPort
	Relays  []netip.Addr
	Allow   []netip.Prefix
	Offload offload.Mode
}

// config makes a server without caps.
func (c testServer) config(secrets *credentials.Secrets) Config {
	config := Config{
		Listen:         []netip.AddrPort{c.Listen},
		Credentials:    secrets,
		Policy:         control.PolicyConfig{Allow: c.Allow, AllowLoopback: true},
		Quota:          control.Quota{Allocations: 100_000},
		LegacyChannels: true,
		Offload:        c.Offload,
	}
	for _, ip := range c.Relays {
		config.Relays = append(config.Relays, relay.Address{Local: ip, Advertised: ip})
	}
	return config
}

// serveForTest runs a server. It prints its address, and then does what each line of
// commands says, until there are no more.
func serveForTest(config string, commands io.Reader, out io.Writer) error {
	var c testServer
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	secret, err := credentials.NewSecret(sharedSecret)
	if err != nil {
		return err
	}
	secrets, err := credentials.NewSecrets(secret)
	if err != nil {
		return err
	}
	s, err := New(c.config(secrets))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	fmt.Fprintln(out, s.Addrs().UDP[0])
	for lines := bufio.NewScanner(commands); lines.Scan(); fmt.Fprintln(out, "done") {
		switch command, rest, _ := strings.Cut(lines.Text(), " "); command {
		case "free":
			debug.FreeOSMemory()
			debug.FreeOSMemory() // stacks shrink in one collection and are freed in the next
		case "stats":
			_ = json.NewEncoder(out).Encode(s.Stats())
		case "deny":
			err = s.SetPolicy(control.PolicyConfig{Deny: []netip.Prefix{netip.MustParsePrefix(rest)}})
		default:
			_ = pprof.Lookup(lines.Text()).WriteTo(os.Stderr, 1)
		}
	}
	stop()
	return errors.Join(err, <-ended)
}

// process is a server that runs in a process of its own.
type process struct {
	*running // its Server is nil
	cmd      *exec.Cmd
	commands io.WriteCloser
	lines    *bufio.Scanner
	address  string
	killed   bool // there is nothing to stop
}

// startProcess runs a server on loopback until the test ends.
func startProcess(t testing.TB) *process {
	t.Helper()
	c := testServer{Listen: netip.AddrPortFrom(loopback4, 0), Relays: []netip.Addr{loopback4}}
	return startProcessBy(t, exec.Command, c)
}

// startProcessBy runs a server where a function that makes commands runs programs.
func startProcessBy(t testing.TB, command func(string, ...string) *exec.Cmd, c testServer) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := credentials.NewSecret(sharedSecret) // is good, as TestCoturnClient knows
	secrets, _ := credentials.NewSecrets(secret)
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(self)
	cmd.Env = append(os.Environ(), asServer+"="+string(config))
	cmd.Stderr = os.Stderr
	commands, _ := cmd.StdinPipe() // fails only if it was called before
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{running: &running{t: t, secrets: secrets}, cmd: cmd, commands: commands, lines: bufio.NewScanner(out)}
	t.Cleanup(p.stop)
	p.address = p.line()
	return p
}

func (p *process) line() string {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("the server ended: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// do gives a command and waits until it has been carried out.
func (p *process) do(command string) {
	p.t.Helper()
	fmt.Fprintln(p.commands, command)
	p.line()
}

func (p *process) stop() {
	if p.killed {
		return
	}
	killer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer killer.Stop()
	_ = p.commands.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the server ended with %v", err)
	}
}

// resident returns the resident memory of the process in bytes, that of the kernel
// aside.
func (p *process) resident() int {
	p.t.Helper()
	return p.status("status", "VmRSS:") << 10
}

func (p *process) status(file, field string) int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), field)
	n, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// scale is how many allocations are counted over; maxResident is what one of them may
// keep resident while it is idle, in bytes.
const (
	scale       = 10_000
	maxResident = 8 << 10
)

func TestMemoryPerAllocation(t *testing.T) {
	t.Parallel() // what is measured is in another process
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < scale+1000 {
		skipOrFail(t, fmt.Sprintf("only %d descriptors; %d are needed", limit.Cur, scale+1000))
	}
	p := startProcess(t)
	peer := echo(t, "udp4", "127.0.0.2:0").(*net.UDPAddr)
	p.client(0).use(peer) // what is made once is made now
	before := p.resident()
	clients := make([]*raw, scale)
	for i := range clients {
		clients[i] = p.client(i + 1)
	}
	p.report("idle", before)
	for _, q := range clients {
		q.use(peer)
	}
	p.report("with a channel that was used both ways", before)
}

// report prints what an allocation costs, and fails if it is too much. The memory that
// a collection would free counts.
func (p *process) report(what string, before int) {
	p.t.Helper()
	asIs := (p.resident() - before) / scale
	p.do("free")
	collected := (p.resident() - before) / scale
	p.t.Logf("%d allocations %s: %d bytes resident each, %d after a collection", scale, what, asIs, collected)
	if asIs > maxResident {
		p.t.Errorf("more than %d bytes each", maxResident)
	}
}

// client makes an allocation as the client of a number, from an address of its own.
func (p *process) client(i int) *raw {
	p.t.Helper()
	q := p.rawFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}).String(), "udp4", p.address)
	q.login("user-" + strconv.Itoa(i/10))
	q.must(stun.MethodAllocate, requestUDP)
	return q
}

// use binds a channel and sends a packet to and fro.
func (q *raw) use(peer *net.UDPAddr) {
	q.r.t.Helper()
	_ = q.conn.SetDeadline(time.Now().Add(patience))
	q.bindChannel(0x4000, peer)
	frame := []byte{0x40, 0, 0, 4, 'p', 'i', 'n', 'g'}
	q.send(frame)
	if got := q.receive(); !bytes.Equal(got, frame) {
		q.r.t.Fatalf("%x came back as %x", frame, got)
	}
}
