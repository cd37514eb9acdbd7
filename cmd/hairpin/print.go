package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// printJSON writes v as people and programs read it.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// A row is a name and a value of a result in text. A row with an empty value is left out.
type row struct{ name, value string }

// printRows writes rows in two columns.
func printRows(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r.value != "" {
			fmt.Fprintf(table, "%s\t%s\n", r.name, oneLine(r.value))
		}
	}
	return table.Flush()
}

// oneLine quotes text that would not print as it is: what others sent may hold line
// ends and the escape sequences of a terminal.
func oneLine(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// relative says how far a time is from now, as people say it.
func relative(t, now time.Time) string {
	if d := now.Sub(t); d >= 0 {
		return humanDuration(d) + " ago"
	}
	return "in " + humanDuration(t.Sub(now))
}

// humanDuration writes days where hours would not be read, and no fractions.
func humanDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d > 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.Round(time.Second).String()
}
