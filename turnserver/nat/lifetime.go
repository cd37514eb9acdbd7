package nat

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

const (
	// lifetimeStep is how closely the binding lifetime is determined.
	lifetimeStep = 5 * time.Second

	// probing is how long after its due time the last packet is sent that finds a
	// mapping lapsed: it may have lived until then, had the first ones been lost.
	probing = 3 * time.Second

	// lifetimePoints is how many durations are tried side by side, each on a socket of
	// its own, since every try takes as long as the duration it tries.
	lifetimePoints = 4
)

// lifetime finds how long a mapping outlives its last packet (RFC 5780 §4.6): it asks
// from another socket, at growing distances, for an answer to the mapping's port.
func (d *discovery) lifetime(ctx context.Context, asker *endpoint) {
	d.progress("proof that the server can answer to another port")
	err := d.idle(ctx, asker, 0)
	stop := d.keepAlive(ctx, asker)
	defer stop()
	var lived, ended time.Duration
	for limit := d.Lifetime; err == nil && limit-lived > lifetimeStep; {
		d.progress(fmt.Sprintf("mappings to lapse: they live %v or longer, trying up to %v", lived, limit))
		var l, e time.Duration
		l, e, err = d.round(ctx, asker, points(lived, limit, ended != 0))
		lived = max(lived, l)
		if e != 0 {
			ended, limit = e, e
		}
		found := Lifetime{AtLeastSeconds: int(lived / time.Second)}
		if ended != 0 {
			found.BelowSeconds = int((ended + probing) / time.Second)
		}
		d.update(func(r *Report) { r.Lifetime = &found })
	}
	switch {
	case ctx.Err() != nil:
		d.gap(PropertyLifetime, Interrupted, "the search for the binding lifetime was stopped")
	case err != nil:
		d.gap(PropertyLifetime, d.noLifetime(err), "the binding lifetime takes a server that answers "+
			"to another port (RESPONSE-PORT): "+err.Error())
	}
}

// keepInterval is shorter than NATs forget, so that the asker keeps its external address.
const keepInterval = 10 * time.Second

// keepAlive keeps the mapping of an endpoint until stop, which waits for its end.
func (d *discovery) keepAlive(ctx context.Context, e *endpoint) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() {
		for sleep(ctx, keepInterval) == nil {
			_, _ = d.mappedAt(ctx, e, d.Server) // idle looks at it itself
		}
	})
	return func() {
		cancel()
		keeper.Wait()
	}
}

// noLifetime returns the code for what the server makes of RESPONSE-PORT.
func (d *discovery) noLifetime(err error) Reason {
	var denied *refused
	switch {
	case errors.As(err, &denied):
		return ResponsePortRefused
	case errors.Is(err, errLost):
		return Lost
	case errors.Is(err, errUnstable):
		return MappingUnstable
	}
	return ResponsePortIgnored
}

// points returns the durations to try between two bounds: evenly, the upper one only if
// it is not yet known.
func points(low, high time.Duration, highKnown bool) []time.Duration {
	n := lifetimePoints
	if highKnown {
		n++
	}
	var all []time.Duration
	for i := 1; i <= lifetimePoints; i++ {
		all = append(all, (low + (high-low)*time.Duration(i)/time.Duration(n)).Truncate(time.Second))
	}
	return all
}

// round tries durations side by side. It returns the longest that a mapping lived, and
// the shortest after which it had lapsed, 0 if none had; the longer ones are then not
// waited for. The error is why one could not be tried.
func (d *discovery) round(ctx context.Context, asker *endpoint, all []time.Duration) (lived, ended time.Duration, err error) {
	errs, cancels := make([]error, len(all)), make([]context.CancelFunc, len(all))
	var tests sync.WaitGroup
	contexts := make([]context.Context, len(all))
	for i := range all {
		contexts[i], cancels[i] = context.WithCancel(ctx)
		defer cancels[i]()
	}
	for i, idle := range all {
		tests.Go(func() {
			errs[i] = d.idle(contexts[i], asker, idle)
			if lapsed(errs[i]) {
				for _, cancel := range cancels[i+1:] {
					cancel()
				}
			}
		})
	}
	tests.Wait()
	for i, idle := range all {
		switch {
		case errs[i] == nil:
			lived = idle
		case lapsed(errs[i]):
			return lived, idle, nil
		default:
			return lived, 0, errs[i]
		}
	}
	return lived, 0, nil
}

// lapsed reports whether an error means that the mapping is gone: the answer got
// nowhere, or to the asker, which was given the same mapping.
func lapsed(err error) bool {
	var elsewhere *misdirected
	return errors.Is(err, errSilence) || errors.As(err, &elsewhere)
}

// errUnstable says that this host's sockets share no external address.
var errUnstable = errors.New("its answer would go to another address than the mapping's")

// idle makes a mapping, leaves it alone, and returns nil if it still lets the server's
// answer in after that.
func (d *discovery) idle(ctx context.Context, asker *endpoint, wait time.Duration) error {
	own, err := d.mappedAt(ctx, asker, d.Server)
	if err != nil {
		return errLost
	}
	e, mapped, err := d.mappingOn(ctx, own.Addr())
	if err != nil {
		return err
	}
	defer e.Close()
	due := time.Now().Add(wait)
	if err := sleep(ctx, wait-probing); err != nil {
		return err
	}
	if again, err := d.mappedAt(ctx, asker, d.Server); err != nil {
		return errLost
	} else if again.Addr() != own.Addr() {
		return errUnstable
	}
	if err := sleep(ctx, time.Until(due)); err != nil {
		return err
	}
	_, err = d.exchange.ask(ctx, question{
		from: asker, to: d.Server, expect: d.Server, at: e,
		attrs: func(request []byte) []byte { return appendPort(request, mapped) },
	})
	return err
}

// poolTries is how many sockets are opened to find one with a wanted external address.
const poolTries = 8

// mappingOn makes a mapping on an external address. The caller closes the endpoint.
func (d *discovery) mappingOn(ctx context.Context, external netip.Addr) (*endpoint, netip.AddrPort, error) {
	for range poolTries {
		e, err := d.exchange.listen(d.network, d.Local, false)
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		mapped, err := d.mappedAt(ctx, e, d.Server)
		if err == nil && mapped.Addr() == external {
			return e, mapped, nil
		}
		_ = e.Close()
		if err != nil {
			return nil, netip.AddrPort{}, errLost
		}
	}
	return nil, netip.AddrPort{}, errUnstable
}

// errLost says that the server stopped answering, which tells nothing of mappings.
var errLost = errors.New("the server no longer answers")

func appendPort(request []byte, to netip.AddrPort) []byte {
	request = appendAttribute(request, attrResponsePort, 2)
	return append(binary.BigEndian.AppendUint16(request, to.Port()), 0, 0)
}
