package nat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"hairpin/turnserver/wire"
)

// fragmented is the value length that makes an attribute too long for one packet on any
// path over Ethernet, in bytes.
const fragmented = 2000

// sizes are the IP packet lengths tried for the path MTU, in bytes: Ethernet, and what
// PPPoE, tunnels, VPNs and IPv6's minimum leave of it.
var sizes = [...]int{1500, 1492, 1480, 1460, 1420, 1400, 1280, 576}

// fragments finds out whether fragments pass. A long request with a short answer shows
// the way out; one that is answered with PADDING (RFC 5780 §3.5) shows the way back.
func (d *discovery) fragments(ctx context.Context, e *endpoint) {
	var (
		asked     sync.WaitGroup
		out, back error
		echo      arrival
		found     Fragments
		denied    *refused
	)
	asked.Go(func() { _, out = d.long(ctx, e, attrFiller, fragmented) })
	asked.Go(func() { echo, back = d.long(ctx, e, attrPadding, fragmented) })
	asked.Wait()
	silent, isDenied := errors.Is(back, errSilence), errors.As(back, &denied)
	switch {
	case ctx.Err() != nil:
		return
	case out == nil || back == nil || isDenied:
		found.Outbound = Yes
	case errors.Is(out, errSilence) && silent:
		// Some servers do not read so long a request; that cannot be told apart.
		found.Outbound = No
		d.gap(PropertyFragments, LongRequestsSilent, "fragmented requests got no answer, so none came back in fragments; "+
			"the server may also not take requests this long")
	}
	switch {
	case back == nil && echo.padding >= fragmented:
		found.Inbound = Yes
	case found.Outbound == Yes && silent:
		found.Inbound = No
	case isDenied:
		d.gap(PropertyFragments, PaddingRefused, fmt.Sprintf("the server refuses PADDING with error %d", denied.code))
	case back == nil:
		d.gap(PropertyFragments, PaddingIgnored, "the server does not answer PADDING with as much")
	}
	d.update(func(r *Report) { r.Fragments = found })
}

// long asks the server with a long attribute.
func (d *discovery) long(ctx context.Context, e *endpoint, kind uint16, n int) (arrival, error) {
	return d.exchange.ask(ctx, question{
		from: e, to: d.Server, expect: d.Server,
		attrs: func(request []byte) []byte { return appendZeros(request, kind, n) },
	})
}

// pathMTU finds the longest packet that reaches the server in one piece.
func (d *discovery) pathMTU(ctx context.Context) {
	e, err := d.exchange.listen(d.network, d.Local, true)
	if err != nil {
		d.gap(PropertyPathMTU, NotSupportedHere, "packets that are never fragmented cannot be sent here: "+err.Error())
		return
	}
	var (
		asked   sync.WaitGroup
		reached [len(sizes)]bool
	)
	for i, size := range sizes {
		asked.Go(func() {
			_, err := d.long(ctx, e, attrFiller, fillerFor(size, d.Server.Addr()))
			reached[i] = err == nil
		})
	}
	asked.Wait()
	for i, size := range sizes {
		if reached[i] {
			d.update(func(r *Report) { r.PathMTU = max(r.PathMTU, size) })
		}
	}
	if d.report.PathMTU == 0 && ctx.Err() == nil {
		d.gap(PropertyPathMTU, LongRequestsSilent, "the server answers no request that is longer than usual")
	}
}

// fillerFor returns the value length of the attribute that fills an IP packet.
func fillerFor(size int, to netip.Addr) int {
	const ipv4, ipv6, udp = 20, 40, 8
	header := ipv6
	if to.Is4() {
		header = ipv4
	}
	return size - header - udp - wire.HeaderLen - attrHeaderLen
}
