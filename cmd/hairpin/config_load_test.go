package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spf13/cobra"
)

// Secrets that nothing printed may hold.
const (
	secretOne   = "wP3tWqVb7mJxZ5cY1nR8sK4fLd0gH6uE9aTiXoBvQyM"
	secretTwo   = "Jm2kXz7rUe5vYb9cNq4wLs8tPh1fGd3aKi6oRj0nEuB"
	apiKeyOne   = "K7dR2mXqP9sVbN4wTzL6"
	configName  = "/hairpin.yaml"
	secretsName = "/secrets"
	keysName    = "/api-keys"
)

// testHost is a host with the two files that configurations name, and files.
func testHost(files fstest.MapFS, environ ...string) configHost {
	all := fstest.MapFS{
		"secrets":  {Data: []byte(secretOne + "\n" + secretTwo + "\n"), Mode: 0o600},
		"api-keys": {Data: []byte("alice:" + apiKeyOne + "\n"), Mode: 0o600},
	}
	for name, file := range files {
		all[name] = file
	}
	return configHost{
		environ: environ,
		open:    func(name string) (fs.File, error) { return all.Open(strings.TrimPrefix(name, "/")) },
		addrs: func() ([]netip.Addr, error) {
			return []netip.Addr{
				netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"),
				netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("fe80::1"),
			}, nil
		},
		checkKeys: func(r io.Reader) (int, error) {
			text, err := io.ReadAll(r)
			if !strings.Contains(string(text), ":") {
				return 0, errors.New("line 1: no name\nline 2: no key")
			}
			return strings.Count(string(text), ":"), err
		},
	}
}

func configFile(text string) fstest.MapFS {
	return fstest.MapFS{strings.TrimPrefix(configName, "/"): {Data: []byte(text), Mode: 0o644}}
}

