package selftest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// newStore returns a store whose clock the test moves.
func newStore(limits Limits) (*Store, *time.Time) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return NewStore(limits, func() time.Time { return now }), &now
}

func TestSightingsOfATestAreKept(t *testing.T) {
	s, _ := newStore(DefaultLimits())
	id := s.Begin("a")
	if !IsTest(id.User()) || IsTest("alice") {
		t.Fatalf("the user %q is not told apart", id.User())
	}
	s.Saw(id.User(), Sighting{What: Refused, Reason: "quota-user"})
	s.Saw("alice", Sighting{What: Allocated})
	s.Saw("test-nobody", Sighting{What: Allocated})
	got, err := s.Test(id)
	if err != nil || len(got.Sightings) != 1 || got.Sightings[0].Reason != "quota-user" {
		t.Fatalf("got %+v, %v", got, err)
	}
	got.Sightings[0].Reason = "changed"
	if again, _ := s.Test(id); again.Sightings[0].Reason != "quota-user" {
		t.Fatal("what was returned is the store's")
	}
	if _, err := s.Test("nobody"); !errors.Is(err, ErrUnknown) {
		t.Fatalf("an unknown test gave %v", err)
	}
}

func TestNothingGrowsBeyondItsBound(t *testing.T) {
	s, now := newStore(Limits{Tests: 3, Sightings: 2, ReportSize: 4, Writable: time.Minute, Kept: time.Hour})
	first := s.Begin("a")
	for range 3 {
		s.Begin("a")
	}
	if _, err := s.Test(first); !errors.Is(err, ErrUnknown) || len(s.tests) != 3 || len(s.order) != 3 {
		t.Fatalf("%d tests are kept, the first gives %v", len(s.tests), err)
	}
	id := s.Begin("a")
	for range 5 {
		s.Saw(id.User(), Sighting{What: Allocated})
	}
	if got, _ := s.Test(id); len(got.Sightings) != 2 || got.Omitted != 3 {
		t.Fatalf("kept %d, omitted %d", len(got.Sightings), got.Omitted)
	}
	if err := s.Report(id, []byte("12345")); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a long report gave %v", err)
	}
	if err := s.Report(id, []byte("1234")); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(2 * time.Minute)
	if err := s.Report(id, nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("a late report gave %v", err)
	}
	if got, err := s.Test(id); err != nil || string(got.Report) != "1234" {
		t.Fatalf("got %q, %v", got.Report, err)
	}
	*now = now.Add(time.Hour)
	if _, err := s.Test(id); !errors.Is(err, ErrUnknown) {
		t.Fatalf("an old test gave %v", err)
	}
	if s.Begin("a"); len(s.tests) != 1 || len(s.order) != 1 {
		t.Fatalf("%d tests and %d names are kept", len(s.tests), len(s.order))
	}
}

func TestTestsRunSideBySide(t *testing.T) {
	s, _ := newStore(DefaultLimits())
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			id := s.Begin("a")
			for range 50 {
				s.Saw(id.User(), Sighting{Reason: fmt.Sprint(i)})
			}
			got, err := s.Test(id)
			if err != nil || len(got.Sightings) != 50 || got.Sightings[49].Reason != fmt.Sprint(i) {
				t.Errorf("test %d: %d sightings, %v", i, len(got.Sightings), err)
			}
		})
	}
	all.Wait()
}

// Who begins many tests pushes out its own.
func TestStoreIsShared(t *testing.T) {
	s := NewStore(Limits{Tests: 4, Sightings: 1, ReportSize: 1, Writable: time.Hour, Kept: time.Hour}, nil)
	own := s.Begin("modest")
	for range 100 {
		s.Begin("greedy")
	}
	if _, err := s.Test(own); err != nil {
		t.Errorf("another caller's tests pushed it out: %v", err)
	}
	if len(s.tests) != 4 || len(s.order) != 4 || len(s.by) != 4 {
		t.Errorf("%d tests of %d callers are kept, in an order of %d", len(s.tests), len(s.by), len(s.order))
	}
}
