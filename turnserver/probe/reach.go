package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pion/stun/v3"
)

// DNSDetails are the details of the step dns.
type DNSDetails struct {
	IPv4 []netip.Addr `json:"ipv4"`
	IPv6 []netip.Addr `json:"ipv6"`
}

// AddressDetails tell how one address was reached. The step reachability has a list.
type AddressDetails struct {
	Address   netip.AddrPort `json:"address"`
	Answers   bool           `json:"answers"`
	Connected bool           `json:"connected"` // TCP or DTLS connects, whatever then happens
	AnswerMS  float64        `json:"answerMs,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	Words     string         `json:"words,omitempty"`
	Strays    int64          `json:"strays,omitempty"` // packets that answered nothing

	secured *secured
}

// resolve finds all addresses, as browsers do: they do not ask for SRV records.
func (p *prober) resolve(ctx context.Context) Step {
	if address, err := netip.ParseAddr(p.uri.Host); err == nil {
		p.addresses = []netip.AddrPort{netip.AddrPortFrom(address, p.uri.Port)}
		return okay(detailsOf(p.addresses), "%s is an address, no name", address)
	}
	found, err := p.o.Lookup(ctx, "ip", p.uri.Host)
	var failure *net.DNSError
	switch {
	case errors.As(err, &failure) && failure.IsNotFound:
		return fault("dns-not-found", nil, "there is no address for %s", p.uri.Host).
			hint("check the name; a server needs an A or an AAAA record")
	case err != nil:
		return fault("dns-failed", nil, "the name could not be looked up: %v", err).
			hint("check the resolver of this machine")
	}
	for _, address := range found {
		p.addresses = append(p.addresses, netip.AddrPortFrom(address.Unmap(), p.uri.Port))
	}
	if len(p.addresses) == 0 {
		return fault("dns-not-found", nil, "there is no address for %s", p.uri.Host)
	}
	return okay(detailsOf(p.addresses), "%s", joined(p.addresses))
}

func detailsOf(all []netip.AddrPort) DNSDetails {
	d := DNSDetails{IPv4: []netip.Addr{}, IPv6: []netip.Addr{}}
	for _, a := range all {
		if a.Addr().Is4() {
			d.IPv4 = append(d.IPv4, a.Addr())
		} else {
			d.IPv6 = append(d.IPv6, a.Addr())
		}
	}
	return d
}

func joined(all []netip.AddrPort) string {
	var words []string
	for _, a := range all {
		words = append(words, a.Addr().String())
	}
	return strings.Join(words, ", ")
}

// reach tries every address at once and takes the first in the order of the resolver
// that answers.
func (p *prober) reach(ctx context.Context) Step {
	all := make([]AddressDetails, len(p.addresses))
	var tries sync.WaitGroup
	for i, at := range p.addresses {
		tries.Go(func() { all[i] = p.tryAddress(ctx, at) })
	}
	tries.Wait()
	return p.judgeReach(all)
}

func (p *prober) judgeReach(all []AddressDetails) Step {
	var dead, best *AddressDetails
	for i := range all {
		a := &all[i]
		p.reached = p.reached || a.Answers || a.Connected
		switch {
		case a.Answers && best == nil:
			best = a
		case !a.Answers && (dead == nil || dead.Reason == "no-route"):
			dead = a
		}
	}
	if best == nil {
		return fault(dead.Reason, all, "%s %s", dead.Address, dead.Words).hint("%s", p.hintDead(dead.Reason))
	}
	p.at, p.secured, p.result.Server = best.Address, best.secured, best.Address.String()
	switch {
	case best.Strays > maxStrays:
		return fault("flood", all, "%s answers, and sent %d packets that nobody asked for", best.Address, best.Strays)
	case dead != nil && dead.Reason != "no-route":
		return fault("address-dead", all, "%s answers, but %s %s", best.Address, dead.Address, dead.Words).
			hint("clients that take that address first wait in vain: mend it, or take it out of the DNS")
	}
	return okay(all, "%s answers in %.3g ms", best.Address, best.AnswerMS)
}

func (p *prober) hintDead(reason string) string {
	port := p.uri.Transport + " port"
	switch reason {
	case "silent":
		if p.reached {
			return "something takes connections there; is it a STUN or TURN server?"
		}
		return "is " + port + " open in every firewall on the way, and is the server running?"
	case "refused":
		return "a host is there, but nothing listens on this " + port
	case "tls-failed":
		return "is this a port for TLS over " + strings.ToUpper(p.uri.Transport) + "?"
	case "not-stun", "closed":
		return "something other than a STUN server listens there, or a proxy stands in between"
	}
	return ""
}

// tryAddress finds out whether a STUN server answers at an address. A TURN server need
// not answer Binding requests, so it is also asked to end an allocation that there is
// not: whatever it answers, it answers.
func (p *prober) tryAddress(ctx context.Context, at netip.AddrPort) AddressDetails {
	d := AddressDetails{Address: at}
	way, state, err := dial(ctx, p.uri, at, p.o)
	if err != nil {
		var failed *handshakeError
		var garbage *garbageError
		d.Connected = errors.As(err, &failed) || errors.As(err, &garbage)
		d.Reason, d.Words = describe(err)
		return d
	}
	d.secured, d.Connected = state, p.uri.stream() || p.uri.Secure()
	c := newClient(way, p.o.Wait)
	defer c.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begin := time.Now()
	requests := p.harmless()
	errs := make(chan error, len(requests))
	for _, m := range requests {
		go func() {
			_, err := c.exchange(ctx, m)
			errs <- err
		}()
	}
	for range requests {
		if err = <-errs; err == nil {
			break
		}
	}
	d.Strays = c.strays.Load()
	if err == nil {
		d.Answers, d.AnswerMS = true, ms(time.Since(begin))
		return d
	}
	d.Reason, d.Words = describe(err)
	if d.Connected && d.Reason == "silent" {
		d.Words = "takes a connection, but does not answer"
	}
	if noise, ok := c.firstStray(); ok && errors.Is(err, errSilent) {
		d.Connected = true
		d.Reason, d.Words = "not-stun", "answers what is no answer: "+quoteBytes(noise)
	}
	return d
}

// harmless returns requests that change nothing.
func (p *prober) harmless() []*stun.Message {
	requests := []*stun.Message{stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)}
	if p.uri.Relays() {
		refresh := stun.NewType(stun.MethodRefresh, stun.ClassRequest)
		requests = append(requests, stun.MustBuild(stun.TransactionID, refresh, lifetime(0), stun.Fingerprint))
	}
	return requests
}

// describe names why there is no answer, to follow an address in a sentence.
func describe(err error) (reason, words string) {
	var garbage *garbageError
	var handshake *handshakeError
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return ReasonInterrupted, "was not waited for"
	case errors.As(err, &handshake):
		return "tls-failed", "does not speak " + handshake.protocol + " as it should: " + handshake.err.Error()
	case errors.As(err, &garbage):
		return "not-stun", "does not speak " + garbage.protocol + ": " + quoteBytes(garbage.begin)
	case errors.Is(err, errSilent), errors.As(err, &timeout) && timeout.Timeout():
		return "silent", "does not answer"
	case errors.Is(err, errClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "closed", "closes the connection"
	case isRefused(err):
		return "refused", "refuses: the port is closed"
	case isNoRoute(err):
		return "no-route", "cannot be reached from this machine: no route"
	}
	return "closed", "cannot be used: " + err.Error()
}
