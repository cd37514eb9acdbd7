package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// scripts are what users type and what they read, as the whole program does it.
const scripts = "../../testdata/cli"

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"hairpin": main})
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob(scripts + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no script in %s: %v", scripts, err)
	}
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"screen":     screen,
			"stdout2env": stdoutToEnv,
		},
	})
}

// exits runs a program and wants an exit code: exits 2 hairpin bogus.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("cannot run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// screen wants stdout to fit a terminal of 24 lines of 80 columns.
func screen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: screen")
	}
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), "\n")
	if len(lines) > 23 { // One is left for the prompt.
		ts.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			ts.Fatalf("%d columns: %s", len(line), line)
		}
	}
}

// stdoutToEnv takes a text out of the JSON object on stdout: stdout2env VARIABLE MEMBER.
func stdoutToEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stdout2env VARIABLE MEMBER")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	text, ok := object[args[1]].(string)
	if !ok {
		ts.Fatalf("stdout has no text %q", args[1])
	}
	ts.Setenv(args[0], text)
}

// hairpin is one run of the program inside the test.
type hairpin struct {
	stdin          string
	env            map[string]string
	transport      http.RoundTripper
	buildInfo      *debug.BuildInfo
	stdout, stderr bytes.Buffer
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (h *hairpin) deps() deps {
	return deps{
		stdin:     strings.NewReader(h.stdin),
		stdout:    &h.stdout,
		stderr:    &h.stderr,
		getenv:    func(name string) string { return h.env[name] },
		now:       func() time.Time { return noon },
		transport: h.transport,
		buildInfo: func() (*debug.BuildInfo, bool) { return h.buildInfo, h.buildInfo != nil },
	}
}

func (h *hairpin) run(t *testing.T, args ...string) int {
	t.Helper()
	code := run(t.Context(), h.deps(), args)
	t.Logf("hairpin %q: exit code %d\n%s%s", args, code, &h.stdout, &h.stderr)
	return code
}

// TestErrorsWithoutCode: what a verb returns is a fault, and what the parser of the
// command line returns is wrong usage.
func TestErrorsWithoutCode(t *testing.T) {
	verb := func(err error) func(*cobra.Command, []string) error {
		return func(*cobra.Command, []string) error { return err }
	}
	plain := errors.New("disk full")
	tests := []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{plain, exitFault},
		{faultError(plain, ""), exitFault},
		{usageError(plain, ""), exitUsage},
		{unreachableError(plain, ""), exitUnreachable},
		{errFound(), exitFault},
	}
	for _, tt := range tests {
		cmd := &cobra.Command{Use: "x", RunE: verb(tt.err), SilenceErrors: true, SilenceUsage: true}
		markFaults(cmd)
		cmd.SetArgs(nil)
		err := cmd.ExecuteContext(context.Background())
		var exit *exitError
		switch {
		case tt.err == nil && err != nil:
			t.Errorf("nil became %v", err)
		case tt.err != nil && (!errors.As(err, &exit) || exit.code != tt.want):
			t.Errorf("%v became %v", tt.err, err)
		}
	}
}

func TestVerifyUnreadableStdin(t *testing.T) {
	h := hairpin{env: map[string]string{secretsVariable: testSecret}}
	d := h.deps()
	d.stdin = iotest.ErrReader(errors.New("terminal is gone"))
	if code := run(t.Context(), d, []string{"credentials", "verify", "9:u", "-"}); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	if want := "hairpin: cannot read the password: terminal is gone\n"; h.stderr.String() != want {
		t.Errorf("stderr %q, want %q", &h.stderr, want)
	}
}

// fullDisk is a stdout that takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestResultNotWritten(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"version", "--json"}} {
		var h hairpin
		d := h.deps()
		d.stdout = fullDisk{}
		if code := run(t.Context(), d, args); code != exitFault {
			t.Errorf("%q: exit code %d, want %d", args, code, exitFault)
		}
		if !strings.Contains(h.stderr.String(), "no space left") {
			t.Errorf("%q: stderr %q", args, &h.stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	h := hairpin{buildInfo: &debug.BuildInfo{
		Main:     debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0a1b2c"}, {Key: "vcs.modified", Value: "true"}},
	}}
	if code := h.run(t, "version"); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if want := "hairpin  v1.2.3\ncommit   0a1b2c, modified\ngo       go1."; !strings.HasPrefix(h.stdout.String(), want) {
		t.Errorf("got %q, want %q", &h.stdout, want)
	}
}

func TestOneLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain, ünicode", "plain, ünicode"},
		{"\n2026 ERROR root login", `"\n2026 ERROR root login"`},
		{"\x1b[31mred", `"\x1b[31mred"`},
		{"\u202eright to left", `"\u202eright to left"`},
		{"%s%n", "%s%n"},
		{"\xff", "\uFFFD"},
	}
	for _, tt := range tests {
		if got := oneLine(tt.in); got != tt.want {
			t.Errorf("oneLine(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// writeFile writes a file that its owner alone can read, and returns its name.
func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
