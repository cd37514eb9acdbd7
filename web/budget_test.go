package web

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	b := newBudget[string](Rate{PerSecond: 2, Burst: 3})
	now := start()
	for _, step := range []struct {
		after time.Duration
		key   string
		want  time.Duration
	}{
		{0, "", 0}, // the zero key is one like others
		{0, "a", 0},
		{0, "a", 0},
		{0, "a", 0},
		{0, "a", 500 * time.Millisecond},
		{0, "b", 0},
		{200 * time.Millisecond, "a", 300 * time.Millisecond},
		{300 * time.Millisecond, "a", 0},
		{0, "a", 500 * time.Millisecond},
		{time.Hour, "a", 0},
		{0, "a", 0},
		{0, "a", 0},
		{0, "a", 500 * time.Millisecond},
	} {
		now = now.Add(step.after)
		if got := b.check(step.key, now); got != step.want {
			t.Errorf("check %q at %v: %v, want %v", step.key, now.Sub(start()), got, step.want)
		}
		if got := b.spend(step.key, now); got != step.want {
			t.Errorf("spend %q at %v: %v, want %v", step.key, now.Sub(start()), got, step.want)
		}
	}
}

// A spender that is over its budget stays remembered while many others come by once.
func TestBudgetForgetsTheLeast(t *testing.T) {
	b := newBudget[int](Rate{PerSecond: 1, Burst: 10})
	now := start()
	for range 10 {
		b.spend(-1, now)
	}
	for i := range 20 * budgetSets * budgetWays {
		b.spend(i, now)
	}
	if b.check(-1, now) == 0 {
		t.Error("forgotten")
	}
}

// The rates that a configuration may have do not overflow.
func TestBudgetExtremes(t *testing.T) {
	for _, r := range []Rate{{0.001, 1_000_000}, {0.001, 1}, {1e12, 1}, {1e12, 1_000_000}} {
		if !r.valid() {
			t.Errorf("%+v is not valid", r)
		}
		b := newBudget[string](r)
		for i := range r.Burst {
			if wait := b.spend("a", start()); wait != 0 {
				t.Fatalf("%+v: token %d takes %v", r, i, wait)
			}
		}
		if wait := b.spend("a", start()); wait <= 0 || wait > time.Duration(float64(time.Second)/r.PerSecond)+1 {
			t.Errorf("%+v: wait %v", r, wait)
		}
	}
}
