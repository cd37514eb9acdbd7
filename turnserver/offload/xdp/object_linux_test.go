//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// built returns what `go generate` noted of the object: the compiler and the hash of
// the sources.
func built(t *testing.T) (compiler, hash string) {
	t.Helper()
	note, err := os.ReadFile("c/BUILT")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(note), "\n")
	if len(lines) < 2 {
		t.Fatalf("c/BUILT is %q", note)
	}
	return lines[0], strings.Fields(lines[1])[0]
}

// TestObjectIsOfTheseSources fails when the C changed and `go generate` was forgotten.
func TestObjectIsOfTheseSources(t *testing.T) {
	sum := sha256.New()
	for _, pattern := range []string{"c/*.c", "c/*.h"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sum.Write(source)
		}
	}
	if _, hash := built(t); hash != hex.EncodeToString(sum.Sum(nil)) {
		t.Error("the object is not of these sources: run go generate")
	}
}

// TestObjectIsReproducible compiles again, where there is the same compiler.
func TestObjectIsReproducible(t *testing.T) {
	compiler, _ := built(t)
	version, err := exec.Command("clang", "--version").Output()
	if err != nil {
		lacks(t, err.Error())
	}
	if here, _, _ := strings.Cut(string(version), "\n"); here != compiler {
		t.Skipf("the object is of %q, here is %q", compiler, here)
	}
	object := filepath.Join(t.TempDir(), "again.o")
	if out, err := exec.Command("clang", append(flags(t), "-c", "c/hairpin.c", "-o", object)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	again, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := loadKernel()
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range committed.Programs {
		other := again.Programs[name]
		if other == nil || !slices.Equal(listing(program.Instructions), listing(other.Instructions)) {
			t.Errorf("%s is not what compiles: run go generate", name)
		}
	}
}

// flags returns the compiler's, as generate.go gives them and bpf2go adds to them.
func flags(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("generate.go")
	if err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`(?m)^//go:generate go tool bpf2go .* -- (.*)$`).FindSubmatch(source)
	if own == nil {
		t.Fatal("generate.go does not say how the object is made")
	}
	return append([]string{"-target", "bpfel", "-D__TARGET_ARCH_x86"}, strings.Fields(string(own[1]))...)
}

// listing returns instructions without what depends on where they were compiled.
func listing(all asm.Instructions) []string {
	lines := make([]string, 0, len(all))
	for _, i := range all {
		lines = append(lines, fmt.Sprint(uint32(i.OpCode), i.Dst, i.Src, i.Offset, i.Constant, i.Reference()))
	}
	return lines
}

// TestReasonsAreThePrograms compares the two lists of reasons.
func TestReasonsAreThePrograms(t *testing.T) {
	header, err := os.ReadFile("c/reason.h")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\t([A-Z_0-9]+),$`).FindAllStringSubmatch(string(header), -1)
	if len(names) != int(reasons)+1 {
		t.Fatalf("the program has %d reasons and a number of them, not %d", len(names), reasons)
	}
	for _, why := range Reasons() {
		if want := strings.ToLower(strings.ReplaceAll(names[why][1], "_", "-")); why.String() != want {
			t.Errorf("%d is %q here and %q in the program", why, why, want)
		}
	}
	if s := Reason(reasons).String(); s != "unknown" {
		t.Errorf("there is another: %q", s)
	}
}
