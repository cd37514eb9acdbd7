package nat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Which sockets which test uses, so that none disturbs another.
const (
	forMapping     = 0
	forFiltering   = 1
	forHairpinning = 2 // and the next
	forFragments   = 4
	forLifetime    = 5
	forControl     = 6 // and the next
)

// samples is how many sockets' mappings are looked at: a NAT that chooses ports at
// random keeps the parity of all of them one time in 65,536.
const samples = 16

// Config says what to find out.
type Config struct {
	Server netip.AddrPort

	// Local is the local address to use; zero means the one that reaches the server.
	Local netip.Addr

	// Lifetime is the longest binding lifetime to look for, which takes as long and
	// more; zero does not look for it.
	Lifetime time.Duration

	// Progress is told what is being waited for, by one goroutine at a time; nil tells
	// nobody.
	Progress func(string)
}

// discovery is one run of Discover.
type discovery struct {
	Config
	network  Network
	exchange *exchanger

	// The sockets and what became of their addresses: written by connect and sample
	// before anything else runs. A mapping that was not learned is zero.
	endpoints [samples]*endpoint
	mapped    [samples]netip.AddrPort

	mu     sync.Mutex // guards all below, and calls of Progress
	report Report
}

// Discover finds out what lies between this host and a STUN server. It takes under ten
// seconds, or as long as the lifetime search. The report holds what is known also when
// an error is returned: that of ctx once it ends, or why no socket could be had.
func Discover(ctx context.Context, n Network, c Config) (*Report, error) {
	d := &discovery{Config: c, network: n, exchange: newExchanger()}
	d.report.Server = c.Server
	err := d.open()
	if err == nil {
		defer d.exchange.close()
		d.run(ctx)
		err = ctx.Err()
	}
	d.finish(err)
	return &d.report, err
}

// open opens the sockets.
func (d *discovery) open() error {
	if !d.Server.IsValid() || d.Server.Port() == 0 {
		return fmt.Errorf("%v is not a server's address", d.Server)
	}
	if !d.Local.IsValid() {
		local, err := d.network.Route(d.Server)
		if err != nil {
			return fmt.Errorf("no way to %v: %w", d.Server, err)
		}
		d.Local = local
	}
	for i := range d.endpoints {
		e, err := d.exchange.listen(d.network, d.Local, false)
		if err != nil {
			d.exchange.close()
			return fmt.Errorf("open a socket on %v: %w", d.Local, err)
		}
		d.endpoints[i] = e
	}
	d.report.Local = d.endpoints[forMapping].LocalAddr()
	return nil
}

// run does the tests, side by side where they do not disturb each other: each has its
// own sockets.
func (d *discovery) run(ctx context.Context) {
	d.progress("an answer from " + d.Server.String())
	if !d.connect(ctx) {
		return
	}
	d.progress("the mappings of more sockets")
	d.sample(ctx)
	d.progress("answers from the server's other address, and packets turned back")
	var tests sync.WaitGroup
	var silent []expectation
	tests.Go(func() { silent = d.filtering(ctx, d.endpoints[forFiltering]) })
	tests.Go(func() { d.mapping(ctx, d.endpoints[forMapping]) })
	tests.Go(func() { d.hairpinning(ctx, forHairpinning, forHairpinning+1) })
	tests.Go(func() { d.fragments(ctx, d.endpoints[forFragments]) })
	tests.Go(func() { d.pathMTU(ctx) })
	tests.Wait()
	if len(silent) > 0 && ctx.Err() == nil {
		d.progress("proof that the server can answer from its other address")
		d.control(ctx, d.endpoints[forControl:], silent)
	}
	if d.Lifetime > 0 && ctx.Err() == nil {
		d.lifetime(ctx, d.endpoints[forLifetime])
	}
}

// connect finds out whether UDP passes, and what the server offers (RFC 5780 §4.2).
func (d *discovery) connect(ctx context.Context) bool {
	e := d.endpoints[forMapping]
	a, err := d.exchange.ask(ctx, question{
		from: e, to: d.Server, expect: d.Server, tries: connectTries, gap: connectGap,
	})
	if err != nil {
		d.unreachable(err)
		return false
	}
	d.exchange.learn(a.took)
	mapped := a.mappedAddress()
	d.update(func(r *Report) {
		r.UDP = Yes
		r.Software, r.RoundTripMs = a.software, float64(a.took.Microseconds())/1000
		if a.other.IsValid() && usableOther(a.other, d.Server) {
			r.Other = a.other
		}
	})
	d.inspect(a)
	if !sendable(mapped, d.Server) && mapped != e.LocalAddr() {
		d.gaps(d.report.open(), NoMappedAddress, "the server did not say what address it sees, or named an impossible one")
		return false
	}
	d.mapped[forMapping] = mapped
	d.update(func(r *Report) {
		r.Mapped, r.Translated = mapped, answer(mapped != e.LocalAddr())
		if r.Translated == No {
			r.Mapping = EndpointIndependent
		}
	})
	return true
}

