package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"hairpin/credentials"
)

const (
	variablePrefix  = "HAIRPIN_"
	configVariable  = "HAIRPIN_CONFIG"
	apiKeysVariable = "HAIRPIN_API_KEYS"

	// maxConfigBytes is room for thousands of networks in a list. The YAML parser takes
	// time that grows faster than the file does.
	maxConfigBytes = 64 << 10
)

// configHost is what a configuration needs to know of the machine it is for.
type configHost struct {
	environ []string // as from os.Environ
	open    func(name string) (fs.File, error)
	addrs   func() ([]netip.Addr, error) // of the interfaces, without zones

	// checkKeys returns the number of API keys in a file of them, or what is wrong with
	// it. Its errors carry no byte of a key.
	checkKeys func(io.Reader) (int, error)
}

// thisHost returns the machine this process runs on.
func thisHost(checkKeys func(io.Reader) (int, error)) configHost {
	return configHost{
		environ:   os.Environ(),
		open:      func(name string) (fs.File, error) { return os.Open(name) },
		addrs:     interfaceAddrs,
		checkKeys: checkKeys,
	}
}

func interfaceAddrs() ([]netip.Addr, error) {
	networks, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, n := range networks {
		if prefix, err := netip.ParsePrefix(n.String()); err == nil {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	return addrs, nil
}

// layer is a source of settings. A later one goes before an earlier one.
type layer int

const (
	layerDefault layer = iota
	layerFile
	layerEnvironment
	layerFlag
)

// origin is where the value of a setting came from. The zero value is the defaults.
type origin struct {
	layer layer
	name  string // file:line:column, variable or flag
}

// String says in a word or two where the value came from.
func (o origin) String() string {
	switch o.layer {
	case layerFile:
		return "file " + o.name
	case layerEnvironment:
		return "env " + o.name
	case layerFlag:
		return "flag " + o.name
	}
	return "default"
}

// loadedConfig is a configuration, where its values came from, and what was wrong with
// those that could not be taken. It is not written to once it is loaded.
type loadedConfig struct {
	serveConfig
	origins  map[string]origin // by key; a default has none
	secrets  []credentials.Secret
	apiKeys  func() io.Reader // from the environment; a function, so that no print shows them
	faults   []error
	warnings []string
}

// configFault is one thing wrong with a configuration.
type configFault struct {
	where   string // a flag, a variable, or a place in a file and its key
	value   string // what stands there; empty if it does not matter or might be secret
	problem string
	hint    string // what to do, with the flag that mends it
}

// Error returns one line.
func (f *configFault) Error() string {
	var b strings.Builder
	b.WriteString(f.where)
	if f.value != "" {
		fmt.Fprintf(&b, " %q", shorten(f.value))
	}
	b.WriteString(": " + f.problem)
	if f.hint != "" {
		b.WriteString("; " + f.hint)
	}
	return b.String()
}

// shorten keeps a value that is a whole file by mistake from filling the screen.
func shorten(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// printConfigFaults writes each fault of a configuration and its hint on a line of its
// own, and returns the error to end the command with.
func printConfigFaults(stderr io.Writer, err error) error {
	faults := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		faults = joined.Unwrap()
	}
	for _, fault := range faults {
		fmt.Fprintf(stderr, "hairpin: %s\n", oneLine(fault.Error()))
	}
	return &exitError{code: exitUsage}
}

// isPlainText reports whether text can be printed, and stand in a file, as it is.
func isPlainText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// serveFlags are the flags of "hairpin serve".
type serveFlags struct {
	PrintConfig bool
	file        string
	flags       map[string]*flagTexts // by key
}

// flagTexts are the values of one flag, in the order they were given. Nothing is judged
// before all layers are known, so that all faults are found at once.
type flagTexts struct {
	arg    string
	isList bool
	given  bool
	texts  []string
}

// String returns the empty string: the help is not made from it.
func (f *flagTexts) String() string { return "" }

// Type returns the name the help has for the value.
func (f *flagTexts) Type() string { return f.arg }

// Set adds a value. Of a flag that is no list, the last one counts.
func (f *flagTexts) Set(text string) error {
	f.given = true
	if f.isList {
		f.texts = append(f.texts, splitList(text)...)
	} else {
		f.texts = []string{text}
	}
	return nil
}

// splitList splits at commas, which no entry of a list setting has.
func splitList(text string) []string {
	if strings.TrimSpace(text) == "" {
		return []string{}
	}
	entries := strings.Split(text, ",")
	for i := range entries {
		entries[i] = strings.TrimSpace(entries[i])
	}
	return entries
}

// addServeFlags gives a command the flags of "hairpin serve", and a help text that
// groups them.
func addServeFlags(cmd *cobra.Command) *serveFlags {
	f := &serveFlags{flags: make(map[string]*flagTexts)}
	config := newServeConfig()
	for _, s := range config.table() {
		texts := &flagTexts{arg: s.arg, isList: s.isList()}
		flag := cmd.Flags().VarPF(texts, s.flag(), "", s.help)
		if s.arg == switchArg {
			flag.NoOptDefVal = "true"
		}
		f.flags[s.key] = texts
	}
	cmd.Flags().StringVar(&f.file, "config", "", "")
	cmd.Flags().BoolVar(&f.PrintConfig, "print-config", false, "")
	cmd.SetUsageFunc(printServeUsage)
	return f
}

// load puts the layers together: defaults, file, environment, flags. What it could not
// take is kept for [loadedConfig.resolve] to report with everything else. It may be
// called again, to read the file anew.
func (f *serveFlags) load(h configHost) *loadedConfig {
	c := &loadedConfig{serveConfig: newServeConfig(), origins: make(map[string]origin)}
	table := c.table()
	if file := f.configFile(h); file != "" {
		c.loadFile(h, file, table)
	}
	c.loadEnvironment(h.environ, table)
	for _, s := range table {
		if flag := f.flags[s.key]; flag.given {
			c.assign(s, flag.texts, origin{layerFlag, "--" + s.flag()})
		}
	}
	return c
}

// configFile returns the name of the file, or nothing.
func (f *serveFlags) configFile(h configHost) string {
	if f.file != "" {
		return f.file
	}
	for _, entry := range h.environ {
		if file, found := strings.CutPrefix(entry, configVariable+"="); found {
			return file
		}
	}
	return ""
}

// assign makes texts the value of a setting, or notes why it cannot be.
func (c *loadedConfig) assign(s setting, texts []string, from origin) {
	if err := s.set(texts); err != nil {
		c.fault(from.where(s.key), strings.Join(texts, ","), err.Error(), "see --"+s.flag()+" in hairpin serve --help")
		return
	}
	c.origins[s.key] = from
}

// where names the place at which a setting can be mended.
func (o origin) where(key string) string {
	switch o.layer {
	case layerFile:
		return o.name + ": " + key
	case layerDefault:
		return "--" + setting{key: key}.flag()
	}
	return o.name
}

func (c *loadedConfig) fault(where, value, problem, hint string) {
	c.faults = append(c.faults, &configFault{where, value, problem, hint})
}

func (c *loadedConfig) loadFile(h configHost, name string, table []setting) {
	text, err := readConfigFile(h, name)
	if err != nil {
		c.fault("--config", name, err.Error(), "it takes the name of a YAML file")
		return
	}
	entries, err := parseConfigFile(name, text)
	if err != nil {
		c.faults = append(c.faults, err)
		return
	}
	first := make(map[string]string, len(entries)) // where a key stands first
	for _, e := range entries {
		i := slices.IndexFunc(table, func(s setting) bool { return s.key == e.key })
		switch {
		case first[e.key] != "":
			c.fault(e.where, e.key, "the key stands there already, at "+first[e.key], "leave one of the two out")
		case i < 0:
			c.fault(e.where, e.key, "unknown key", hintForKey(e.key, table))
		case e.err != nil:
			c.fault(e.where, e.key, e.err.Error(), "")
		default:
			c.assign(table[i], e.texts, origin{layerFile, e.where})
		}
		first[e.key] = e.where
	}
}

func readConfigFile(h configHost, name string) ([]byte, error) {
	f, err := h.open(name)
	if err != nil {
		return nil, reasonOfPathError(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, reasonOfPathError(err)
	}
	if len(text) > maxConfigBytes {
		return nil, errors.New("is longer than 64 KiB")
	}
	return text, nil
}

// reasonOfPathError drops the path from an error: it is told already, or is secret if
// someone took the flag for that of the secret itself.
func reasonOfPathError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// hintForKey tells what an unknown key was probably meant to be.
func hintForKey(key string, table []setting) string {
	switch key {
	case "secret", "secrets":
		return "secrets do not stand in the configuration: name a file of them with secret_file, or set " + secretsVariable
	case "api_key", "api_keys":
		return "API keys do not stand in the configuration: name a file of them with api_keys_file, or set " + apiKeysVariable
	case "config", "print_config":
		return "it is a flag only"
	}
	if near := nearest(strings.ReplaceAll(strings.ToLower(key), "-", "_"), keysOf(table)); near != "" {
		return "did you mean " + near + "?"
	}
	return "hairpin serve --print-config prints them all"
}

func keysOf(table []setting) []string {
	keys := make([]string, len(table))
	for i, s := range table {
		keys[i] = s.key
	}
	return keys
}

func (c *loadedConfig) loadEnvironment(environ []string, table []setting) {
	byVariable := make(map[string]setting, len(table))
	for _, s := range table {
		byVariable[s.variable()] = s
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		s, known := byVariable[name]
		switch {
		case !strings.HasPrefix(name, variablePrefix) || text == "": // An empty variable is as good as none.
		case name == secretsVariable:
			c.loadSecrets(text)
		case name == apiKeysVariable:
			c.apiKeys = func() io.Reader { return strings.NewReader(text) }
		case known && s.isList():
			c.assign(s, splitList(text), origin{layerEnvironment, name})
		case known:
			c.assign(s, []string{text}, origin{layerEnvironment, name})
		case !isOtherVariable(name):
			c.warnings = append(c.warnings, fmt.Sprintf("%s is set, but is no variable of hairpin serve%s", oneLine(name), orNearest(name, table)))
		}
	}
}

// otherVariables are set for other verbs and the tests, or by Kubernetes in every
// container beside a service that is called hairpin.
var otherVariables = regexp.MustCompile(`^HAIRPIN_(CONFIG|API_KEY|BIN|TEST_.*|PORT)$|_SERVICE_(HOST|PORT)(_|$)|_PORT_[0-9]+_(TCP|UDP)(_|$)`)

func isOtherVariable(name string) bool { return otherVariables.MatchString(name) }

func orNearest(name string, table []setting) string {
	names := []string{secretsVariable, apiKeysVariable}
	for _, s := range table {
		names = append(names, s.variable())
	}
	if near := nearest(strings.ToUpper(name), names); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

func (c *loadedConfig) loadSecrets(text string) {
	secrets, err := credentials.ParseSecretList(text)
	if err != nil {
		c.fault(secretsVariable, "", err.Error(), secretHint(err))
		return
	}
	c.secrets = secrets
}

// nearest returns the candidate that differs from word by the fewest letters, if those
// are few enough to be a slip.
func nearest(word string, candidates []string) string {
	slip := min(3, len(word)/2)
	best, distance := "", slip+1
	for _, candidate := range candidates {
		if len(word) > 2*len(candidate) {
			continue
		}
		if d := editDistance(word, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance is the number of letters to insert, remove or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
