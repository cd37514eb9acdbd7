package main

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// print writes the configuration as the file that would make it, each line with where
// its value came from. Of secrets and API keys it shows how many there are, as the
// settings made from the configuration know it.
func (c *loadedConfig) print(w io.Writer, s settings) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var last group
	for _, row := range c.table() {
		if row.group != last {
			fmt.Fprintf(out, "%s# %s\n", strings.Repeat("\n", min(len(last), 1)), row.group)
			last = row.group
		}
		fmt.Fprintf(out, "%s: %s\t# %s\n", row.key, yamlValue(row), oneLine(c.origins[row.key].String()))
		switch row.key {
		case "secret_file":
			fmt.Fprintf(out, "# secrets: %d, %s\n", len(s.Secrets), s.secretsFrom)
		case "api_keys_file":
			fmt.Fprintf(out, "# API keys: %d\n", s.apiKeyCount)
		}
	}
	return out.Flush()
}

func yamlValue(s setting) string {
	texts := s.value.texts()
	if !s.isList() {
		return yamlScalar(texts[0])
	}
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// bareScalar is what needs no quotes in YAML and reads back as the same text.
var bareScalar = regexp.MustCompile(`^[a-z0-9]+$`)

func yamlScalar(text string) string {
	if bareScalar.MatchString(text) && text != "null" {
		return text
	}
	return strconv.Quote(text)
}

// helpColumns is the width of the help text.
const helpColumns = 100

// printServeUsage writes the flags by group, with their defaults.
func printServeUsage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	fmt.Fprintf(w, "Usage:\n  %s\n", cmd.UseLine())
	config := newServeConfig()
	var last group
	for _, s := range config.table() {
		if s.group != last {
			fmt.Fprintf(w, "\n%s\n", s.group)
			last = s.group
		}
		printFlag(w, "--"+s.flag()+argOf(s), helpOf(s))
	}
	fmt.Fprint(w, "\nConfiguration\n")
	printFlag(w, "--config FILE", "settings as YAML, by the names of the flags with _ for -; or "+configVariable)
	printFlag(w, "--print-config", "print the settings and where each came from, and do not start")
	printFlag(w, "--help", "print this")
	fmt.Fprint(w, `
A flag goes before its environment variable (HAIRPIN_RELAY_PORTS for --relay-ports; commas
between the entries of a list), that before the file, that before the default.
`)
	return nil
}

func helpOf(s setting) string {
	help := s.help
	if s.isList() {
		help += "; repeatable"
	}
	if s.fallback != "" && !strings.Contains(help, "(default") {
		help += " (default " + s.fallback + ")"
	}
	return help
}

// argOf leaves the value of a switch optional, as the parser of the flags does.
func argOf(s setting) string {
	if s.arg == switchArg {
		return "[=" + s.arg + "]"
	}
	return " " + s.arg
}

// printFlag writes a flag and what it does, broken between words.
func printFlag(w io.Writer, flag, help string) {
	const indent = 36
	line := fmt.Sprintf("  %-*s", indent-3, flag)
	for _, word := range strings.Fields(help) {
		if len(line)+1+len(word) > helpColumns {
			fmt.Fprintln(w, line)
			line = strings.Repeat(" ", indent-1)
		}
		line += " " + word
	}
	fmt.Fprintln(w, line)
}
