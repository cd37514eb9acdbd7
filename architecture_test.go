// Package hairpin_test checks what holds for the module as a whole: who may import
// whom, and that every package says why it exists.
package hairpin_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// own lists, for every package, which other packages of this module it may import.
// Dependencies point down; what a package may not see, it cannot come to depend on.
var own = map[string][]string{
	"credentials":        {},
	"turnserver/wire":    {},
	"turnserver/udp":     {},
	"turnserver/stream":  {"turnserver/wire"},
	"turnserver/relay":   {"turnserver/udp", "turnserver/wire"},
	"turnserver/control": {"credentials", "turnserver/relay", "turnserver/wire"},
	"turnserver": {
		"credentials", "turnserver/control", "turnserver/limit", "turnserver/nat", "turnserver/offload",
		"turnserver/relay", "turnserver/stream", "turnserver/udp", "turnserver/wire",
	},
	"turnserver/limit":       {},
	"turnserver/offload":     {"turnserver/limit", "turnserver/offload/xdp", "turnserver/relay"},
	"turnserver/offload/xdp": {"turnserver/limit"},
	"turnserver/nat":         {"turnserver/wire"},
	"turnserver/probe":       {"turnserver/nat", "turnserver/udp"},
	"turnserver/bench":       {"turnserver/stream", "turnserver/udp", "turnserver/wire"},
	"signaling":              {},
	"signaling/jointoken":    {},
	"web":                    {"credentials", "web/selftest"},
	"web/selftest":           {},
	"cmd/hairpin": {
		"credentials", "signaling", "signaling/jointoken", "turnserver", "turnserver/bench",
		"turnserver/control", "turnserver/limit", "turnserver/nat", "turnserver/offload", "turnserver/probe", "turnserver/relay", "turnserver/stream", "turnserver/wire", "web", "web/selftest",
	},
}

// libraries lists who may import which library, and why nobody else.
var libraries = map[string]struct {
	users []string
	why   string
}{
	"github.com/pion/stun":         {[]string{"turnserver/control", "turnserver/probe", "turnserver/bench", "turnserver"}, "the data plane reads bytes in place"},
	"github.com/pion/turn":         {[]string{"turnserver/probe", "turnserver/bench"}, "only its client is used; the server is ours"},
	"github.com/pion/logging":      {[]string{"turnserver/probe", "turnserver/bench"}, "it silences the TURN client"},
	"github.com/pion/sdp":          {[]string{"signaling"}, "SDP means something to signaling alone"},
	"github.com/coder/websocket":   {[]string{"signaling"}, "WebSockets carry signaling alone"},
	"github.com/go-chi/chi":        {[]string{"web"}, "the route table is in one place"},
	"github.com/spf13/cobra":       {[]string{"cmd/hairpin"}, "the command line is no one else's business"},
	"github.com/spf13/pflag":       {[]string{"cmd/hairpin"}, "the command line is no one else's business"},
	"github.com/goccy/go-yaml":     {[]string{"cmd/hairpin"}, "configuration files are read once, at the top"},
	"github.com/prometheus":        {[]string{"web", "cmd/hairpin"}, "the packages count; the top exports"},
	"github.com/pion/dtls":         {[]string{"turnserver/probe"}, "only servers of others are asked over DTLS yet"},
	"github.com/cilium/ebpf":       {[]string{"turnserver/offload", "turnserver/offload/xdp", "turnserver/bench"}, "the kernel's data plane, and the sink that measures it"},
	"github.com/vishvananda":       {[]string{"turnserver/offload"}, "routes and neighbours are the kernel data plane's"},
	"github.com/golang-jwt/jwt":    {[]string{"signaling/jointoken"}, "tokens are checked in one place"},
	"github.com/MicahParks/jwkset": {[]string{"signaling/jointoken"}, "tokens are checked in one place"},
	"golang.org/x/sys":             {[]string{"turnserver/udp", "turnserver/stream", "turnserver/offload", "turnserver/offload/xdp", "turnserver/bench", "turnserver/probe"}, "system calls stay where platforms differ"},
	"golang.org/x/time/rate":       {[]string{"signaling", "web"}, "rates are bounded at the edge"},
	"github.com/rogpeppe/go-inte":  {nil, "script tests only"},
}

const module = "hairpin/"

// source is what the checks need to know of a package.
type source struct {
	imports  []string
	comments int // package comments
	files    int
}

// packages returns every package of the module by its path, without tests.
func packages(t *testing.T) map[string]*source {
	t.Helper()
	found := make(map[string]*source)
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || len(d.Name()) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		return note(found, filepath.ToSlash(file))
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("found %d packages: %v", len(found), err)
	}
	return found
}

func note(found map[string]*source, file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	dir := path.Dir(file)
	if found[dir] == nil {
		found[dir] = &source{}
	}
	p := found[dir]
	p.files++
	if parsed.Doc != nil {
		p.comments++
	}
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		p.imports = append(p.imports, name)
	}
	return nil
}

func TestImportsPointDown(t *testing.T) {
	for name, p := range packages(t) {
		allowed, listed := own[name]
		if !listed && !isTestHelper(name) {
			t.Errorf("%s is not in the table of packages: say whom it may import", name)
			continue
		}
		for _, imported := range p.imports {
			if below, ours := strings.CutPrefix(imported, module); ours && !isTestHelper(name) && !slices.Contains(allowed, below) {
				t.Errorf("%s imports %s, which it may not see", name, below)
			}
		}
	}
}

// isTestHelper reports whether only tests import a package.
func isTestHelper(name string) bool { return strings.HasSuffix(path.Base(name), "test") }

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	for name, p := range packages(t) {
		for _, imported := range p.imports {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") || isTestHelper(name) {
				continue // ours, or the standard library's
			}
			checkLibrary(t, name, imported)
		}
	}
}

func checkLibrary(t *testing.T, name, imported string) {
	t.Helper()
	for prefix, rule := range libraries {
		if strings.HasPrefix(imported, prefix) {
			if !slices.Contains(rule.users, name) {
				t.Errorf("%s imports %s: %s", name, imported, rule.why)
			}
			return
		}
	}
	t.Errorf("%s imports %s, which no rule allows", name, imported)
}

func TestEveryPackageSaysWhyItExists(t *testing.T) {
	for name, p := range packages(t) {
		if p.comments != 1 {
			t.Errorf("%s has %d package comments in %d files, want one", name, p.comments, p.files)
		}
	}
}
