package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/pion/dtls/v3"
)

const (
	headerLen  = 20              // of a STUN message (RFC 8489 §5), in bytes
	channelLen = 4               // of the header of ChannelData (RFC 8656 §12.4), in bytes
	maxMessage = 65535 + 20      // the longest that a length of 16 bits allows, in bytes
	maxShown   = 24              // bytes of garbage that are quoted
	writeWait  = 2 * time.Second // how long a server may take to read before it counts as stuck
	maxStrays  = 1000            // packets nobody asked for that make a flood
)

// path is a way to the server. One goroutine receives; any may send.
type path interface {
	// send sends one message, whole.
	send(message []byte) error

	// receive fills buf, of maxMessage bytes, with the next message, which may be
	// anything. An error is final.
	receive(buf []byte) (int, error)

	// reliable reports whether messages need no retransmission.
	reliable() bool

	close()
}

// A garbageError is a path that holds something other than the protocol it is for.
type garbageError struct {
	protocol string // STUN, which here means ChannelData too, or DTLS
	begin    []byte
}

func (e *garbageError) Error() string { return "not " + e.protocol + ": " + quoteBytes(e.begin) }

// isOurChannel reports whether ChannelData begins here. Anything else than the channel
// that is bound is not meant for us: "HTTP" would be one.
func isOurChannel(b []byte) bool {
	return len(b) >= channelLen && binary.BigEndian.Uint16(b) == firstChannel
}

// quoteBytes shows what others sent, shortened and safe to print.
func quoteBytes(b []byte) string {
	if len(b) > maxShown {
		return fmt.Sprintf("%q...", b[:maxShown])
	}
	return fmt.Sprintf("%q", b)
}

// datagrams is a path over UDP or DTLS. The socket is connected, so that only the server's
// packets come in, and the kernel tells when its port is closed.
type datagrams struct{ net.Conn }

func (d datagrams) send(message []byte) error       { _, err := d.Write(message); return err }
func (d datagrams) receive(buf []byte) (int, error) { return d.Read(buf) }
func (d datagrams) reliable() bool                  { return false }
func (d datagrams) close()                          { _ = d.Close() }

// stream is a path over TCP or TLS.
type stream struct {
	net.Conn
	in *bufio.Reader
}

func newStream(conn net.Conn) stream { return stream{conn, bufio.NewReader(conn)} }

func (s stream) send(message []byte) error {
	if message[0]&0xc0 != 0 { // ChannelData is padded in streams (RFC 8656 §12.5)
		padded := (len(message) + 3) &^ 3
		message = append(message[:len(message):len(message)], make([]byte, padded-len(message))...)
	}
	_ = s.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := s.Write(message)
	return err
}

func (s stream) reliable() bool { return true }
func (s stream) close()         { _ = s.Close() }

// receive takes the stream apart by the lengths its frames begin with (RFC 8489 §6.2.2,
// RFC 8656 §12.5).
func (s stream) receive(buf []byte) (int, error) {
	if _, err := io.ReadFull(s.in, buf[:channelLen]); err != nil {
		return 0, err
	}
	length := int(binary.BigEndian.Uint16(buf[2:]))
	var n, padding int
	switch {
	case buf[0]>>6 == 0 && length%4 == 0:
		n = headerLen + length
	case isOurChannel(buf):
		n = channelLen + length
		padding = -n & 3
	default:
		more := min(s.in.Buffered(), maxShown)
		_, _ = io.ReadFull(s.in, buf[channelLen:channelLen+more]) // all of it is buffered
		return 0, &garbageError{"STUN", append([]byte(nil), buf[:channelLen+more]...)}
	}
	if _, err := io.ReadFull(s.in, buf[channelLen:n]); err != nil {
		return 0, err
	}
	_, err := s.in.Discard(padding)
	return n, err
}

// dial opens a path to an address of the server. What was secured is nil where neither
// TLS nor DTLS is spoken.
func dial(ctx context.Context, u URI, at netip.AddrPort, o Options) (path, *secured, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, u.Transport, at.String())
	switch {
	case err != nil:
		return nil, nil, err
	case !u.Secure() && u.stream():
		return newStream(conn), nil, nil
	case !u.Secure():
		return datagrams{conn}, nil, nil
	}
	var way path
	var state *secured
	if u.stream() {
		var secure *tls.Conn
		secure, state, err = speakTLS(ctx, conn, u)
		way = newStream(secure)
	} else {
		var secure *dtls.Conn
		secure, state, err = speakDTLS(ctx, conn, u)
		way = datagrams{secure}
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return way, state, nil
}

// isRefused reports whether a port is closed.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// isNoRoute reports whether this machine has no way to an address at all.
func isNoRoute(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
