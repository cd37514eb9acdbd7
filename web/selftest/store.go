// Package selftest keeps what this server saw of the tests that browsers run through
// it, and the reports that the browsers made of them, so that both sides of a failure
// stand beside each other.
//
// A test is begun with [Store.Begin], which makes an ID that nobody can guess. The test's
// credential is for the user [ID.User], so that the relay, which knows nothing of tests,
// can hand everything it sees of users to [Store.Saw]. Knowing the ID is what lets one
// read a test: it is the permalink.
//
// What is kept is bounded in number, in size and in time ([Limits]); where there are too
// many tests, the oldest of whoever has most gives way. What is returned is the caller's.
//
// Store.mu guards everything and is a leaf: nothing is called out while it is held.
package selftest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits bound a Store.
type Limits struct {
	Tests      int           // kept at a time
	Sightings  int           // kept of each test; the rest is only counted
	ReportSize int           // of a report, in bytes
	Writable   time.Duration // how long after its beginning a test may be reported on
	Kept       time.Duration // how long after its beginning a test can be read
}

// DefaultLimits keep 256 tests for a week, 25 MB at most.
func DefaultLimits() Limits {
	return Limits{Tests: 256, Sightings: 128, ReportSize: 64 << 10, Writable: time.Hour, Kept: 7 * 24 * time.Hour}
}

// ID names a test. It has 130 random bits.
type ID string

// userPrefix begins the user of every test's credential.
const userPrefix = "test-"

// User returns the user whose credential the test relays with.
func (id ID) User() string { return userPrefix + string(id) }

// What the server saw.
const (
	Allocated = "allocated" // lent a relayed transport address
	Refused   = "refused"   // refused a request, for Reason
	Ended     = "ended"     // an allocation ended, for Reason
)

// Sighting is something that the server did for the user of a test.
type Sighting struct {
	At        time.Time      `json:"at"`
	What      string         `json:"what"`
	Transport string         `json:"transport"` // the client's, in lower case
	Client    netip.AddrPort `json:"client"`    // as the server saw it
	Server    netip.AddrPort `json:"server"`
	Relayed   netip.AddrPort `json:"relayed,omitzero"`
	Request   string         `json:"request,omitempty"` // the method that was refused
	Reason    string         `json:"reason,omitempty"`

	// Payloads relayed by an allocation that has ended.
	PacketsToPeer   uint64 `json:"packetsToPeer,omitempty"`
	PacketsToClient uint64 `json:"packetsToClient,omitempty"`
}

// Test is a test as far as it is known.
type Test struct {
	ID        ID         `json:"id"`
	StartedAt time.Time  `json:"startedAt"`
	Sightings []Sighting `json:"sightings"`
	Omitted   int        `json:"omitted,omitempty"` // sightings beyond the bound
	Report    []byte     `json:"-"`                 // as the browser sent it; nil until then
}

// Why a report is not taken.
var (
	ErrUnknown  = errors.New("no such test, or it was too long ago")
	ErrTooLarge = errors.New("the report is too large")
	ErrClosed   = errors.New("the test is too old to be reported on")
)

// Store keeps tests. Its methods are safe for concurrent use.
type Store struct {
	limits Limits
	now    func() time.Time

	mu    sync.Mutex
	tests map[ID]*Test
	order []ID // oldest first
	by    map[ID]string
}

// NewStore returns an empty store; a nil clock means [time.Now].
func NewStore(limits Limits, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{limits: limits, now: now, tests: make(map[ID]*Test), by: make(map[ID]string)}
}

// Begin makes a test of a caller, however callers are named.
func (s *Store) Begin(by string) ID {
	id := ID(rand.Text())
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.sweepLocked(now)
	if len(s.order) >= s.limits.Tests {
		s.dropLocked(s.greediestLocked())
	}
	s.by[id] = by
	s.tests[id] = &Test{ID: id, StartedAt: now.UTC()}
	s.order = append(s.order, id)
	return id
}

func (s *Store) sweepLocked(now time.Time) {
	for len(s.order) > 0 && now.Sub(s.tests[s.order[0]].StartedAt) > s.limits.Kept {
		s.dropLocked(0)
	}
}

// dropLocked forgets a test by its place in the order.
func (s *Store) dropLocked(i int) {
	delete(s.tests, s.order[i])
	delete(s.by, s.order[i])
	s.order = slices.Delete(s.order, i, i+1)
}

// greediestLocked returns the place of the oldest test of the caller that has most tests; of several such
// callers, the one whose test is oldest.
func (s *Store) greediestLocked() int {
	count, most := map[string]int{}, 0
	for _, by := range s.by {
		count[by]++
		most = max(most, count[by])
	}
	return slices.IndexFunc(s.order, func(id ID) bool { return count[s.by[id]] == most })
}

// getLocked returns a test that may still be read, or nil.
func (s *Store) getLocked(id ID) *Test {
	t := s.tests[id]
	if t == nil || s.now().Sub(t.StartedAt) > s.limits.Kept {
		return nil
	}
	return t
}

// IsTest reports whether Saw would look at a user at all. It takes no lock.
func IsTest(user string) bool { return strings.HasPrefix(user, userPrefix) }

// Saw notes what the server did for a user. Users of no test are ignored.
func (s *Store) Saw(user string, what Sighting) {
	id, isTest := strings.CutPrefix(user, userPrefix)
	if !isTest {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.getLocked(ID(id))
	switch {
	case t == nil:
	case len(t.Sightings) >= s.limits.Sightings:
		t.Omitted++
	default:
		t.Sightings = append(t.Sightings, what)
	}
}

// Report keeps what the browser found, which replaces what it said before.
func (s *Store) Report(id ID, report []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.getLocked(id)
	switch {
	case t == nil:
		return ErrUnknown
	case s.now().Sub(t.StartedAt) > s.limits.Writable:
		return ErrClosed
	case len(report) > s.limits.ReportSize:
		return ErrTooLarge
	}
	t.Report = bytes.Clone(report)
	return nil
}

// Test returns what is known of a test.
func (s *Store) Test(id ID) (Test, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.getLocked(id)
	if t == nil {
		return Test{}, ErrUnknown
	}
	found := *t
	found.Sightings = append([]Sighting{}, t.Sightings...) // never nil: JSON has an array
	found.Report = bytes.Clone(t.Report)
	return found, nil
}

// ReportSize returns the bound of a report, in bytes.
func (s *Store) ReportSize() int { return s.limits.ReportSize }
