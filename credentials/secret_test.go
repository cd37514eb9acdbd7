package credentials_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"hairpin/credentials"
)

const (
	newKey = "nEw5f0c1d2e3b4a5968778695a4b3c2d1e0f"
	oldKey = "oLd0a1b2c3d4e5f60718293a4b5c6d7e8f90"
)

func TestNewSecret(t *testing.T) {
	tests := []struct {
		name, secret string
		want         error
	}{
		{"random hex", "0f1e2d3c4b5a69788796a5b4c3d2e1f01029384756", nil},
		{"longest", strings.Repeat(newKey, 28) + "0123456789abcdef", nil},
		{"passphrase", "seven quiet ünicorns count wooden ladders", nil},
		{"SEC-14 north", "north", credentials.ErrSecretTooShort},
		{"SEC-14 secret", "secret", credentials.ErrSecretTooShort},
		{"SEC-14 16 bytes", "0f1e2d3c4b5a6978", credentials.ErrSecretTooShort},
		{"SEC-14 31 bytes", newKey[:31], credentials.ErrSecretTooShort},
		{"32 bytes", newKey[:32], nil},
		{"empty", "", credentials.ErrSecretTooShort},
		{"too long", strings.Repeat(newKey, 29), credentials.ErrSecretTooLong},
		{"one letter", strings.Repeat("x", 40), credentials.ErrSecretExample},
		{"repeated word", "secretsecretsecretsecretsecretsec", credentials.ErrSecretExample},
		{"repeated digits", "0123456789abcdef0123456789abcdef", credentials.ErrSecretExample},
		{"placeholder", "Please-CHANGE-ME-before-production", credentials.ErrSecretExample},
		{"trailing newline", newKey + "\n", credentials.ErrSecretNotText},
		{"leading space", " " + newKey, credentials.ErrSecretNotText},
		{"nul", newKey + "\x00x", credentials.ErrSecretNotText},
		{"not UTF-8", newKey + "\xff\xfe", credentials.ErrSecretNotText},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := credentials.NewSecret(tt.secret); !errors.Is(err, tt.want) {
				t.Errorf("NewSecret: %v, want %v", err, tt.want)
			}
		})
	}
}

// TestSecretNeverPrints is SEC-39: whatever prints a secret prints "***".
func TestSecretNeverPrints(t *testing.T) {
	secret := credentials.UnsafeSecret(newKey)
	secrets, err := credentials.NewSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	hidden := struct{ inner credentials.Secret }{secret}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, value := range []any{secret, &secret, []credentials.Secret{secret}, hidden, secrets} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	fmt.Fprintln(&out, secret.String(), secret.GoString())
	if err := json.NewEncoder(&out).Encode([]any{secret, &secret, hidden, secrets}); err != nil {
		t.Fatal(err)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("secrets", "one", secret, "hidden", hidden, "all", secrets)
	}
	printed := out.String()
	for _, form := range []string{newKey, fmt.Sprintf("%x", newKey), fmt.Sprintf("%X", newKey), fmt.Sprint([]byte(newKey))} {
		if strings.Contains(printed, form) {
			t.Errorf("printed the secret as %.20s…:\n%s", form, printed)
		}
	}
	if !strings.Contains(printed, "***") {
		t.Error("printed no ***")
	}
}

func TestRandomSecret(t *testing.T) {
	a, err := credentials.NewSecrets(credentials.RandomSecret())
	if err != nil {
		t.Fatal(err)
	}
	b, err := credentials.NewSecrets(credentials.RandomSecret())
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Mint("alice", credentials.DefaultTTL, noon)
	if err != nil {
		t.Fatal(err)
	}
	if b.Explain(c.Username, c.Password, noon).SignedBy != 0 {
		t.Error("two random secrets are the same")
	}
}

func TestParseSecrets(t *testing.T) {
	tests := []struct {
		name, text string
		want       int
		err        error
		errText    string
	}{
		{"one", newKey, 1, nil, ""},
		{"rotation", "# newest\n" + newKey + "\n\n  # old\n\t" + oldKey + " \n", 2, nil, ""},
		{"Windows", "\uFEFF" + newKey + "\r\n" + oldKey + "\r\n", 2, nil, ""},
		{"a comma is part of a secret", newKey + "," + oldKey, 1, nil, ""},
		{"empty", "", 0, credentials.ErrNoSecrets, ""},
		{"comments alone", "# nothing\n\n", 0, credentials.ErrNoSecrets, ""},
		{"short on line 3", newKey + "\n#\nnorth\n", 0, credentials.ErrSecretTooShort, "line 3: "},
		{"comment behind", newKey + " # the new one", 0, credentials.ErrSecretComment, "line 1: "},
		{"UTF-16", "\xff\xfen\x00o\x00", 0, credentials.ErrSecretNotText, "line 1: "},
		{"too many", strings.Repeat(newKey+"\n", 17), 0, credentials.ErrTooMany, ""},
		{"as many as allowed", strings.Repeat(newKey+"\n", 16), 16, nil, ""},
		{"endless", strings.Repeat("#", 65<<10), 0, credentials.ErrTooMany, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secrets, err := credentials.ParseSecrets(strings.NewReader(tt.text))
			checkParsed(t, secrets, err, tt.want, tt.err, tt.errText)
		})
	}
}

func TestParseSecretList(t *testing.T) {
	tests := []struct {
		name, list string
		want       int
		err        error
		errText    string
	}{
		{"one", newKey, 1, nil, ""},
		{"two", newKey + ", " + oldKey + ",", 2, nil, ""},
		{"a number sign begins no comment", "#" + newKey, 1, nil, ""},
		{"empty", " , ", 0, credentials.ErrNoSecrets, ""},
		{"short", newKey + ",north", 0, credentials.ErrSecretTooShort, "entry 2: "},
		{"endless", strings.Repeat(",", 65<<10), 0, credentials.ErrTooMany, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secrets, err := credentials.ParseSecretList(tt.list)
			checkParsed(t, secrets, err, tt.want, tt.err, tt.errText)
		})
	}
}

func checkParsed(t *testing.T, secrets []credentials.Secret, err error, want int, wantErr error, text string) {
	t.Helper()
	if len(secrets) != want || !errors.Is(err, wantErr) {
		t.Fatalf("%d secrets, error %v; want %d, %v", len(secrets), err, want, wantErr)
	}
	if err == nil {
		return
	}
	if !strings.HasPrefix(err.Error(), text) {
		t.Errorf("error %q does not begin with %q", err, text)
	}
	for _, secret := range []string{"north", newKey, oldKey} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q tells a secret", err)
		}
	}
}

func TestParseSecretsReadError(t *testing.T) {
	_, err := credentials.ParseSecrets(iotest.ErrReader(io.ErrUnexpectedEOF))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}
