package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/probe"
	"hairpin/turnserver/wire"
)

// natTarget is one address of the server, and the local one to use if it is given.
type natTarget struct {
	server netip.AddrPort
	local  netip.Addr
}

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// targets looks the server up, and pairs its first address of each family with the
// local addresses. What is to be said of families without a target comes as results.
func (o *natOptions) targets(ctx context.Context, server probe.URI, locals []netip.Addr) (targets []natTarget, missing []natResult) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", server.Host)
	if err != nil {
		return nil, []natResult{unresolved(ctx, err)}
	}
	first := make(map[string]netip.Addr)
	for _, a := range addrs {
		a = a.Unmap()
		if _, there := first[familyOf(a)]; !there && o.wants(a) {
			first[familyOf(a)] = a
		}
	}
	for _, a := range first {
		at := netip.AddrPortFrom(a, server.Port)
		if len(locals) == 0 {
			targets = append(targets, natTarget{server: at})
		}
		for _, local := range locals {
			if local.Is4() == a.Is4() {
				targets = append(targets, natTarget{at, local})
			}
		}
	}
	if len(targets) == 0 {
		words := "the server has no address of the family asked for"
		return nil, []natResult{{Verdict: probe.Unreachable, Words: words, Hint: "leave -4, -6 and --local out, or name another server"}}
	}
	return targets, nil
}

func unresolved(ctx context.Context, err error) natResult {
	if ctx.Err() != nil {
		return natResult{Verdict: probe.Incomplete, Words: "ended before the server's name was looked up"}
	}
	var dns *net.DNSError
	words := err.Error()
	if errors.As(err, &dns) {
		words = dns.Err
	}
	return natResult{Verdict: probe.Unreachable, Words: "the server's name leads nowhere: " + words, Hint: "check --server, and the DNS resolver of this machine"}
}

// probe runs discovery against the target.
func (t natTarget) probe(ctx context.Context, o *natOptions, show *natProgress) natResult {
	family := familyOf(t.server.Addr())
	if !t.local.IsValid() {
		if _, err := (nat.System{}).Route(t.server); err != nil {
			return natResult{Family: family, Verdict: unavailable, Words: "this machine has no way to " + t.server.String() + ": " + reasonOfNetError(err)}
		}
	}
	report, err := nat.Discover(ctx, nat.System{}, nat.Config{
		Server: t.server, Local: t.local, Lifetime: o.lifetime,
		Progress: func(words string) { show.waiting(family, words) },
	})
	result := natResult{Family: family, Report: report}
	var over streamWay
	if err == nil && report.UDP == nat.No {
		show.waiting(family, "an answer over TCP")
		over = t.answersOver(ctx)
	}
	result.conclude(err, over)
	if result.Verdict != probe.Unreachable && report.UDP != nat.Unknown {
		result.Consequences = consequences(report)
	}
	return result
}

// reasonOfNetError leaves out what the caller says itself.
func reasonOfNetError(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// conclude fills in the verdict. The error is that of discovery, and over is how the
// server answers if not over UDP, zero if not at all.
func (r *natResult) conclude(err error, over streamWay) {
	gap, open := r.Report.Missing(nat.PropertyFiltering)
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		r.Verdict, r.Words = probe.Incomplete, "ended before all was known"
	case err != nil:
		r.Verdict, r.Words = probe.Unreachable, err.Error()
		r.Hint = "give --local an address of this machine, or leave it out"
	case r.Report.UDP == nat.No && over.name != "" && over.port == r.Report.Server.Port():
		r.Verdict, r.Words = probe.Faulty, fmt.Sprintf("UDP is blocked: the server answers over %s, and not over UDP", over.name)
	case r.Report.UDP == nat.No && over.name != "":
		r.Verdict = probe.Faulty
		r.Words = fmt.Sprintf("UDP is blocked, or nothing is at port %d: the server answers over %s on port %d alone", r.Report.Server.Port(), over.name, over.port)
	case r.Report.UDP == nat.No:
		r.Verdict, r.Words = probe.Unreachable, "nothing came back: UDP is blocked, or no STUN server is there"
		r.Hint = "check host and port of --server, or try another server"
	case open && gap.Reason == nat.CannotSend:
		r.Verdict, r.Words = probe.Unreachable, gap.Text
	case open && (gap.Reason == nat.NotSTUN || gap.Reason == nat.RequestRefused || gap.Reason == nat.NoMappedAddress):
		r.Verdict, r.Words, r.Hint = probe.Faulty, gap.Text, "name another server"
	default:
		r.Verdict, r.Words = probe.Healthy, kindOf(r.Report)
	}
}

