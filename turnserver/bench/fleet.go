package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hairpin/turnserver/udp"
)

// Config says whom to load and by how many. Server, Username and Password are
// required; the realm is the server's to say.
type Config struct {
	Server             netip.AddrPort
	Username, Password string

	Transport Transport   // UDP by default
	TLS       *tls.Config // for TLS

	// NoAllocations is for Binding requests alone, which need no username either.
	NoAllocations bool

	Clients int // allocations; 100 by default
	Peers   int // clients share them evenly; 1 by default

	// Handshakes is how many clients ask the server for something at the same time;
	// 64 by default.
	Handshakes int

	// ListenClient and ListenPeer open a client's and a peer's socket. By default
	// they take any port of the address that this machine reaches the server from.
	ListenClient, ListenPeer func(udp.Options) (*udp.Conn, error)

	// Dial connects a client over TCP, by default to Server.
	Dial func(context.Context) (net.Conn, error)

	// Sink, if there is one, takes most of what clients on UDP and peers receive. Who
	// made it closes it, after the fleet.
	Sink *Sink

	attempts int // at a request over UDP; as many as the constant by default
}

func (c Config) withDefaults() (Config, error) {
	if c.Transport == "" {
		c.Transport = UDP
	}
	switch {
	case !c.Server.IsValid():
		return c, errors.New("the server's address is needed")
	case !c.NoAllocations && (c.Username == "" || c.Password == ""):
		return c, errors.New("a username and a password are needed")
	case c.Clients < 0 || c.Peers < 0 || c.Handshakes < 0:
		return c, errors.New("the number of clients, peers or handshakes is negative")
	case c.Transport != UDP && c.Transport != TCP && c.Transport != TLS:
		return c, fmt.Errorf("there is no transport %q", c.Transport)
	case c.Transport == TLS && c.TLS == nil:
		return c, errors.New("what to expect of the server's certificate is needed")
	}
	if c.Dial == nil {
		to := c.Server.String()
		c.Dial = func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", to) }
	}
	c.attempts = orDefault(c.attempts, attempts)
	c.Clients, c.Peers, c.Handshakes = orDefault(c.Clients, 100), orDefault(c.Peers, 1), orDefault(c.Handshakes, 64)
	if c.ListenClient != nil && c.ListenPeer != nil {
		return c, nil
	}
	local, err := localAddress(c.Server)
	if err != nil {
		return c, err
	}
	listen := func(o udp.Options) (*udp.Conn, error) { return udp.Listen(netip.AddrPortFrom(local, 0), o) }
	if c.ListenClient == nil {
		c.ListenClient = listen
	}
	if c.ListenPeer == nil {
		c.ListenPeer = listen
	}
	return c, nil
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// localAddress returns the address that this machine reaches the server from.
func localAddress(server netip.AddrPort) (netip.Addr, error) {
	// Connecting a UDP socket looks up the route and sends nothing.
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return netip.Addr{}, unreachable{err}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// Fleet is clients with an allocation each, and peers. Its methods are called by one
// goroutine at a time.
type Fleet struct {
	config  Config
	epoch   time.Time
	clients []*client
	peers   []*receiver
	batches *batches
	serving sync.WaitGroup
	run     uint32 // number of the last run

	// tally is that of the run under way, nil between runs; sending is that of the last.
	tally   atomic.Pointer[tally]
	sending atomic.Pointer[sender]

	took       time.Duration // to make all allocations, from the first request to the last answer
	allocating Histogram     // how long each took, connection, handshakes and challenge included
	made       atomic.Int64  // allocations so far
	repeated   atomic.Uint64 // requests sent again because nothing came back
}

// The kernel's buffers for what arrives, in bytes: for a peer, which hears many
// clients, a few milliseconds of all it can be sent. The system may give less.
const (
	clientBuffer = 1 << 20
	peerBuffer   = 32 << 20
)

// Establish opens the sockets and makes all allocations. Every client has its own
// socket, so many need as many file descriptors. On an error nothing remains open.
func Establish(ctx context.Context, config Config) (*Fleet, error) {
	f, err := newFleet(config)
	if err != nil {
		return nil, err
	}
	if err := f.allocate(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// newFleet opens the sockets of a fleet that has no allocations yet.
func newFleet(config Config) (*Fleet, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Fleet{config: config, epoch: time.Now(), batches: newBatches(), run: firstRun()}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// open opens all sockets and begins to read them.
func (f *Fleet) open() error {
	for range f.config.Peers {
		conn, err := f.config.ListenPeer(udp.Options{ReceiveBuffer: peerBuffer, SendBuffer: clientBuffer})
		if err != nil {
			return fmt.Errorf("peer: %w", err)
		}
		p := &receiver{fleet: f, conn: datagrams{conn}}
		f.peers = append(f.peers, p)
		f.serve(p)
	}
	for range f.config.Clients {
		c, err := f.newClient()
		if err != nil {
			return err
		}
		f.clients = append(f.clients, c)
	}
	return nil
}

// newClient opens a client's socket and begins to read it. What needs a connection gets
// it later, many at a time.
func (f *Fleet) newClient() (*client, error) {
	c := newClient(f, account{f.config.Server, f.config.Username, f.config.Password})
	if f.config.Transport != UDP {
		c.conn = closed{}
		return c, nil
	}
	conn, err := f.config.ListenClient(udp.Options{ReceiveBuffer: clientBuffer})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c.conn = datagrams{conn}
	f.serve(&c.receiver)
	return c, nil
}

// connect gives client i its connection, where it needs one.
func (f *Fleet) connect(ctx context.Context, i int) error {
	if f.config.Transport == UDP {
		return nil
	}
	conn, err := f.config.dial(ctx)
	if err != nil {
		return err
	}
	c := f.clients[i]
	c.conn = conn
	f.serve(&c.receiver)
	return nil
}

func (f *Fleet) serve(r *receiver) {
	f.serving.Go(func() { _ = r.conn.serve(r) }) // until Close
}

// allocate gives every client its allocation.
func (f *Fleet) allocate(ctx context.Context) error {
	begin := f.now()
	err := f.each(ctx, f.allocateOne)
	f.took = f.now() - begin
	if made := f.made.Load(); made > 0 && errors.Is(err, ErrUnreachable) {
		return fmt.Errorf("%w, after %d allocations: %s", ErrSilent, made, err.Error())
	}
	return err
}

// portAttempts bounds how many ports a client tries because the server remembers the
// one before.
const portAttempts = 5

// allocateOne gives client i its allocation. A port that the server remembers from
// another client is exchanged for a new one, as RFC 8656 §7.4 recommends.
func (f *Fleet) allocateOne(ctx context.Context, w *udp.Writer, i int) error {
	begin := f.now()
	for attempt := 1; ; attempt++ {
		if err := f.connect(ctx, i); err != nil || f.config.NoAllocations {
			return err
		}
		err := f.clients[i].allocate(ctx, w)
		if err == nil {
			f.allocating.Record(f.now() - begin)
			f.made.Add(1)
		}
		if !errors.Is(err, errMismatch) || attempt == portAttempts {
			return err
		}
		other, err := f.newClient()
		if err != nil {
			return err
		}
		_ = f.clients[i].conn.Close()
		f.clients[i] = other
	}
}

// AllocationRate returns how many allocations a second the server made for Establish,
// each with its challenge.
func (f *Fleet) AllocationRate() float64 {
	return ratio(float64(f.made.Load()), f.took.Seconds())
}

// AllocationDelay returns how long each allocation took, from its first packet to the
// answer.
func (f *Fleet) AllocationDelay() *Histogram { return &f.allocating }

// each calls do with every client's index, for some at a time, until one fails.
func (f *Fleet) each(ctx context.Context, do func(context.Context, *udp.Writer, int) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(f.config.Handshakes, len(f.clients)) {
		workers.Go(func() {
			w := udp.NewWriter()
			for i := int(next.Add(1)) - 1; i < len(f.clients) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, w, i); err != nil {
					fail(fmt.Errorf("client %d of %d: %w", i+1, len(f.clients), err))
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// farewell bounds how long Close waits for the server, all clients together, and
// farewellEach is what it waits longer for each.
const (
	farewell     = 2 * time.Second
	farewellEach = time.Millisecond
)

// Close gives the allocations back, as far as the server answers in time, and closes
// all sockets. It returns what kept it from giving them back. Closing again does nothing.
func (f *Fleet) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell+time.Duration(len(f.clients))*farewellEach)
	defer cancel()
	err := f.each(ctx, func(ctx context.Context, w *udp.Writer, i int) error {
		if !f.clients[i].relayed.IsValid() {
			return nil
		}
		return f.clients[i].refresh(ctx, w, 0)
	})
	for _, c := range f.clients {
		_ = c.conn.Close()
	}
	for _, p := range f.peers {
		_ = p.conn.Close()
	}
	f.serving.Wait()
	f.clients, f.peers = nil, nil
	return err
}
