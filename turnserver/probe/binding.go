package probe

import (
	"context"
	"net/netip"

	"github.com/pion/stun/v3"
)

// BindingDetails are the details of the step binding.
type BindingDetails struct {
	Mapped       netip.AddrPort `json:"mapped"` // this machine, as the server sees it
	Local        netip.AddrPort `json:"local"`
	Translated   bool           `json:"translated"` // there is a NAT on the way
	Discovery    bool           `json:"natDiscovery"`
	OtherAddress string         `json:"otherAddress,omitempty"`
	Software     string         `json:"software,omitempty"`
}

// binding asks for the server-reflexive address (RFC 8489 §2).
func (p *prober) binding(ctx context.Context) Step {
	c, err := p.open(ctx)
	if err != nil {
		_, words := describe(err)
		return fault("closed", nil, "a second connection %s", words)
	}
	defer c.close()
	c.become(nil)
	answer, err := c.request(ctx, stun.MethodBinding)
	switch code := codeOf(err); {
	case code == int(stun.CodeUnauthorized):
		return unknown("binding-needs-credentials", nil, "Binding requests are answered with credentials only")
	case code != 0:
		return fault("binding-refused", nil, "a Binding request is refused: %v", err)
	case err != nil && p.uri.Relays():
		return unknown("binding-silent", nil, "Binding requests are not answered, though TURN requests are").
			hint("some operators turn STUN off; clients then learn their address by an allocation")
	case err != nil:
		reason, words := describe(err)
		return fault(reason, nil, "%s %s", p.at, words)
	}
	p.note(answer)
	return p.judgeBinding(c, answer)
}

func (p *prober) judgeBinding(c *client, answer *stun.Message) Step {
	mapped, ok := addressOf(answer, stun.AttrXORMappedAddress)
	if !ok {
		if answer.Contains(stun.AttrMappedAddress) {
			return fault("binding-old", nil, "answers with MAPPED-ADDRESS alone, as RFC 3489 did before 2008")
		}
		return fault("binding-empty", nil, "the answer holds no mapped address")
	}
	d := BindingDetails{Mapped: mapped, Local: localOf(c.path), Software: p.result.Software}
	d.Translated = d.Local != mapped
	var other stun.OtherAddress
	if other.GetFrom(answer) == nil {
		d.Discovery, d.OtherAddress = true, other.String()
	}
	p.natBinding = d.Discovery
	switch {
	case !plausible(mapped):
		return fault("mapped-impossible", d, "says that we are %s, which nobody can be", mapped)
	case mapped.Addr().Is4() != p.at.Addr().Is4():
		return fault("mapped-family", d, "says that we are %s, but it was asked over the other family", mapped)
	case d.Translated:
		return okay(d, "we are %s to the server; a NAT translates %s", mapped, d.Local)
	}
	return okay(d, "we are %s to the server, without a NAT between", mapped)
}

// plausible reports whether an address can be somebody's.
func plausible(a netip.AddrPort) bool {
	return a.Port() != 0 && !a.Addr().IsUnspecified() && !a.Addr().IsMulticast()
}

// localOf returns the address of this end of a path.
func localOf(p path) netip.AddrPort {
	var text string
	switch p := p.(type) {
	case datagrams:
		text = p.LocalAddr().String()
	case stream:
		text = p.LocalAddr().String()
	}
	at, _ := netip.ParseAddrPort(text)
	return at
}

// note remembers what the server calls itself.
func (p *prober) note(m *stun.Message) {
	if software := textOf(m, stun.AttrSoftware); software != "" {
		p.result.Software = software
	}
}
