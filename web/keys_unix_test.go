//go:build unix

package web

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// SEC-43: a file that others may read is read, and warned of.
func TestKeysFileMode(t *testing.T) {
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o644: true, 0o602: true} {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte("alice:"+aliceKey), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, warning, err := ReadKeysFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if (warning != "") != warns || warns && !strings.Contains(warning, "chmod 600 "+file) {
			t.Errorf("mode %04o: warning %q", mode, warning)
		}
	}
}