// serveFlagsOf parses a command line as hairpin serve does.
func serveFlagsOf(t testing.TB, args ...string) *serveFlags {
	t.Helper()
	cmd := &cobra.Command{Use: "serve"}
	flags := addServeFlags(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

// faultTexts returns each fault of an error that resolve returned.
func faultTexts(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var texts []string
	for _, fault := range err.(interface{ Unwrap() []error }).Unwrap() {
		var f *configFault
		if !errors.As(fault, &f) {
			t.Errorf("%v is no fault", fault)
		}
		texts = append(texts, fault.Error())
	}
	return texts
}

func TestPrecedence(t *testing.T) {
	const file = "realm: file\nallow_peer: [10.0.0.0/8]\nmax_channels: 1\n"
	for _, tt := range []struct {
		name      string
		args      []string
		environ   []string
		realm     string
		origin    string
		allowPeer []string
	}{
		{
			name: "default", args: nil, realm: "hairpin", origin: "default",
		},
		{
			name: "file", args: []string{"--config", configName},
			realm: "file", origin: "file /hairpin.yaml:1:1", allowPeer: []string{"10.0.0.0/8"},
		},
		{
			name: "file of the environment", environ: []string{"HAIRPIN_CONFIG=" + configName},
			realm: "file", origin: "file /hairpin.yaml:1:1", allowPeer: []string{"10.0.0.0/8"},
		},
		{
			name: "environment", args: []string{"--config", configName},
			environ: []string{"HAIRPIN_REALM=env", "HAIRPIN_ALLOW_PEER=192.0.2.1, 192.0.2.2"},
			realm:   "env", origin: "env HAIRPIN_REALM", allowPeer: []string{"192.0.2.1", "192.0.2.2"},
		},
		{
			name: "empty variable is none", args: []string{"--config", configName},
			environ: []string{"HAIRPIN_REALM=", "HAIRPIN_ALLOW_PEER="},
			realm:   "file", origin: "file /hairpin.yaml:1:1", allowPeer: []string{"10.0.0.0/8"},
		},
		{
			name: "flags", args: []string{"--config", configName, "--realm=x", "--realm", "flag", "--allow-peer", "192.0.2.3", "--allow-peer=192.0.2.4,192.0.2.5"},
			environ: []string{"HAIRPIN_REALM=env", "HAIRPIN_ALLOW_PEER=192.0.2.1"},
			realm:   "flag", origin: "flag --realm", allowPeer: []string{"192.0.2.3", "192.0.2.4", "192.0.2.5"},
		},
		{
			name: "an empty flag empties a list", args: []string{"--config", configName, "--allow-peer="},
			realm: "file", origin: "file /hairpin.yaml:1:1", allowPeer: nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(configFile(file), tt.environ...)
			c := serveFlagsOf(t, tt.args...).load(h)
			if _, err := c.resolve(h); err != nil {
				t.Fatal(err)
			}
			if c.Realm != tt.realm || c.origins["realm"].String() != tt.origin {
				t.Errorf("realm %q from %v, want %q from %s", c.Realm, c.origins["realm"], tt.realm, tt.origin)
			}
			if !slices.Equal(c.AllowPeer, tt.allowPeer) {
				t.Errorf("allow_peer %q, want %q", c.AllowPeer, tt.allowPeer)
			}
		})
	}
}

// TestEverySettingInEveryLayer sets each key in a file, a variable and a flag.
func TestEverySettingInEveryLayer(t *testing.T) {
	for i, row := range newServeConfigTable(t) {
		texts := otherTexts(row)
		text := strings.Join(texts, ",")
		for source, c := range map[string]*loadedConfig{
			"file": serveFlagsOf(t, "--config", configName).load(testHost(configFile(row.key + ": " + text))),
			"env":  serveFlagsOf(t).load(testHost(nil, row.variable()+"="+text)),
			"flag": serveFlagsOf(t, "--"+row.flag()+"="+text).load(testHost(nil)),
		} {
			if got := c.table()[i].value.texts(); !slices.Equal(got, row.value.texts()) || len(c.faults) > 0 {
				t.Errorf("%s of %s: %q, want %q; %v", row.key, source, got, row.value.texts(), c.faults)
			}
			if got, _, _ := strings.Cut(c.origins[row.key].String(), " "); got != source {
				t.Errorf("%s of %s says it is of %s", row.key, source, got)
			}
		}
	}
}

func TestSwitchesWithoutValue(t *testing.T) {
	c := serveFlagsOf(t, "--demo", "--metrics-open", "--strict-expiry=false").load(testHost(nil))
	if c.Demo == nil || !*c.Demo || !c.MetricsOpen || c.StrictExpiry {
		t.Errorf("demo %v, metrics_open %v, strict_expiry %v", c.Demo, c.MetricsOpen, c.StrictExpiry)
	}
}

func TestUnknownVariables(t *testing.T) {
	h := testHost(nil, "PATH=/bin", "HAIRPINS=1",
		"HAIRPIN_RELAY_PORT=1-2", "HAIRPIN_SECRET="+secretOne, "HAIRPIN_FROBNICATE=1", "HAIRPIN_realm=x",
		"HAIRPIN_API_KEY=k", "HAIRPIN_TEST_FULL=1", "HAIRPIN_BIN=/bin/hairpin", "HAIRPIN_EMPTY=",
		"HAIRPIN_PORT=tcp://10.0.0.1:8080", "HAIRPIN_SERVICE_HOST=10.0.0.1", "HAIRPIN_SERVICE_PORT_HTTP=8080",
		"HAIRPIN_PORT_8080_TCP_ADDR=10.0.0.1", "HAIRPIN_WEB_SERVICE_PORT=1")
	want := []string{
		"HAIRPIN_RELAY_PORT is set, but is no variable of hairpin serve; did you mean HAIRPIN_RELAY_PORTS?",
		"HAIRPIN_SECRET is set, but is no variable of hairpin serve; did you mean HAIRPIN_SECRETS?",
		"HAIRPIN_FROBNICATE is set, but is no variable of hairpin serve",
		"HAIRPIN_realm is set, but is no variable of hairpin serve; did you mean HAIRPIN_REALM?",
	}
	s, err := serveFlagsOf(t).load(h).resolve(h)
	if err != nil || !slices.Equal(s.Warnings, want) {
		t.Errorf("%v; warnings:\n%s", err, strings.Join(s.Warnings, "\n"))
	}
}

const configFiles = "../../testdata/config/"

func configFilesLike(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(configFiles + pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file %s%s: %v", configFiles, pattern, err)
	}
	return files
}

func TestGoodFiles(t *testing.T) {
	for _, file := range configFilesLike(t, "good-*.yaml") {
		h := testHost(nil)
		h.open = func(name string) (fs.File, error) { return os.Open(name) }
		c := serveFlagsOf(t, "--config", file).load(h)
		if len(c.faults) > 0 {
			t.Errorf("%s: %v", file, c.faults)
		}
		checkRoundTrip(t, c)
	}
}

func TestBadFiles(t *testing.T) {
	for _, file := range configFilesLike(t, "bad-*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			h := testHost(nil)
			h.open = func(name string) (fs.File, error) { return os.Open(name) }
			_, err := serveFlagsOf(t, "--config", file).load(h).resolve(h)
			faults := faultTexts(t, err)
			want := wantedFaults(t, file)
			if len(faults) != len(want) {
				t.Errorf("%d faults, want %d:\n%s", len(faults), len(want), strings.Join(faults, "\n"))
			}
			for i := range min(len(faults), len(want)) {
				fault := strings.NewReplacer(file+":", "", file+" ", "").Replace(faults[i])
				if !strings.HasPrefix(strings.TrimSpace(fault), want[i]) {
					t.Errorf("got  %s\nwant %s", fault, want[i])
				}
				if strings.Contains(fault, "hunter2") {
					t.Errorf("a fault shows what may be a secret: %s", fault)
				}
			}
		})
	}
}

