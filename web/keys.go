package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	// MinKeyBytes is the length below which an API key is refused. Wrong keys are
	// answered slowly, but to many addresses at once.
	MinKeyBytes = 16

	// maxKeyBytes and maxNameBytes keep a line of the key file a line.
	maxKeyBytes  = 256
	maxNameBytes = 64

	// maxKeysBytes bounds a key file; a few thousand keys fit.
	maxKeysBytes = 1 << 20
)

// Errors of [NewKey] and [ParseKeys]. None carries a byte of a key or of a name, since
// the two are easily swapped.
var (
	ErrKeyTooShort  = errors.New("key is shorter than 16 characters; openssl rand -hex 24 makes a good one")
	ErrKeyTooLong   = errors.New("key is longer than 256 characters")
	ErrKeyNotToken  = errors.New("key holds other characters than letters, digits and - . _ ~ + /, with = at the end")
	ErrKeyName      = errors.New("name is not 1 to 64 letters, digits and . _ @ -")
	ErrKeyForm      = errors.New("not of the form name:key")
	ErrKeyDuplicate = errors.New("the same key stands under two names")
	ErrNoKeys       = errors.New("no key given")
	ErrKeysTooLong  = errors.New("more than 1 MiB of keys")
)

// Key is an API key by its digest, and the name of who holds it. It does not keep the
// key itself, so that no print of it shows one.
type Key struct {
	name   string
	digest [sha256.Size]byte
}

// NewKey returns the key of the holder named name. Several keys may have one name,
// while one replaces the other; they share a rate.
func NewKey(name, key string) (Key, error) {
	switch {
	case len(name) < 1 || len(name) > maxNameBytes || strings.ContainsFunc(name, notNameRune):
		return Key{}, ErrKeyName
	case len(key) < MinKeyBytes:
		return Key{}, ErrKeyTooShort
	case len(key) > maxKeyBytes:
		return Key{}, ErrKeyTooLong
	case strings.ContainsFunc(strings.TrimRight(key, "="), notTokenRune):
		return Key{}, ErrKeyNotToken
	}
	return Key{name: name, digest: sha256.Sum256([]byte(key))}, nil
}

// Name returns the name of the holder.
func (k Key) Name() string { return k.name }

// String returns the name of the holder.
func (k Key) String() string { return k.name }

// GoString returns the name of the holder.
func (k Key) GoString() string { return k.name }

// LogValue returns the name of the holder.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.name) }

func notNameRune(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("._@-", r) }

// notTokenRune is what a bearer token is not made of (b64token, RFC 6750 §2.1), the
// padding aside.
func notTokenRune(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._~+/", r) }

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

// ParseKeys reads API keys from r, as name:key, one a line as in a file or separated
// by commas as in an environment variable. Blank entries and lines that begin with #
// are skipped. It reads at most 1 MiB. Errors name each faulty line and entry, and no
// key is returned with one.
func ParseKeys(r io.Reader) ([]Key, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeysBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read API keys: %w", err)
	}
	if len(text) > maxKeysBytes {
		return nil, ErrKeysTooLong
	}
	var (
		keys   []Key
		faults []error
	)
	lines := strings.Split(strings.TrimPrefix(string(text), "\uFEFF"), "\n")
	for i, line := range lines {
		parsed, err := parseKeyLine(line)
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", i+1, err))
		}
		keys = append(keys, parsed...)
	}
	faults = append(faults, checkKeys(keys, len(faults)))
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return keys, nil
}

// parseKeyLine returns the keys of a line, and the fault of the first bad one.
func parseKeyLine(line string) ([]Key, error) {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return nil, nil
	}
	var keys []Key
	for i, entry := range strings.Split(line, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		name, text, found := strings.Cut(entry, ":")
		key, err := NewKey(strings.TrimSpace(name), strings.TrimSpace(text))
		if !found {
			err = ErrKeyForm
		}
		if err != nil {
			return keys, fmt.Errorf("entry %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// checkKeys looks at all keys together. That there are none is a fault only where no
// line had another.
func checkKeys(keys []Key, faults int) error {
	if len(keys) == 0 && faults == 0 {
		return ErrNoKeys
	}
	holder := make(map[[sha256.Size]byte]string, len(keys))
	for _, key := range keys {
		if name, known := holder[key.digest]; known && name != key.name {
			return ErrKeyDuplicate
		}
		holder[key.digest] = key.name
	}
	return nil
}

// Keys are the API keys that may mint. They can be replaced while requests are served.
// A nil *Keys is empty.
type Keys struct {
	list atomic.Pointer[[]Key] // what it points to is never written again
}

// NewKeys returns Keys of list, which may be empty.
func NewKeys(list ...Key) *Keys {
	k := new(Keys)
	k.Replace(list)
	return k
}

// Replace makes list the keys, all at once.
func (k *Keys) Replace(list []Key) {
	list = slices.Clone(list)
	k.list.Store(&list)
}

// Len returns the number of keys.
func (k *Keys) Len() int { return len(k.load()) }

// Match returns the holder's name if presented is a key. The time it takes depends on
// the number of keys and the length of presented, not on which key it resembles: what
// is compared are digests, and all of them.
func (k *Keys) Match(presented string) (name string, ok bool) {
	digest := sha256.Sum256([]byte(presented))
	list := k.load()
	found := -1
	for i := range list {
		equal := subtle.ConstantTimeCompare(digest[:], list[i].digest[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return "", false
	}
	return list[found].name, true
}

func (k *Keys) load() []Key {
	if k == nil {
		return nil
	}
	if list := k.list.Load(); list != nil {
		return *list
	}
	return nil
}
