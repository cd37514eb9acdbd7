package probe

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/pion/stun/v3"
)

// The kinds of peers a server should not relay to for strangers.
const (
	kindThisHost   = "this-host" // Linux delivers it to loopback
	kindLoopback   = "loopback"
	kindMetadata   = "metadata" // of clouds: credentials lie there
	kindLinkLocal  = "link-local"
	kindPrivate    = "private"
	kindShared     = "shared" // carrier-grade NATs, and overlay networks
	kindMulticast  = "multicast"
	kindTranslated = "translated" // IPv6 addresses that stand for loopback over IPv4
	kindPublic     = "public"     // for comparison: most servers relay there
)

// Answers to a CreatePermission request. Accepted means that the server installed a
// permission: it may still drop what is sent, and nothing need be there. A probe does
// not send to see.
const (
	answerRefused  = "refused"
	answerAccepted = "accepted"
	answerUnclear  = "unclear"
)

// PeerAnswer is what a server said about one peer. The step peer-policy has a list.
type PeerAnswer struct {
	Kind     string     `json:"kind"`
	Peer     netip.Addr `json:"peer"`
	Answer   string     `json:"answer"`
	Code     int        `json:"code,omitempty"`
	Phrase   string     `json:"phrase,omitempty"` // the server's own words; Hairpin gives its reason
	Expected bool       `json:"expected"`         // the answer is as it should be on such a server
}

// strangers are peers to ask for, one for each way by which servers were once fooled.
func strangers() []PeerAnswer {
	of := func(kind string, addresses ...string) (list []PeerAnswer) {
		for _, a := range addresses {
			list = append(list, PeerAnswer{Kind: kind, Peer: netip.MustParseAddr(a)})
		}
		return list
	}
	return slices.Concat(
		of(kindThisHost, "0.0.0.0", "::"),
		of(kindLoopback, "127.0.0.1", "127.1.2.3", "::1"),
		of(kindMetadata, "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"),
		of(kindLinkLocal, "169.254.1.1", "fe80::1"),
		of(kindPrivate, "10.0.0.1", "172.16.0.1", "192.168.0.1", "fd00::1"),
		of(kindShared, "100.64.0.1"),
		of(kindMulticast, "224.0.0.1", "255.255.255.255", "ff02::1"),
		of(kindTranslated, "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
		of(kindPublic, "8.8.8.8", "2001:4860:4860::8888"),
	)
}

// policyWorkers is how many permissions are asked for at once.
const policyWorkers = 4

// peerPolicy asks for permissions for peers that lend a stranger the server's place in
// its network. It sends no data to any of them.
func (p *prober) peerPolicy(ctx context.Context) Step {
	asking := map[bool]*client{p.allocated.relayed.Addr().Is4(): p.a}
	if other, err := p.allocateFamily(ctx, familyIPv6); err == nil && asking[false] == nil {
		asking[false] = other
	}
	var asked []PeerAnswer
	for _, s := range strangers() {
		own := s.Peer == p.at.Addr() || s.Peer == p.allocated.relayed.Addr()
		if asking[s.Peer.Is4()] != nil && !own {
			asked = append(asked, s)
		}
	}
	queue := make(chan *PeerAnswer)
	var workers sync.WaitGroup
	for range policyWorkers {
		workers.Go(func() {
			for s := range queue {
				*s = p.askFor(ctx, asking[s.Peer.Is4()], *s)
			}
		})
	}
	for i := range asked {
		queue <- &asked[i]
	}
	close(queue)
	workers.Wait()
	return p.judgePolicy(asked, asking[false] != nil)
}

// allocateFamily makes an allocation of a family, which ends with the probe.
func (p *prober) allocateFamily(ctx context.Context, family byte) (*client, error) {
	c, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	_, err = c.request(ctx, stun.MethodAllocate, requestedTransport(protocolUDP),
		attribute{stun.AttrRequestedAddressFamily, []byte{family, 0, 0, 0}})
	if err != nil {
		c.close()
		return nil, err
	}
	p.later(func() { p.end(c) })
	return c, nil
}

func (p *prober) askFor(ctx context.Context, c *client, s PeerAnswer) PeerAnswer {
	const port = 9 // the discard protocol; permissions have no port (RFC 8656 §9)
	err := p.permit(ctx, c, netip.AddrPortFrom(s.Peer, port))
	s.Code = codeOf(err)
	switch {
	case err == nil:
		s.Answer = answerAccepted
	case s.Code == 0 || s.Code == int(stun.CodeInsufficientCapacity):
		s.Answer = answerUnclear
	default:
		s.Answer = answerRefused
	}
	var r *refusal
	if errors.As(err, &r) {
		s.Phrase = r.phrase
	}
	s.Expected = s.Answer == answerRefused || s.Kind == kindPublic || p.atHome(s)
	return s
}

// atHome reports whether a peer is of the network the server is for: in a private
// network, peers live at private addresses. A public server that lends private addresses
// by mistake is a public server.
func (p *prober) atHome(s PeerAnswer) bool {
	home := max(scopeOf(p.allocated.relayed.Addr()), scopeOf(p.at.Addr()))
	switch s.Kind {
	case kindPrivate, kindShared:
		return home <= scopePrivate
	case kindLinkLocal:
		return home == scopeLink || home == scopeHost
	case kindLoopback:
		return home == scopeHost
	}
	return false
}

func (p *prober) judgePolicy(asked []PeerAnswer, ipv6 bool) Step {
	var holes, open, unclear byKind
	refused, public := 0, false
	for _, a := range asked {
		switch {
		case a.Answer == answerRefused:
			refused++
		case a.Answer == answerUnclear:
			unclear.add(a)
		case a.Kind == kindPublic:
			public = true
		case !a.Expected:
			holes.add(a)
		default:
			open.add(a)
		}
	}
	suffix := ""
	if len(open) > 0 {
		suffix = "; accepts, as a server in such a network may, " + open.String()
	}
	if !ipv6 {
		suffix += "; IPv6 peers not tried, as there is no IPv6 relay"
	}
	switch {
	case len(holes) > 0:
		return fault("peer-policy-hole", asked, "accepts as peers %s. Unless it drops the data later, whoever has a credential reaches there from the server's place%s", holes, suffix).
			hint("deny these peers: Hairpin does so by default, coturn with --denied-peer-ip")
	case len(unclear) > 0:
		return unknown("policy-unclear", asked, "no clear answer about %s%s", unclear, suffix)
	case !public && refused == len(asked):
		return okay(asked, "refuses all %d peers that were tried, public ones too: it relays to listed peers only%s", refused, suffix)
	}
	return okay(asked, "refuses %d inner addresses: loopback, metadata, private and the like%s", refused, suffix)
}

// byKind lists peers under their kinds, in the order they come.
type byKind []PeerAnswer

func (b *byKind) add(a PeerAnswer) { *b = append(*b, a) }

func (b byKind) String() string {
	var words strings.Builder
	last := ""
	for _, a := range b {
		switch a.Kind {
		case last:
			words.WriteString(", ")
		default:
			if last != "" {
				words.WriteString("; ")
			}
			words.WriteString(a.Kind + " ")
		}
		words.WriteString(a.Peer.String())
		last = a.Kind
	}
	return words.String()
}
