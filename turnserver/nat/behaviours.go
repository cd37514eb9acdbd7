package nat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// sample learns the mappings of the other sockets, and from them how ports are chosen.
func (d *discovery) sample(ctx context.Context) {
	var asked sync.WaitGroup
	for i := 1; i < samples; i++ {
		asked.Go(func() { d.mapped[i], _ = d.mappedAt(ctx, d.endpoints[i], d.Server) })
	}
	asked.Wait()
	if d.report.Translated == No {
		d.gap(PropertyPorts, NothingTranslated, "no NAT chooses ports here")
		return
	}
	ports := Ports{Preservation: Yes, Parity: Yes}
	for i, mapped := range d.mapped {
		if !mapped.IsValid() {
			continue
		}
		local := d.endpoints[i].LocalAddr()
		ports.Sampled++
		if mapped.Port() != local.Port() {
			ports.Preservation = No
		}
		if mapped.Port()%2 != local.Port()%2 {
			ports.Parity = No
		}
	}
	d.update(func(r *Report) { r.Ports = ports })
}

// mappedAt returns what an address of the server sees an endpoint as.
func (d *discovery) mappedAt(ctx context.Context, e *endpoint, at netip.AddrPort) (netip.AddrPort, error) {
	a, err := d.exchange.ask(ctx, question{from: e, to: at, expect: at})
	if err != nil {
		return netip.AddrPort{}, err
	}
	mapped := a.mappedAddress()
	if !sendable(mapped, d.Server) && mapped != e.LocalAddr() {
		return netip.AddrPort{}, fmt.Errorf("the server named the mapped address %v", mapped)
	}
	return mapped, nil
}

// needOther reports whether the server has a usable other address, and otherwise says
// why a property stays open.
func (d *discovery) needOther(p Property) bool {
	switch {
	case d.report.Other.IsValid():
		return true
	case d.report.Remarked(OtherAddressUnusable):
		d.gap(p, OtherAddressUnusable, "the server names no usable other address")
	default:
		d.gap(p, NoOtherAddress, "this takes a server with two addresses, and it named no other (OTHER-ADDRESS)")
	}
	return false
}

// mapping finds out the mapping behaviour (RFC 5780 §4.3). The endpoint has asked the
// primary address. That it asks there once more tells a mapping that depends on the
// destination from one that changes by itself, or a server that makes it up.
func (d *discovery) mapping(ctx context.Context, e *endpoint) {
	first := d.mapped[forMapping]
	if d.report.Translated == No || !d.needOther(PropertyMapping) {
		return
	}
	other := d.report.Other
	var (
		asked                sync.WaitGroup
		ip, ipAndPort, again netip.AddrPort
		errs                 [3]error
	)
	asked.Go(func() { ip, errs[0] = d.mappedAt(ctx, e, netip.AddrPortFrom(other.Addr(), d.Server.Port())) })
	asked.Go(func() { ipAndPort, errs[1] = d.mappedAt(ctx, e, other) })
	asked.Go(func() { again, errs[2] = d.mappedAt(ctx, e, d.Server) })
	asked.Wait()
	switch {
	case ctx.Err() != nil:
	case errs[0] != nil || errs[1] != nil:
		d.gap(PropertyMapping, OtherAddressSilent, fmt.Sprintf("the server's other address %v does not answer", other))
	case errs[2] != nil:
		d.gap(PropertyMapping, Lost, "the server no longer answers")
	case again != first:
		d.gap(PropertyMapping, MappingUnstable, fmt.Sprintf("the mapping changed from %v to %v by itself, "+
			"or the server makes it up", first, again))
	default:
		d.update(func(r *Report) { r.Mapping = classify(first, ip, ipAndPort) })
	}
}

// classify compares the mappings towards three destinations: the primary address, the
// other IP address with the same port, and with the other port.
func classify(primary, ip, ipAndPort netip.AddrPort) Behaviour {
	switch {
	case primary == ip && ip == ipAndPort:
		return EndpointIndependent
	case ip == ipAndPort:
		return AddressDependent
	}
	return AddressAndPortDependent
}

// expectation is an answer that was asked for from another of the server's addresses.
type expectation struct {
	flags byte
	from  netip.AddrPort
	err   error // why it did not come
}

// filtering finds out the filtering behaviour (RFC 5780 §4.4). The endpoint has sent to
// the primary address alone. It returns the answers that did not come.
func (d *discovery) filtering(ctx context.Context, e *endpoint) (silent []expectation) {
	if !d.needOther(PropertyFiltering) {
		return nil
	}
	other := d.report.Other
	both := expectation{flags: changeIP | changePort, from: other}
	port := expectation{flags: changePort, from: netip.AddrPortFrom(d.Server.Addr(), other.Port())}
	var asked sync.WaitGroup
	asked.Go(func() { both.err = d.change(ctx, e, both) })
	asked.Go(func() { port.err = d.change(ctx, e, port) })
	asked.Wait()
	if ctx.Err() != nil || d.misbehaved(both.err) || d.misbehaved(port.err) {
		return nil
	}
	found := AddressAndPortDependent
	switch {
	case both.err == nil:
		found = EndpointIndependent
	case port.err == nil:
		found, silent = AddressDependent, []expectation{both}
	default:
		silent = []expectation{both, port}
	}
	d.update(func(r *Report) { r.Filtering = found })
	return silent
}

