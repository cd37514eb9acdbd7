package web

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestParseKeys(t *testing.T) {
	const key = "0123456789abcdef"
	for _, c := range []struct {
		name, text string
		names      string // joined by commas
		want       error
		where      string
	}{
		{"file", "# who mints\n\nalice:" + aliceKey + "\r\n  bob : " + bobKey + "  \n", "alice,bob", nil, ""},
		{"list", "alice:" + aliceKey + ",bob:" + bobKey + ",", "alice,bob", nil, ""},
		{"byte order mark", "\uFEFFalice:" + aliceKey, "alice", nil, ""},
		{"key of 16", "a:" + key, "a", nil, ""},
		{"base64", "a:AAAAAAAAAAAAAAAAAAAA+/==", "a", nil, ""},
		{"two of a name", "a:" + key + "\na:" + key + "x", "a,a", nil, ""},
		{"twice the same", "a:" + key + "\na:" + key, "a,a", nil, ""},
		{"empty", "", "", ErrNoKeys, ""},
		{"comments only", "# a\n # b\n", "", ErrNoKeys, ""},
		{"key of 15", "\na:" + key[1:], "", ErrKeyTooShort, "line 2: entry 1"},
		{"second entry", "a:" + key + ",b:short", "", ErrKeyTooShort, "line 1: entry 2"},
		{"swapped", key + ":alice", "", ErrKeyTooShort, "line 1"},
		{"key of 257", "a:" + strings.Repeat("k", 257), "", ErrKeyTooLong, ""},
		{"no colon", key, "", ErrKeyForm, "line 1"},
		{"no name", ":" + key, "", ErrKeyName, ""},
		{"name with a space", "a b:" + key, "", ErrKeyName, ""},
		{"name of 65", strings.Repeat("n", 65) + ":" + key, "", ErrKeyName, ""},
		{"space in the key", "a:" + key + " #old", "", ErrKeyNotToken, ""},
		{"colon in the key", "a:b:" + key, "", ErrKeyNotToken, ""},
		{"not ASCII", "a:schlüssel-0123456789", "", ErrKeyNotToken, ""},
		{"one key, two names", "a:" + key + "\nb:" + key, "", ErrKeyDuplicate, ""},
		{"second fault is named too", "a:short\nb:" + key + "\nc\n", "", ErrKeyForm, "line 3"},
		{"too much", strings.Repeat("#\n", maxKeysBytes/2+1), "", ErrKeysTooLong, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := ParseKeys(strings.NewReader(c.text))
			var names []string
			for _, k := range keys {
				names = append(names, k.Name())
			}
			if !errors.Is(err, c.want) || strings.Join(names, ",") != c.names {
				t.Errorf("got %v, %v; want %q, %v", names, err, c.names, c.want)
			}
			if err != nil && (!strings.Contains(err.Error(), c.where) || strings.Contains(err.Error(), key[1:]) || strings.Contains(err.Error(), "alice")) {
				t.Errorf("error %q, which should name %q and no key", err, c.where)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	keys := testKeys(t)
	for _, c := range []struct {
		presented, name string
		ok              bool
	}{
		{aliceKey, "alice", true},
		{bobKey, "bob", true},
		{"", "", false},
		{aliceKey[:len(aliceKey)-1], "", false},
		{aliceKey + "\x00", "", false},
		{strings.ToUpper(aliceKey), "", false},
		{"alice", "", false},
		{"alice:" + aliceKey, "", false},
	} {
		if name, ok := keys.Match(c.presented); name != c.name || ok != c.ok {
			t.Errorf("%q: %q, %v; want %q, %v", c.presented, name, ok, c.name, c.ok)
		}
	}
	for _, none := range []*Keys{nil, {}, NewKeys()} {
		if name, ok := none.Match(""); ok || none.Len() != 0 {
			t.Errorf("no keys: %q, %v", name, ok)
		}
	}
}

// Replacing leaves no moment without keys.
func TestReplaceWhileMatching(t *testing.T) {
	keys := testKeys(t)
	list := *keys.list.Load()
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				keys.Replace(list)
			}
		}
	})
	for range 10_000 {
		if _, ok := keys.Match(bobKey); !ok {
			t.Error("a key was not there")
			break
		}
	}
	close(stop)
	writer.Wait()
}

func TestKeyIsNotPrinted(t *testing.T) {
	key, err := NewKey("alice", aliceKey)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	logTo(&log).LogAttrs(t.Context(), slog.LevelInfo, "", slog.Any("key", key), slog.Any("keys", []Key{key}))
	digest := fmt.Sprintf("%x", key.digest[:4])
	decimal := fmt.Sprint(key.digest[0], key.digest[1])
	for _, print := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s", key, key, key, []Key{key}), log.String()} {
		if strings.Contains(print, digest) || strings.Contains(print, decimal) || !strings.Contains(print, "alice") {
			t.Errorf("printed as %s", print)
		}
	}
}

// FuzzParseKeys: every key that is read matches under its name, errors carry no text
// of the input, and a bad input gives no keys.
func FuzzParseKeys(f *testing.F) {
	f.Add("alice:" + aliceKey + "\nbob:" + bobKey)
	f.Add("# a\n\ra:0123456789abcdef==,b:x")
	f.Add("0123456789abcdefg:0123456789abcdefgh\n:::,,,")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseKeys(strings.NewReader(text))
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d keys with error %v", len(list), err)
		}
		keys := NewKeys(list...)
		found := 0
		for line := range strings.Lines(text) {
			for entry := range strings.SplitSeq(strings.TrimSpace(strings.TrimPrefix(line, "\uFEFF")), ",") {
				name, key, _ := strings.Cut(strings.TrimSpace(entry), ":")
				name, key = strings.TrimSpace(name), strings.TrimSpace(key)
				if got, ok := keys.Match(key); ok && got == name {
					found++
				}
				if err != nil && len(key) >= MinKeyBytes && strings.Contains(err.Error(), key) {
					t.Fatalf("a key in %q", err)
				}
			}
		}
		if found < len(list) {
			t.Fatalf("%d of %d keys match", found, len(list))
		}
	})
}
