package probe

import (
	"context"
	"fmt"
	"strings"

	"github.com/pion/stun/v3"
)

// Feature is something an RFC offers. The step features has a list.
type Feature struct {
	Name    string `json:"name"`
	RFC     string `json:"rfc"`
	Offered string `json:"offered"` // "yes", "no", "unknown", or "broken": offered, but not as the RFC has it
	Words   string `json:"words,omitempty"`
}

// What a server can say to a feature.
const (
	offeredYes     = "yes"
	offeredNo      = "no"
	offeredUnknown = "unknown"
	offeredBroken  = "broken"
)

// trial asks for an allocation with a feature.
type trial struct {
	name, rfc string
	with      []stun.Setter
	judge     func(answer *stun.Message) (offered, words string)
}

// trials are the features that an Allocate request can ask for.
func trials() []trial {
	udp := requestedTransport(protocolUDP)
	even := func(flags byte) attribute { return attribute{stun.AttrEvenPort, []byte{flags}} }
	return []trial{
		{"ipv6-relay", "RFC 8656", []stun.Setter{udp, attribute{stun.AttrRequestedAddressFamily, []byte{familyIPv6, 0, 0, 0}}}, judgeIPv6},
		{"both-families", "RFC 8656", []stun.Setter{udp, attribute{attrAdditionalAddressFamily, []byte{familyIPv6, 0, 0, 0}}}, judgeBoth},
		{"even-port", "RFC 8656", []stun.Setter{udp, even(0)}, judgeEven},
		{"dont-fragment", "RFC 8656", []stun.Setter{udp, attribute{stun.AttrDontFragment, nil}}, judgeYes},
		{"mobility", "RFC 8016", []stun.Setter{udp, attribute{attrMobilityTicket, nil}}, judgeMobility},
	}
}

func judgeYes(*stun.Message) (offered, words string) { return offeredYes, "" }

func judgeIPv6(answer *stun.Message) (offered, words string) {
	if a := allocationOf(answer); !a.relayed.IsValid() || a.relayed.Addr().Is4() {
		return offeredBroken, "asked for an IPv6 relay, it lends " + a.relayed.String()
	}
	return offeredYes, ""
}

func judgeBoth(answer *stun.Message) (offered, words string) {
	all := addressesOf(answer, stun.AttrXORRelayedAddress)
	if len(all) == 2 && all[0].Addr().Is4() != all[1].Addr().Is4() {
		return offeredYes, ""
	}
	return offeredNo, "one family at a time"
}

func judgeEven(answer *stun.Message) (offered, words string) {
	if a := allocationOf(answer); a.relayed.Port()%2 != 0 {
		return offeredBroken, fmt.Sprintf("asked for an even port, it lends %d", a.relayed.Port())
	}
	return offeredYes, ""
}

func judgeMobility(answer *stun.Message) (offered, words string) {
	if answer.Contains(attrMobilityTicket) {
		return offeredYes, ""
	}
	return offeredNo, ""
}

// features finds out what the server offers, each by asking for an allocation that is
// given back at once.
func (p *prober) features(ctx context.Context) Step {
	c := p.challenge
	list := []Feature{
		told("nat-discovery", "RFC 5780", p.natBinding),
		told("nonce-cookie", "RFC 8489", c.NonceCookie),
		told("password-algorithms", "RFC 8489", c.SHA256),
		told("userhash", "RFC 8489", c.Userhash),
	}
	for _, t := range trials() {
		list = append(list, p.try(ctx, t))
	}
	list = append(list, p.tryReservation(ctx), p.tryTCP(ctx))
	by := make(map[string][]string)
	for _, f := range list {
		by[f.Offered] = append(by[f.Offered], f.Name)
		if f.Offered == offeredBroken {
			by["words"] = append(by["words"], f.Words)
		}
	}
	if len(by[offeredBroken]) > 0 {
		return fault("feature-broken", list, "offers %s otherwise than the RFC has it: %s", strings.Join(by[offeredBroken], ", "), strings.Join(by["words"], "; "))
	}
	words := "offers " + orNone(by[offeredYes])
	if len(by[offeredNo]) > 0 {
		words += "; not " + strings.Join(by[offeredNo], ", ")
	}
	if len(by[offeredUnknown]) > 0 {
		words += "; not known: " + strings.Join(by[offeredUnknown], ", ")
	}
	return okay(list, "%s", words)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func told(name, rfc string, yes bool) Feature {
	if yes {
		return Feature{Name: name, RFC: rfc, Offered: offeredYes}
	}
	return Feature{Name: name, RFC: rfc, Offered: offeredNo}
}

// try asks for one feature on a five-tuple of its own.
func (p *prober) try(ctx context.Context, t trial) Feature {
	f := Feature{Name: t.name, RFC: t.rfc}
	c, err := p.open(ctx)
	if err != nil {
		_, f.Words = describe(err)
		f.Offered = offeredUnknown
		return f
	}
	answer, err := c.request(ctx, stun.MethodAllocate, t.with...)
	if err != nil {
		c.close()
		f.Offered, f.Words = refusedFeature(err)
		return f
	}
	p.end(c)
	f.Offered, f.Words = t.judge(answer)
	return f
}

// refusedFeature tells a feature that is not there from a request that failed for
// another reason.
func refusedFeature(err error) (offered, words string) {
	switch codeOf(err) {
	case 0, int(stun.CodeAllocQuotaReached), int(stun.CodeInsufficientCapacity), int(stun.CodeUnauthorized):
		_, words = describe(err)
		return offeredUnknown, words
	}
	return offeredNo, err.Error()
}

// tryReservation asks for a pair of ports, and takes the second by its token (RFC 8656
// §7.1).
func (p *prober) tryReservation(ctx context.Context) Feature {
	first := 0
	var token []byte
	f := p.try(ctx, trial{
		name: "reservation", rfc: "RFC 8656",
		with: []stun.Setter{requestedTransport(protocolUDP), attribute{stun.AttrEvenPort, []byte{evenPortNext}}},
		judge: func(answer *stun.Message) (offered, words string) {
			first = int(allocationOf(answer).relayed.Port())
			token, _ = answer.Get(stun.AttrReservationToken)
			if token == nil {
				return offeredNo, "no RESERVATION-TOKEN"
			}
			return offeredYes, ""
		},
	})
	if token == nil {
		return f
	}
	return p.try(ctx, trial{
		name: f.Name, rfc: f.RFC,
		with: []stun.Setter{requestedTransport(protocolUDP), attribute{stun.AttrReservationToken, token}},
		judge: func(answer *stun.Message) (offered, words string) {
			if second := int(allocationOf(answer).relayed.Port()); second != first+1 {
				return offeredBroken, fmt.Sprintf("the port reserved after %d is %d", first, second)
			}
			return offeredYes, ""
		},
	})
}

// tryTCP asks for a TCP relay, as one can only over TCP (RFC 6062 §5.1).
func (p *prober) tryTCP(ctx context.Context) Feature {
	if !p.uri.stream() {
		return Feature{Name: "tcp-relay", RFC: "RFC 6062", Offered: offeredUnknown, Words: "can be asked for over TCP and TLS only"}
	}
	return p.try(ctx, trial{"tcp-relay", "RFC 6062", []stun.Setter{requestedTransport(protocolTCP)}, judgeYes})
}