// change asks the primary address for an answer from another.
func (d *discovery) change(ctx context.Context, e *endpoint, x expectation) error {
	_, err := d.exchange.ask(ctx, question{
		from: e, to: d.Server, expect: x.from,
		attrs: func(request []byte) []byte {
			return append(appendAttribute(request, attrChangeRequest, 4), 0, 0, 0, x.flags)
		},
	})
	return err
}

// misbehaved notes what else than silence kept an answer away.
func (d *discovery) misbehaved(err error) bool {
	var (
		denied    *refused
		elsewhere *misdirected
	)
	switch {
	case errors.As(err, &denied):
		d.gap(PropertyFiltering, ChangeRequestRefused, fmt.Sprintf("the server refuses CHANGE-REQUEST with error %d", denied.code))
	case errors.As(err, &elsewhere):
		d.gap(PropertyFiltering, ChangeRequestIgnored, fmt.Sprintf("asked to answer from another address, the server did so from %v", elsewhere.from))
	case err != nil && !errors.Is(err, errSilence):
		d.gap(PropertyFiltering, CannotSend, "this host cannot send: "+err.Error())
	default:
		return false
	}
	return true
}

// control makes sure that the answers that did not come were filtered and not never
// sent: it opens the filter for them and asks again. That takes sockets of their own:
// some NATs (Linux) remember even the packets they did not let in, and then map what
// goes back to where those came from in another way. With a mapping that depends on the
// destination there is no control, for another mapping would be opened; then an answer
// from the other address to mapping's requests has to be proof enough.
func (d *discovery) control(ctx context.Context, fresh []*endpoint, silent []expectation) {
	r := &d.report
	if r.Mapping == UnknownBehaviour {
		d.withdraw(OtherAddressSilent, "without an answer from the server's other address nothing follows from silence")
		return
	}
	if r.Mapping != EndpointIndependent {
		return
	}
	var tests sync.WaitGroup
	for i, x := range silent {
		tests.Go(func() {
			if _, err := d.mappedAt(ctx, fresh[i], x.from); err != nil {
				d.withdraw(OtherAddressSilent, fmt.Sprintf("the server's address %v does not answer", x.from))
			} else if d.change(ctx, fresh[i], x) != nil {
				d.withdraw(ChangeRequestIgnored, fmt.Sprintf("the server does not answer from %v when asked to, even where nothing filters it", x.from))
			}
		})
	}
	tests.Wait()
}

// withdraw takes back the filtering behaviour.
func (d *discovery) withdraw(code Reason, text string) {
	d.update(func(r *Report) { r.Filtering = UnknownBehaviour })
	d.gap(PropertyFiltering, code, text)
}

// hairpinning finds out whether packets between two of this host's mappings are turned
// back. Both sides send, as in ICE, for a filter lets in only who was sent to.
func (d *discovery) hairpinning(ctx context.Context, i, j int) {
	if d.report.Translated == No {
		d.gap(PropertyHairpinning, NothingTranslated, "no NAT could turn packets back")
		return
	}
	if !d.mapped[i].IsValid() || !d.mapped[j].IsValid() {
		return
	}
	turned, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, 2)
	send := func(from, to int) {
		_, err := d.exchange.ask(turned, question{
			from: d.endpoints[from], to: d.mapped[to], at: d.endpoints[to], turned: true,
		})
		errs <- err
	}
	go send(i, j)
	go send(j, i)
	first, second := <-errs, error(nil)
	if first == nil {
		cancel() // one way is enough
	}
	second = <-errs
	if ctx.Err() == nil {
		d.update(func(r *Report) { r.Hairpinning = answer(first == nil || second == nil) })
	}
}

// doubtHairpinning takes back that nothing is turned where a filter may have kept it
// away: one that no socket of this host can open, for packets between them come from
// mappings nobody could know in advance.
func (d *discovery) doubtHairpinning() {
	r := &d.report
	if r.Hairpinning != No || r.Mapping == EndpointIndependent || r.Filtering == EndpointIndependent {
		return
	}
	r.Hairpinning = Unknown
	d.gap(PropertyHairpinning, HairpinningFiltered, "packets between two mappings of this host do not arrive, "+
		"but the NAT's filter may be the reason, whether it turns them back or not")
}
