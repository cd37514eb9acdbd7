package control

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var wheelStart = time.Unix(1_800_000_000, 250_000_000)

// lapsed advances the wheel and returns the owners of the timers that lapsed, sorted.
func lapsed(w *wheel, now time.Time) []string {
	names := []string{}
	w.advance(now, func(t *timer) { names = append(names, t.owner.(string)) })
	slices.Sort(names)
	return names
}

func TestWheelFires(t *testing.T) {
	const horizon = wheelSlots * time.Second
	for _, after := range []time.Duration{
		time.Nanosecond, 300 * time.Millisecond, time.Second, time.Second + 1, 30 * time.Second,
		time.Hour, horizon - 1, horizon, horizon + 1, horizon + time.Minute, 3*horizon + 500*time.Millisecond,
		365 * 24 * time.Hour,
	} {
		t.Run(after.String(), func(t *testing.T) {
			w := newWheel()
			lapsed(w, wheelStart)
			w.schedule(&timer{owner: "t"}, wheelStart.Add(after))
			if got := lapsed(w, wheelStart.Add(after-1)); len(got) != 0 {
				t.Fatal("fired early")
			}
			if got := lapsed(w, wheelStart.Add(after+time.Second)); len(got) != 1 {
				t.Fatalf("a second later %d timers have fired, want 1", len(got))
			}
			if got := lapsed(w, wheelStart.Add(after+3*horizon)); len(got) != 0 {
				t.Fatal("fired again")
			}
		})
	}
}

// What is scheduled before the wheel is first advanced, for any time, fires as well.
func TestWheelBeforeFirstAdvance(t *testing.T) {
	w := newWheel()
	w.schedule(&timer{owner: "hour"}, wheelStart.Add(time.Hour))
	w.schedule(&timer{owner: "minute"}, wheelStart.Add(time.Minute))
	w.schedule(&timer{owner: "ago"}, wheelStart.Add(-time.Hour))
	w.schedule(&timer{owner: "never set"}, time.Time{})
	for _, step := range []struct {
		at   time.Duration
		want string
	}{
		{0, "[ago never set]"},
		{59 * time.Second, "[]"},
		{61 * time.Second, "[minute]"},
		{time.Hour - 1, "[]"},
		{time.Hour + time.Second, "[hour]"},
	} {
		if got := fmt.Sprint(lapsed(w, wheelStart.Add(step.at))); got != step.want {
			t.Errorf("at %v fired %v, want %v", step.at, got, step.want)
		}
	}
}

func TestWheelPastTimesFireNextSecond(t *testing.T) {
	w := newWheel()
	lapsed(w, wheelStart)
	w.schedule(&timer{owner: "past"}, wheelStart.Add(-time.Hour))
	if got := lapsed(w, wheelStart.Add(time.Second)); len(got) != 1 {
		t.Errorf("fired %v", got)
	}
}

func TestWheelCancel(t *testing.T) {
	w := newWheel()
	var timers [3]timer
	at := wheelStart.Add(time.Second)
	for i := range timers {
		timers[i].owner = fmt.Sprint(i)
		w.schedule(&timers[i], at)
	}
	w.cancel(&timers[1])
	w.cancel(&timers[1])
	w.cancel(&timer{})
	if got := fmt.Sprint(lapsed(w, at)); got != "[0 2]" {
		t.Errorf("fired %v, want 0 and 2", got)
	}
	w.cancel(&timers[0])
	w.schedule(&timers[0], at.Add(time.Second))
	if got := fmt.Sprint(lapsed(w, at.Add(time.Second))); got != "[0]" {
		t.Errorf("fired %v, want the one scheduled again", got)
	}
}

func TestWheelMoves(t *testing.T) {
	w := newWheel()
	moved := timer{owner: "moved"}
	w.schedule(&moved, wheelStart.Add(time.Second))
	w.schedule(&moved, wheelStart.Add(time.Minute))
	if got := lapsed(w, wheelStart.Add(59*time.Second)); len(got) != 0 {
		t.Error("fired at the time it was moved from")
	}
	if got := lapsed(w, wheelStart.Add(time.Minute)); len(got) != 1 {
		t.Error("did not fire at the time it was moved to")
	}
}

