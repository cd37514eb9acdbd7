package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A failure to accept is retried after firstRetry, doubled up to lastRetry: soon
	// enough for one bad connection, and no spinning while descriptors are short.
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Second
)

// Listener is a bound address that clients connect to. Its methods are safe for
// concurrent use.
type Listener struct {
	inner  net.Listener
	limits Limits
	memory *memory

	accepted, refusedAddress, refusedTotal atomic.Uint64
	acceptErrors, dropped                  atomic.Uint64
	ended                                  [reasons]atomic.Uint64

	closing chan struct{}  // closed by the first Close, under mu
	serving sync.WaitGroup // the connections' goroutines; added to under mu, never while closing

	mu        sync.Mutex // guards the following
	conns     map[*Conn]struct{}
	ofAddress map[netip.Addr]int // connections by clientAddress
}

// Listen binds addr on network: "tcp", "tcp4" or "tcp6". Under "tcp" the unspecified
// IPv6 address takes both families, where the system lets it, and the unspecified
// IPv4 address takes IPv4 only.
func Listen(network string, addr netip.AddrPort, l Limits) (*Listener, error) {
	if network == "tcp" && addr.Addr().Is4() {
		network = "tcp4" // package net would take 0.0.0.0 for both families
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("stream: cannot listen on network %q; use tcp, tcp4 or tcp6", network)
	}
	// A client that vanished is noticed within 90 s, well before its allocation ends
	// by itself. TCP_NODELAY is package net's default.
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6,
	}}
	inner, err := config.Listen(context.Background(), network, addr.String())
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	listener, err := NewListener(inner, l)
	if err != nil {
		_ = inner.Close() // the limits' fault is the one to report
		return nil, err
	}
	return listener, nil
}

// NewListener returns a Listener for the connections of inner, which is the Listener's
// to close. A transport with a handshake is to do it in its first Read.
func NewListener(inner net.Listener, l Limits) (*Listener, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	return &Listener{
		inner:     inner,
		limits:    l,
		memory:    newMemory(l.QueueBytes + responseReserve),
		closing:   make(chan struct{}),
		conns:     make(map[*Conn]struct{}),
		ofAddress: make(map[netip.Addr]int),
	}, nil
}

// Addr returns the bound address.
func (l *Listener) Addr() netip.AddrPort { return addrPort(l.inner.Addr()) }

// Serve accepts connections and serves them until Close, and then returns nil.
// Failures to accept are counted and retried; the one that ends it is the inner
// listener having been closed by another.
func (l *Listener) Serve(h Handler) error {
	retry := firstRetry
	for {
		transport, err := l.inner.Accept()
		if err == nil {
			retry = firstRetry
			l.admit(transport, h)
			continue
		}
		if l.isClosing() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("stream: %w", err)
		}
		l.acceptErrors.Add(1)
		select {
		case <-l.closing:
			return nil
		case <-time.After(retry):
			retry = min(2*retry, lastRetry)
		}
	}
}

// Close stops accepting, ends every connection, and waits until all sessions have
// been told. It must not be called by a [Handler] or [Session].
func (l *Listener) Close() error {
	l.mu.Lock()
	if !l.isClosing() {
		close(l.closing)
	}
	conns := make([]*Conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	err := l.inner.Close()
	for _, c := range conns {
		c.Close()
	}
	l.serving.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // by an earlier Close
	}
	return err
}

// Counters returns a snapshot.
func (l *Listener) Counters() Counters {
	l.mu.Lock()
	open := len(l.conns)
	l.mu.Unlock()
	s := Counters{
		Open:           open,
		Accepted:       l.accepted.Load(),
		RefusedAddress: l.refusedAddress.Load(),
		RefusedTotal:   l.refusedTotal.Load(),
		AcceptErrors:   l.acceptErrors.Load(),
		Dropped:        l.dropped.Load(),
	}
	for r := range l.ended {
		s.Closed[r] = l.ended[r].Load()
	}
	return s
}

func (l *Listener) isClosing() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// admit serves the connection, or closes it unread if a cap has been reached.
func (l *Listener) admit(transport net.Conn, h Handler) {
	c := newConn(l, transport)
	if !l.add(c) {
		abort(transport)
		_ = transport.Close() // nothing is left to be done about a failure
		return
	}
	l.accepted.Add(1)
	go func() {
		defer l.serving.Done()
		c.serve(h)
		l.remove(c)
	}()
}

// add counts the connection in, unless a cap has been reached or l is closing.
func (l *Listener) add(c *Conn) bool {
	client := clientAddress(c.remote.Addr())
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.isClosing():
		return false
	case l.limits.PerAddress > 0 && l.ofAddress[client] >= l.limits.PerAddress:
		l.refusedAddress.Add(1)
		return false
	case l.limits.Total > 0 && len(l.conns) >= l.limits.Total:
		l.refusedTotal.Add(1)
		return false
	}
	l.conns[c] = struct{}{}
	l.ofAddress[client]++
	l.serving.Add(1)
	return true
}

// remove counts an ended connection out.
func (l *Listener) remove(c *Conn) {
	l.ended[ReasonOf(c.finish(Closed))].Add(1)
	client := clientAddress(c.remote.Addr())
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if l.ofAddress[client]--; l.ofAddress[client] == 0 {
		delete(l.ofAddress, client)
	}
}

// clientAddress is what Limits.PerAddress counts by: an IPv6 network is one client,
// because its addresses are free to whoever has it.
func clientAddress(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	network, _ := a.WithZone("").Prefix(64) // fails for longer than the address only
	return network.Addr()
}
