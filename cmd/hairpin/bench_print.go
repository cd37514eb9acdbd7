package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"hairpin/turnserver/bench"
)

// printBench writes what a bench found.
func printBench(to io.Writer, b benched) error {
	if _, err := fmt.Fprintf(to, "%s  %s\n", b.URI, b.title()); err != nil {
		return err
	}
	rows := []row{
		{"  found", b.Words},
		{"  delivered", b.delivered()},
		{"  amiss", b.amiss()},
		{"  " + b.delayName(), delayText(b.packetDelay())},
		{"  allocations", b.allocated()},
	}
	if p := b.Process; p != nil {
		rows = append(rows, row{"  process", fmt.Sprintf("%d: %.2f µs of processor time a packet; %.2f s on %d", p.PID, p.MicrosecondsPerPacket, p.CPUSeconds, p.Processors)})
	}
	if m := b.Machine; m != nil {
		rows = append(rows, row{"  machine", fmt.Sprintf("%.2f µs a packet, of that attributed %.2f µs; the generator's own %.2f µs are taken off",
			m.MicrosecondsPerPacket, m.AttributedMicroseconds, m.GeneratorMicroseconds)})
	}
	if g := b.Generator; g != nil {
		rows = append(rows, row{"  generator", fmt.Sprintf("%.2f s of processor time; its sockets threw away %s", g.CPUSeconds, thousands(float64(g.Drops)))})
	}
	for _, note := range b.Notes {
		rows = append(rows, row{"  note", note})
	}
	return printRows(to, rows)
}

func (b benched) title() string {
	parts := []string{string(b.Mode), countOf(b.Clients, "client")}
	if b.Mode == bench.ToPeer || b.Mode == bench.ToClient || b.Mode == bench.Both {
		parts = append(parts, countOf(b.Peers, "peer"))
	}
	if p := b.Packets; p != nil {
		if p.Size > 0 {
			parts = append(parts, fmt.Sprintf("%d bytes", p.Size))
		}
		rate := "as fast as it goes"
		if p.Rate > 0 {
			rate = thousands(p.Rate) + "/s"
		}
		if p.Burst > 1 {
			rate += fmt.Sprintf(" in bursts of %d", p.Burst)
		}
		parts = append(parts, rate+" for "+seconds(p.Duration))
	}
	return strings.Join(parts, ", ")
}

func (b benched) delivered() string {
	p := b.Packets
	if p == nil {
		return ""
	}
	text := fmt.Sprintf("%s of %s sent, %s/s", thousands(float64(p.Delivered)), thousands(float64(p.Sent)), thousands(p.Given))
	if p.Bits > 0 {
		const mega = 1e6
		text += fmt.Sprintf(", %.1f Mbit/s", p.Bits/mega)
	}
	return text + fmt.Sprintf(", %.2f %% lost", p.LossPercent)
}

// amiss tells what should not have happened, if anything.
func (b benched) amiss() string {
	p := b.Packets
	if p == nil {
		return ""
	}
	var parts []string
	for _, of := range []struct {
		n    uint64
		what string
	}{{p.Reordered, "reordered"}, {p.Duplicate, "twice"}, {p.Stray, "astray"}, {p.Refused, "not taken"}} {
		if of.n > 0 {
			parts = append(parts, thousands(float64(of.n))+" "+of.what)
		}
	}
	if p.Refusal != "" {
		parts = append(parts, p.Refusal)
	}
	return strings.Join(parts, ", ")
}

func (b benched) packetDelay() *bench.Delay {
	if b.Packets == nil {
		return nil
	}
	return b.Packets.Delay
}

func (b benched) delayName() string {
	if b.Mode == bench.Binding {
		return "there and back"
	}
	return "one way"
}

func (b benched) allocated() string {
	a := b.Allocations
	if a == nil {
		return ""
	}
	text := fmt.Sprintf("%s in %s, %s/s", thousands(float64(a.Count)), seconds(a.Seconds), thousands(a.PerSecond))
	if a.Delay != nil {
		text += fmt.Sprintf("; p50 %s, p99 %s", micros(a.Delay.P50), micros(a.Delay.P99))
	}
	if a.BytesEach != 0 || a.MicrosecondsEach != 0 {
		text += fmt.Sprintf("; %s B resident and %.0f µs each", thousands(float64(a.BytesEach)), a.MicrosecondsEach)
	}
	return text
}

func delayText(d *bench.Delay) string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, longest %s", micros(d.P50), micros(d.P90), micros(d.P99), micros(d.P999), micros(d.Max))
}

// benchProgress tells how far a load is.
func benchProgress(p bench.Progress, of time.Duration) string {
	sent, delivered := float64(p.Sent), float64(p.Delivered)
	rate := 0.0
	if p.Elapsed > 0 {
		rate = delivered / p.Elapsed.Seconds()
	}
	return fmt.Sprintf("%s of %s: %s of %s delivered, %s/s", min(p.Elapsed, of).Round(100*time.Millisecond), of, thousands(delivered), thousands(sent), thousands(rate))
}

func micros(us float64) string {
	d := time.Duration(us * float64(time.Microsecond))
	switch {
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}

func countOf(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return thousands(float64(n)) + " " + of + "s"
}

// thousands writes a number without its fraction, in groups of three digits.
func thousands(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return sign + digits
}