// kindOf says in popular words what is on the way.
func kindOf(r *nat.Report) string {
	switch {
	case r.Translated == nat.No && r.Filtering == nat.EndpointIndependent:
		return "no NAT, and no firewall that matters"
	case r.Translated == nat.No && r.Filtering == nat.UnknownBehaviour:
		return "no NAT, and perhaps a firewall"
	case r.Translated == nat.No:
		return "no NAT, but a firewall"
	case r.PopularName != "":
		return "a NAT of the kind called " + r.PopularName
	}
	return "a NAT, of what kind is not known"
}

// tcpPatience is for a handshake and an answer with one retransmission each.
const tcpPatience = 3 * time.Second

// streamWay is how a server may answer that does not over UDP. Zero is not at all.
type streamWay struct {
	name string // "TCP" or "TLS"
	port uint16
}

// httpsPort is often all that is open.
const httpsPort = 443

// answersOver returns how the server answers: on its port, or on that of HTTPS. It
// tells blocked UDP from a server that is not there.
func (t natTarget) answersOver(ctx context.Context) streamWay {
	ctx, cancel := context.WithTimeout(ctx, tcpPatience)
	defer cancel()
	ways := []streamWay{{"TCP", t.server.Port()}, {"TLS", t.server.Port()}, {"TCP", httpsPort}, {"TLS", httpsPort}}
	answers := make([]bool, len(ways))
	var asked sync.WaitGroup
	for i, way := range ways {
		asked.Go(func() { answers[i] = t.answersAt(ctx, way) })
	}
	asked.Wait()
	if i := slices.Index(answers, true); i >= 0 {
		return ways[i]
	}
	return streamWay{}
}

// answersAt reports whether a Binding request is answered over TCP or TLS (RFC 8489
// §6.2.2). Whose certificate it is does not matter: nothing is said to the server that
// others may not hear.
func (t natTarget) answersAt(ctx context.Context, way streamWay) bool {
	var dialer net.Dialer
	if t.local.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.local, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(t.server.Addr(), way.port).String())
	if err != nil {
		return false
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // fails if it is closed, as reading will
	if way.name == "TLS" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	return answersBinding(conn)
}

// answersBinding reports whether a Binding request on a connection is answered.
func answersBinding(conn net.Conn) bool {
	const request, success, cookie = 0x0001, 0x0101, 0x2112A442
	message := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, request<<16), cookie)
	message = append(message, rand.Text()[:wire.HeaderLen-len(message)]...)
	answer := make([]byte, wire.HeaderLen)
	_, err := conn.Write(message)
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	return err == nil && binary.BigEndian.Uint16(answer) == success && bytes.Equal(answer[4:], message[4:])
}

// consequences says what a report means for calls, and what would mend it.
func consequences(r *nat.Report) []string {
	said := []string{withAlike(r)}
	if needs := needTURN(r); needs != "" && r.UDP == nat.Yes {
		said = append(said, needs)
	}
	add := func(when bool, format string, a ...any) {
		if when {
			said = append(said, fmt.Sprintf(format, a...))
		}
	}
	independent, known := r.Mapping == nat.EndpointIndependent, r.Mapping != nat.UnknownBehaviour
	add(r.UDP == nat.No, "Let UDP out, or give clients a turns: URI on port 443, which looks like HTTPS.")
	add(known && !independent, "Endpoint-independent mapping (RFC 4787 REQ-1) in the NAT would let most calls connect directly.")
	add(independent && r.Filtering == nat.AddressAndPortDependent,
		"Address-dependent filtering instead would let peers behind symmetric NATs connect directly too.")
	add(r.Hairpinning == nat.No, "Two peers behind this NAT connect by their local addresses or by TURN: it does not hairpin (RFC 4787 REQ-9).")
	if l := r.Lifetime; l != nil {
		add(l.BelowSeconds > 0 && l.BelowSeconds <= 120,
			"Mappings lapse before the two minutes of RFC 4787 REQ-5: keep them alive every %d s.", max(1, l.AtLeastSeconds/2))
	}
	add(r.Remarked(nat.CarrierGrade), "A carrier's NAT is on the way: forwarding a port on your own router will not do.")
	add(r.Fragments.Outbound == nat.No || r.Fragments.Inbound == nat.No, "Fragments do not pass: keep packets within the path MTU.")
	return said
}

// withAlike says how a call with a peer behind the same kind of NAT connects.
func withAlike(r *nat.Report) string {
	switch {
	case r.UDP == nat.No:
		return "Every call needs TURN over TCP or TLS."
	case r.UDP == nat.Unknown:
		return "Nothing can be said of calls."
	}
	switch nat.Direct(r.Side(), r.Side()) {
	case nat.Yes:
		return "Two peers like this one connect directly."
	case nat.No:
		return "Two peers like this one need TURN."
	}
	return "Whether two peers like this one need TURN is not known."
}

// needTURN names the kinds of peer that TURN is needed with.
func needTURN(r *nat.Report) string {
	var names []string
	for _, p := range r.Peers {
		if p.Direct == nat.No {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "TURN is needed with these peers: " + strings.Join(names, "; ") + "."
}
