package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pion/logging"
	"github.com/pion/turn/v4"
)

// Login is what a client authenticates with.
type Login struct{ Username, Password, Realm string }

// Loop relays one packet through a server over UDP and back to where it came from: it
// allocates, permits its own relayed transport address, and sends to it. It returns nil
// once the packet has arrived, and otherwise what failed first. The allocation is given
// back, or lapses if the server is out of reach.
func Loop(ctx context.Context, server netip.AddrPort, l Login) error {
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", localFor(server))
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: server.String(),
		Username:       l.Username,
		Password:       l.Password,
		Realm:          l.Realm,
		Conn:           conn,
		LoggerFactory:  &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		return fmt.Errorf("start a client: %w", err)
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		return fmt.Errorf("start a client: %w", err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		return fmt.Errorf("allocate: %w", because(ctx, err))
	}
	defer relayed.Close()
	return echo(ctx, relayed)
}

// localFor returns the wildcard address of the server's family, any port.
func localFor(server netip.AddrPort) string {
	if server.Addr().Is4() {
		return "0.0.0.0:0"
	}
	return "[::]:0"
}

// echo sends a packet to a relayed transport address from itself, and waits for it.
func echo(ctx context.Context, relayed net.PacketConn) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = relayed.SetDeadline(deadline)
	}
	sent := make([]byte, 16)
	_, _ = rand.Read(sent) // never fails
	if _, err := relayed.WriteTo(sent, relayed.LocalAddr()); err != nil {
		return fmt.Errorf("send to the relayed address: %w", because(ctx, err))
	}
	got := make([]byte, 64)
	n, _, err := relayed.ReadFrom(got)
	switch {
	case err != nil:
		return fmt.Errorf("receive from the relayed address: %w", because(ctx, err))
	case !bytes.Equal(got[:n], sent):
		return fmt.Errorf("%d bytes came back changed", n)
	}
	return nil
}

// because returns the context's error where it is the reason for another.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