// mappedAddress returns what a response says the mapped address is.
func (m *message) mappedAddress() netip.AddrPort {
	if m.xorMapped.IsValid() {
		return m.xorMapped
	}
	return m.mapped
}

// unreachable notes why there is nothing more to find out.
func (d *discovery) unreachable(err error) {
	var (
		denied    *refused
		elsewhere *misdirected
	)
	silent := errors.Is(err, errSilence)
	switch {
	case errors.As(err, &denied):
		d.update(func(r *Report) { r.UDP = Yes })
		d.gaps(d.report.open(), RequestRefused, fmt.Sprintf("the server refuses Binding requests with error %d", denied.code))
	case errors.As(err, &elsewhere):
		d.update(func(r *Report) { r.UDP = Yes })
		d.gaps(d.report.open(), NotSTUN, fmt.Sprintf("the answer came from %v, not from where it was asked for", elsewhere.from))
	case silent && d.exchange.strays.Load() > 0:
		d.update(func(r *Report) { r.UDP = Yes })
		d.gaps(d.report.open(), NotSTUN, "packets came back, but none was an answer to what was asked")
	case silent:
		d.update(func(r *Report) { r.UDP = No })
		d.gaps(d.report.open(), UDPBlocked, "nothing came back: UDP is blocked, or there is no STUN server at this address")
	case !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		d.gaps(d.report.open(), CannotSend, "this host cannot send there: "+err.Error())
	}
}

// inspect notes what an answer says of those who handled it on its way.
func (d *discovery) inspect(a arrival) {
	if a.mapped.IsValid() && a.xorMapped.IsValid() && a.mapped != a.xorMapped {
		d.remark(AddressRewritten, fmt.Sprintf("MAPPED-ADDRESS %v differs from XOR-MAPPED-ADDRESS %v: "+
			"something on the way rewrites addresses inside packets (a generic ALG)", a.mapped, a.xorMapped))
	}
	if a.origin.IsValid() && a.origin != a.from {
		d.remark(ServerTranslated, fmt.Sprintf("the server says it answered from %v, but the answer came from %v: "+
			"it is behind a NAT itself", a.origin, a.from))
	}
	if a.other.IsValid() && !usableOther(a.other, d.Server) {
		d.remark(OtherAddressUnusable, fmt.Sprintf("the server names %v as its other address, which is none", a.other))
	}
}

// progress tells what is waited for.
func (d *discovery) progress(what string) {
	if d.Progress != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.Progress(what)
	}
}

// update changes the report.
func (d *discovery) update(change func(*Report)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.report)
}

func (d *discovery) remark(code Reason, text string) {
	d.update(func(r *Report) { r.Remarks = append(r.Remarks, Remark{code, text}) })
}

func (d *discovery) gap(p Property, code Reason, text string) {
	d.update(func(r *Report) {
		if _, there := r.Missing(p); !there {
			r.Gaps = append(r.Gaps, Gap{p, code, text})
		}
	})
}

func (d *discovery) gaps(all []Property, code Reason, text string) {
	for _, p := range all {
		d.gap(p, code, text)
	}
}

// finish draws the conclusions. It runs alone.
func (d *discovery) finish(err error) {
	r := &d.report
	code, text := Lost, "too much was lost on the way"
	if err != nil {
		code, text = Interrupted, "stopped before it was known: "+err.Error()
	}
	d.doubtHairpinning()
	d.gaps(r.open(), code, text)
	d.locate()
	if n := d.exchange.strays.Load(); n > 0 {
		d.remark(StrayPackets, fmt.Sprintf("%d packets came that nobody had asked for, or that were not STUN", n))
	}
	r.PopularName = PopularName(r.Mapping, r.Filtering)
	if r.Translated == No {
		r.PopularName = ""
	}
	r.Peers = Peers(r.Side())
}

// locate looks for signs of more than one NAT.
func (d *discovery) locate() {
	local, mapped := d.report.Local.Addr(), d.report.Mapped.Addr()
	switch {
	case carrierGrade.Contains(local):
		d.remark(CarrierGrade, fmt.Sprintf("%v is of the range of carriers' NATs (100.64.0.0/10)", local))
	case carrierGrade.Contains(mapped):
		d.remark(CarrierGrade, fmt.Sprintf("the mapped address %v is of the range of carriers' NATs (100.64.0.0/10)", mapped))
	case d.report.Translated == Yes && scopeOf(mapped) == private:
		d.remark(MappedPrivate, fmt.Sprintf("the mapped address %v is private: there is another NAT before the Internet, "+
			"or the server is this side of it", mapped))
	}
	for _, other := range d.mapped {
		if other.IsValid() && mapped.IsValid() && other.Addr() != mapped {
			d.remark(MappedAddressesMix, fmt.Sprintf("sockets are mapped to different addresses, such as %v and %v: "+
				"a NAT with a pool of them, as carriers have", mapped, other.Addr()))
			break
		}
	}
}
