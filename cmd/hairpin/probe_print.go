package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"hairpin/turnserver/probe"
)

// Columns of a result, in characters.
const (
	statusWidth = 7
	nameWidth   = 14
	wordsWidth  = 74
)

// ANSI sequences for a terminal.
const (
	colourOff   = "\x1b[0m"
	colourGood  = "\x1b[32m"
	colourBad   = "\x1b[31m"
	colourFaint = "\x1b[2m"
)

// printProbe writes what a probe of one server found, after a blank line if another
// result stands above.
func printProbe(to io.Writer, r probe.Result, after bool) error {
	w := bufio.NewWriter(to)
	paint := painter(isTerminal(to))
	if after {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s  %s: %s\n", r.URI, paint(colourOf(r.Verdict), string(r.Verdict)), r.Words)
	if r.Software != "" {
		fmt.Fprintf(w, "  software  %s\n", oneLine(r.Software))
	}
	printSteps(w, r.Steps, paint)
	return w.Flush()
}

// printSelf writes what a look at a server's own machine found.
func printSelf(to io.Writer, r probe.SelfResult) error {
	w := bufio.NewWriter(to)
	paint := painter(isTerminal(to))
	fmt.Fprintf(w, "this machine: %s: %s\n", paint(colourOf(r.Verdict), string(r.Verdict)), r.Words)
	printSteps(w, r.Steps, paint)
	return w.Flush()
}

func printSteps(w io.Writer, steps []probe.Step, paint func(colour, text string) string) {
	for _, s := range foldNeeds(steps) {
		status, name, lines := rowsOf(s)
		fmt.Fprintf(w, "  %s  %-*s  %s\n", paint(colourOfStep(s.Status), fmt.Sprintf("%-*s", statusWidth, status)), nameWidth, name, lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(w, "  %-*s  %-*s  %s\n", statusWidth, "", nameWidth, "", line)
		}
	}
}

// foldNeeds makes one step of those that were skipped for the want of what an earlier
// one did not give: that one has said why.
func foldNeeds(steps []probe.Step) []probe.Step {
	var told []probe.Step
	var names []string
	for _, s := range steps {
		if s.Reason == probe.ReasonNeeds {
			names = append(names, s.Name)
		} else {
			told = append(told, s)
		}
	}
	if len(names) > 0 {
		told = append(told, probe.Step{Name: "the rest", Status: probe.Skipped, Words: strings.Join(names, ", ") + ": need what is missing above"})
	}
	return told
}

// painter returns what puts text in colour, or leaves it where nobody sees it.
func painter(terminal bool) func(colour, text string) string {
	return func(colour, text string) string {
		if !terminal || colour == "" {
			return text
		}
		return colour + text + colourOff
	}
}

func colourOf(v probe.Verdict) string {
	switch v {
	case probe.Healthy:
		return colourGood
	case probe.Faulty, probe.Unreachable:
		return colourBad
	}
	return ""
}

func colourOfStep(s probe.Status) string {
	switch s {
	case probe.OK:
		return colourGood
	case probe.Fault:
		return colourBad
	case probe.Warning:
		return "" // neither good nor bad, and to be seen
	}
	return colourFaint
}

// rowsOf lays out a step: its status, its name, its words, and its hint below.
func rowsOf(s probe.Step) (status, name string, lines []string) {
	lines = wrap(oneLine(s.Words), wordsWidth)
	if s.Hint != "" {
		lines = append(lines, wrap("hint: "+oneLine(s.Hint), wordsWidth)...)
	}
	return string(s.Status), s.Name, lines
}

// wrap breaks text between words into lines of at most width characters, where its
// words let it.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