// While one timer fires, others of its second are cancelled, moved and added, and it
// itself is scheduled for a time that has passed.
func TestWheelChangesWhileFiring(t *testing.T) {
	w := newWheel()
	var timers [4]timer
	at := wheelStart.Add(time.Second)
	for i := range timers {
		timers[i].owner = i
		w.schedule(&timers[i], at)
	}
	fired := 0
	w.advance(at, func(first *timer) {
		fired++
		for i := range timers {
			w.cancel(&timers[i])
		}
		w.schedule(first, at)
		w.schedule(&timer{owner: 4}, at.Add(-time.Hour))
		w.schedule(&timer{owner: 5}, at.Add(wheelSlots*time.Second))
	})
	if fired != 1 {
		t.Errorf("%d timers fired, want 1: it cancels the others", fired)
	}
	count := func(*timer) { fired++ }
	fired = 0
	if w.advance(at.Add(time.Second), count); fired != 2 {
		t.Errorf("a second later %d timers fired, want the two scheduled meanwhile", fired)
	}
	fired = 0
	if w.advance(at.Add(wheelSlots*time.Second), count); fired != 1 {
		t.Errorf("a turn later %d timers fired, want 1", fired)
	}
}

func TestWheelClockGoesBack(t *testing.T) {
	w := newWheel()
	lapsed(w, wheelStart)
	w.schedule(&timer{owner: "t"}, wheelStart.Add(time.Minute))
	if got := lapsed(w, wheelStart.Add(-time.Hour)); len(got) != 0 {
		t.Error("fired though the clock went back")
	}
	if got := lapsed(w, wheelStart.Add(time.Minute)); len(got) != 1 {
		t.Error("did not fire when its time came")
	}
}

// modelTimer is a timer and what must be true of its firing.
type modelTimer struct {
	timer
	at        time.Time // when it is to fire; zero if never
	scheduled time.Time
}

// Random operations, against the definition: a timer fires once, not before its time,
// and in the first advance that is a second later than its time and its scheduling.
func TestWheelAgainstModel(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			w, now := newWheel(), wheelStart
			timers := make([]modelTimer, 50)
			for range 2000 {
				m := &timers[random.IntN(len(timers))]
				switch random.IntN(4) {
				case 0:
					w.cancel(&m.timer)
					m.at = time.Time{}
				case 1:
					now = now.Add(randomSpan(random))
					advanceModel(t, w, timers, now)
				default:
					m.owner, m.scheduled = m, now
					m.at = now.Add(randomSpan(random) - time.Second)
					w.schedule(&m.timer, m.at)
				}
			}
		})
	}
}

// randomSpan returns a time up to several turns of the wheel, short ones more often.
func randomSpan(random *rand.Rand) time.Duration {
	longest := []time.Duration{time.Second, 10 * time.Second, time.Hour, 3 * wheelSlots * time.Second}
	return time.Duration(random.Int64N(int64(longest[random.IntN(len(longest))])))
}

func advanceModel(t *testing.T, w *wheel, timers []modelTimer, now time.Time) {
	t.Helper()
	w.advance(now, func(fired *timer) {
		m := fired.owner.(*modelTimer)
		if m.at.IsZero() {
			t.Fatal("a timer fired that was cancelled or has fired")
		}
		if now.Before(m.at) {
			t.Fatalf("fired %v early", m.at.Sub(now))
		}
		m.at = time.Time{}
	})
	for i := range timers {
		m := &timers[i]
		overdue := !m.at.IsZero() && now.Sub(m.at) >= time.Second && now.Sub(m.scheduled) >= time.Second
		if overdue {
			t.Fatalf("due for %v and not fired", now.Sub(m.at))
		}
		if m.at.IsZero() != (m.link == nil) {
			t.Fatal("a timer is scheduled and should not be, or the other way round")
		}
	}
}

func TestWheelAllocatesNothing(t *testing.T) {
	w, now := newWheel(), wheelStart
	var timers [100]timer
	fire := func(*timer) {}
	if got := testing.AllocsPerRun(100, func() {
		for i := range timers {
			w.schedule(&timers[i], now.Add(time.Duration(i)*time.Second))
		}
		w.cancel(&timers[50])
		now = now.Add(time.Minute)
		w.advance(now, fire)
	}); got != 0 {
		t.Errorf("a hundred timers allocate %v times", got)
	}
}

func BenchmarkWheelScheduleCancel(b *testing.B) {
	w := newWheel()
	timers := make([]timer, 10_000)
	for i := 0; b.Loop(); i++ {
		t := &timers[i%len(timers)]
		w.schedule(t, wheelStart.Add(time.Duration(i%3600)*time.Second))
		if i%2 == 0 {
			w.cancel(t)
		}
	}
}

// A jump of more than a turn looks at every slot and timer once.
func BenchmarkWheelJump(b *testing.B) {
	w, now := newWheel(), wheelStart
	timers := make([]timer, 10_000)
	fired := 0
	for b.Loop() {
		for i := range timers {
			w.schedule(&timers[i], now.Add(time.Duration(i)*time.Second))
		}
		now = now.Add(3 * time.Hour)
		w.advance(now, func(*timer) { fired++ })
	}
	if fired != b.N*len(timers) {
		b.Fatalf("%d timers fired, want %d", fired, b.N*len(timers))
	}
}
