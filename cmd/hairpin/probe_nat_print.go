package main

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/probe"
)

// Columns of the text, in characters.
const (
	natNameWidth  = 12
	natWordsWidth = 64
	peerWidth     = 36
)

// printNATs writes what was found, a block for each family and local address.
func printNATs(to io.Writer, p natProbed) error {
	w := bufio.NewWriter(to)
	paint := painter(isTerminal(to))
	for i, r := range p.Results {
		if i > 0 {
			fmt.Fprintln(w)
		}
		subject := oneLine(p.Server)
		if r.Family != "" {
			subject += ", " + r.Family
		}
		fmt.Fprintf(w, "%s: %s: %s\n", subject, paint(colourOf(r.Verdict), string(r.Verdict)), oneLine(r.Words))
		if r.Hint != "" {
			fmt.Fprintf(w, "hint: %s\n", r.Hint)
		}
		if r.Report != nil && r.Report.UDP != nat.Unknown && r.Verdict != probe.Unreachable {
			printNAT(w, r)
		}
	}
	return w.Flush()
}

// printNAT writes the rows of one report, and what they mean.
func printNAT(w io.Writer, r natResult) {
	rows := natRows(r.Report)
	for _, remark := range r.Report.Remarks {
		rows = append(rows, row{"remark", remark.Text})
	}
	rows = append(rows, gapRows(r.Report)...)
	for _, sentence := range r.Consequences {
		rows = append(rows, row{"so", sentence})
	}
	last := ""
	for _, row := range rows {
		name := row.name
		if name == last {
			name = ""
		}
		last = row.name
		for _, line := range wrap(oneLine(row.value), natWordsWidth) {
			fmt.Fprintf(w, "  %-*s  %s\n", natNameWidth, name, line)
			name = ""
		}
	}
	fmt.Fprintf(w, "  %-*s  a call connects\n", peerWidth, "with a peer behind")
	for _, p := range r.Report.Peers {
		fmt.Fprintf(w, "  %-*s  %s\n", peerWidth, p.Name, connects(p.Direct))
	}
}

func connects(direct nat.Answer) string {
	return [...]string{"directly or by TURN: not known", "by TURN", "directly"}[direct]
}

// natRows are the properties in words. What is not known, gapRows tell.
func natRows(r *nat.Report) []row {
	if r.UDP == nat.No {
		return []row{{"server", r.Server.String()}, {"local", r.Local.String()}}
	}
	rows := []row{
		{"server", serverWords(r)},
		{"UDP", fmt.Sprintf("passes, there and back in %.1f ms", r.RoundTripMs)},
		{"address", addressWords(r)},
		{"mapping", behaviourWords(r.Mapping, r.Mapping != nat.EndpointIndependent, r.PopularName)},
		{"filtering", behaviourWords(r.Filtering, r.Mapping == nat.EndpointIndependent, r.PopularName)},
		{"hairpinning", answerWords(r.Hairpinning, "yes", "no")},
		{"ports", portsWords(r.Ports)},
		{"lifetime", lifetimeWords(r)},
		{"fragments", fragmentsWords(r.Fragments)},
	}
	if r.PathMTU > 0 {
		rows = append(rows, row{"path MTU", fmt.Sprintf("%d bytes pass unfragmented, the most of the sizes tried", r.PathMTU)})
	}
	if r.Mapped.IsValid() && !r.Remarked(nat.CarrierGrade) {
		rows = append(rows, row{"carrier NAT", "no sign of one"})
	}
	return slices.DeleteFunc(rows, func(r row) bool { return r.value == "" })
}

func serverWords(r *nat.Report) string {
	words := r.Server.String()
	if r.Other.IsValid() {
		words += " and " + r.Other.String()
	}
	if r.Software != "" {
		words += ", " + shorten(r.Software)
	}
	return words
}

func addressWords(r *nat.Report) string {
	switch {
	case r.Mapped == netip.AddrPort{}:
		return r.Local.String()
	case r.Translated == nat.No:
		return r.Local.String() + ", not translated"
	}
	return r.Local.String() + " becomes " + r.Mapped.String()
}

// behaviourWords puts the popular name beside the behaviour that decides it.
func behaviourWords(b nat.Behaviour, decides bool, popular string) string {
	if b == nat.UnknownBehaviour {
		return ""
	}
	if decides && popular != "" {
		return fmt.Sprintf("%v (%q)", b, popular)
	}
	return b.String()
}

func answerWords(a nat.Answer, yes, no string) string {
	return [...]string{"", no, yes}[a]
}

func portsWords(p nat.Ports) string {
	if p.Preservation == nat.Unknown {
		return ""
	}
	words := answerWords(p.Preservation, "preserved", "chosen anew, "+answerWords(p.Parity, "of the same parity", "of any parity"))
	return fmt.Sprintf("%s, in %d mappings", words, p.Sampled)
}

func lifetimeWords(r *nat.Report) string {
	_, missing := r.Missing(nat.PropertyLifetime)
	switch {
	case r.Lifetime != nil && r.Lifetime.BelowSeconds > 0:
		return fmt.Sprintf("%d to %d s without a packet", r.Lifetime.AtLeastSeconds, r.Lifetime.BelowSeconds)
	case r.Lifetime != nil && r.Lifetime.AtLeastSeconds > 0:
		return fmt.Sprintf("%d s or more without a packet", r.Lifetime.AtLeastSeconds)
	case missing, r.Lifetime != nil:
		return ""
	}
	return "not looked for: give --lifetime"
}

func fragmentsWords(f nat.Fragments) string {
	var words []string
	for _, way := range []struct {
		name string
		pass nat.Answer
	}{{"out", f.Outbound}, {"in", f.Inbound}} {
		if way.pass != nat.Unknown {
			words = append(words, answerWords(way.pass, "pass ", "do not pass ")+way.name)
		}
	}
	return strings.Join(words, ", ")
}

// gapRows name what could not be determined, those with the same reason together. What
// needs a NAT is none where there is no NAT.
func gapRows(r *nat.Report) []row {
	var texts []string
	names := make(map[string][]string)
	for _, g := range r.Gaps {
		if g.Reason == nat.NothingTranslated {
			continue
		}
		if names[g.Text] == nil {
			texts = append(texts, g.Text)
		}
		names[g.Text] = append(names[g.Text], string(g.Property))
	}
	var rows []row
	for _, text := range texts {
		rows = append(rows, row{"not known", strings.Join(names[text], ", ") + ": " + text})
	}
	return rows
}