// wantedFaults returns the comments of a file that say what is wrong with it.
func wantedFaults(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(text)) {
		if fault, found := strings.CutPrefix(line, "# want: "); found {
			want = append(want, strings.TrimSpace(fault))
		}
	}
	if len(want) == 0 {
		t.Fatalf("%s wants no fault", file)
	}
	return want
}

func TestConfigFileThatCannotBeRead(t *testing.T) {
	h := testHost(fstest.MapFS{
		"big":    {Data: bytes.Repeat([]byte("# \n"), maxConfigBytes/3+1)},
		"dir/in": {},
	})
	for file, want := range map[string]string{
		"/missing": `--config "/missing": file does not exist; it takes the name of a YAML file`,
		"/big":     `--config "/big": is longer than 64 KiB; it takes the name of a YAML file`,
		"/dir":     `--config "/dir": invalid argument; it takes the name of a YAML file`,
	} {
		_, err := serveFlagsOf(t, "--config", file).load(h).resolve(h)
		if got := faultTexts(t, err); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", file, got)
		}
	}
}

// TestNearest holds the distance against cases worked out by hand.
func TestNearest(t *testing.T) {
	keys := keysOf(newServeConfigTable(t))
	for word, want := range map[string]string{
		"listn": "listen", "extrenal_address": "external_address", "maxchannels": "max_channels",
		"htp": "http", "a": "", "": "", "tls_certificate": "", strings.Repeat("listen", 1000): "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzConfigFile: whatever a file holds, what is taken from it prints as a file that
// means the same, and every fault names a place in it.
func FuzzConfigFile(f *testing.F) {
	for _, file := range configFilesLike(f, "*.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<10 {
			t.Skip("longer than the faults of a parser need")
		}
		c := serveFlagsOf(t, "--config", configName).load(testHost(configFile(string(text))))
		for _, fault := range c.faults {
			if !strings.HasPrefix(fault.Error(), configName) {
				t.Errorf("a fault without its place: %v", fault)
			}
		}
		checkRoundTrip(t, c)
	})
}
