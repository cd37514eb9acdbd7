package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spf13/cobra"
)

// checkRoundTrip prints a configuration and loads it again, and wants the same.
func checkRoundTrip(t testing.TB, c *loadedConfig) {
	t.Helper()
	var printed bytes.Buffer
	if err := c.print(&printed, settings{}); err != nil {
		t.Fatal(err)
	}
	again := serveFlagsOf(t, "--config", configName).load(testHost(configFile(printed.String())))
	if len(again.faults) > 0 {
		t.Fatalf("what was printed does not load: %v\n%s", again.faults, printed.String())
	}
	other := again.table()
	for i, s := range c.table() {
		if !slices.Equal(s.value.texts(), other[i].value.texts()) {
			t.Errorf("%s was %q and is %q\n%s", s.key, s.value.texts(), other[i].value.texts(), printed.String())
		}
	}
}

// TestPrintedConfigLoadsAgain tries values that YAML takes for something else.
func TestPrintedConfigLoadsAgain(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	texts := []string{
		"null", "~", "true", "yes", "no", "on", "1", "01", "0x1f", "1_000", "1e3", ".inf", "1h", "-", "-1", "1.5",
		"", " ", " x ", "a b", "#", "a # b", "a: b", "[", "{}", "*a", "&a", "!!str", "'", `"`, `\`, "%", "@", "`",
		"é", "日本", "\u2028", "\U0001F600", "\uFEFF", "::1", ":3478", "[::]:3478", "2001:db8::/32", "=", "<<", "---", "...",
	}
	for _, text := range texts {
		c := &loadedConfig{serveConfig: newServeConfig()}
		c.Realm, c.AllowOrigin = text, []string{"x" + text, "y"}
		checkRoundTrip(t, c)
	}
	for range 300 {
		c := &loadedConfig{serveConfig: newServeConfig()}
		for _, s := range c.table() {
			entries := make([]string, random.IntN(3)+1)
			for i := range entries {
				entries[i] = texts[random.IntN(len(texts))] + texts[random.IntN(len(texts))]
			}
			_ = s.set(entries) // What a setting does not take leaves it as it was.
		}
		checkRoundTrip(t, c)
	}
}

func TestPrintSaysWhereValuesComeFrom(t *testing.T) {
	h := testHost(configFile("realm: file\ndemo: false\n"),
		"HAIRPIN_SECRETS="+secretOne+","+secretTwo, "HAIRPIN_API_KEYS=alice:"+apiKeyOne, "HAIRPIN_LOG_LEVEL=debug")
	c := serveFlagsOf(t, "--config", configName, "--listen=127.0.0.1:0", "--listen=[::1]:0").load(h)
	s, err := c.resolve(h)
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := c.print(&printed, s); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(printed.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	for _, want := range []string{
		"# Network",
		`listen: ["127.0.0.1:0", "[::1]:0"] # flag --listen`,
		"realm: file # file /hairpin.yaml:1:1",
		"# secrets: 2, env HAIRPIN_SECRETS",
		"# API keys: 1",
		"demo: false # file /hairpin.yaml:2:1",
		"log_level: debug # env HAIRPIN_LOG_LEVEL",
		"log_format: text # default",
		"drain_timeout: 30s # default",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, printed.String())
		}
	}
}

// TestNoSecretIsPrinted looks for secrets and keys in everything that is made of a
// configuration, good or bad, wherever they stand (SEC-39, SEC-43).
func TestNoSecretIsPrinted(t *testing.T) {
	files := fstest.MapFS{
		"hairpin.yaml": {Data: []byte("secrets: [" + secretOne + "]\nsecret: " + secretOne + "\napi_keys: {alice: " + apiKeyOne + "}\n"), Mode: 0o644},
		"syntax.yaml":  {Data: []byte("secrets: [" + secretOne + "\n" + secretTwo + "\n"), Mode: 0o644},
		"short":        {Data: []byte(secretOne + "\n" + secretTwo[:20] + "\n"), Mode: 0o644},
		"bad-keys":     {Data: []byte(apiKeyOne + "\n"), Mode: 0o644},
	}
	for name, h := range map[string]configHost{
		"good":      testHost(files, "HAIRPIN_SECRETS="+secretOne+","+secretTwo, "HAIRPIN_API_KEYS=alice:"+apiKeyOne),
		"bad":       testHost(files, "HAIRPIN_SECRETS="+secretOne+","+secretTwo[:20], "HAIRPIN_API_KEYS="+apiKeyOne),
		"misnamed":  testHost(files, "HAIRPIN_SECRET="+secretOne, "HAIRPIN_APIKEYS="+apiKeyOne),
		"both":      testHost(files, "HAIRPIN_SECRETS="+secretOne, "HAIRPIN_SECRET_FILE=/secrets"),
		"misplaced": testHost(files, "HAIRPIN_SECRET_FILE="+secretOne, "HAIRPIN_API_KEYS_FILE=alice:"+apiKeyOne),
	} {
		for _, args := range [][]string{
			{},
			{"--config=/hairpin.yaml"},
			{"--config=/syntax.yaml"},
			{"--secret-file=/secrets", "--api-keys-file=/api-keys"},
			{"--secret-file=/short", "--api-keys-file=/bad-keys"},
		} {
			c := serveFlagsOf(t, args...).load(h)
			s, err := c.resolve(h)
			var out bytes.Buffer
			if name != "misplaced" { // There the operator sees what stands where the name of a file should.
				if err := c.print(&out, s); err != nil {
					t.Fatal(err)
				}
			}
			fmt.Fprintln(&out, err, s.Warnings)
			if err != nil && printConfigFaults(&out, err) == nil {
				t.Error("faults end the command well")
			}
			for _, v := range []any{s, &s, s.Secrets, c.secrets, c.apiKeys, c.faults, c.warnings} {
				fmt.Fprintf(&out, "%v %+v %#v\n", v, v, v)
			}
			for _, secret := range []string{secretOne, secretTwo, secretTwo[:20], apiKeyOne} {
				if strings.Contains(out.String(), secret) {
					t.Errorf("%s %q: %q shows in\n%s", name, args, secret, out.String())
				}
			}
		}
	}
}

func TestUsage(t *testing.T) {
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "serve"}
	addServeFlags(cmd)
	cmd.SetOut(&out)
	if err := cmd.Usage(); err != nil {
		t.Fatal(err)
	}
	for _, s := range newServeConfigTable(t) {
		if !strings.Contains(out.String(), "  --"+s.flag()+argOf(s)+" ") {
			t.Errorf("--%s is not explained", s.flag())
		}
	}
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > helpColumns || strings.HasSuffix(line, " ") {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	for _, want := range []string{
		"  --relay-ports MIN-MAX             ports of relayed transport addresses (default 49152-65535)\n",
		"\nPeers\n", "(default :3478)", "--config FILE", "--print-config", "--demo[=BOOL]",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
