package bench

import (
	"testing"
	"time"
)

func TestPacerKeepsItsRate(t *testing.T) {
	const duration = 10 * time.Second
	for i, rate := range []float64{1, 7, 50_000, 333_333.3, 2e6, 1, 50_000, 50_000} {
		burst := []int{1, 1, 1, 1, 1, 2, 8, maxAtOnce}[i]
		// A sender that is always late: it wakes some time after it wanted to, and
		// sending takes time as well.
		p := newPacer(Load{Rate: rate, Burst: burst})
		var sent, idle int
		for now := time.Duration(0); now < duration; {
			n := p.take(now)
			sent += n
			if n%burst != 0 {
				t.Fatalf("rate %v: %d packets in bursts of %d", rate, n, burst)
			}
			if n > 0 {
				idle = 0
				now += time.Duration(n) * 100
				continue
			}
			if idle++; idle > 1 {
				t.Fatalf("rate %v: nothing to do after having waited, at %v", rate, now)
			}
			if n := p.wait(now); n <= 0 {
				t.Fatalf("rate %v: nothing to do and nothing to wait for, at %v", rate, now)
			} else {
				now += n + 60*time.Microsecond
			}
		}
		if want := rate * duration.Seconds(); float64(sent) < want*0.999-float64(burst) || float64(sent) > want+float64(burst) {
			t.Errorf("rate %v: %d packets in %v", rate, sent, duration)
		}
	}
}

func TestPacerForgivesAPause(t *testing.T) {
	p := newPacer(Load{Rate: 10_000, Burst: 1})
	p.take(0)
	now, sent := time.Minute, 0
	for n := p.take(now); n > 0; n = p.take(now) {
		if n > maxAtOnce {
			t.Fatalf("%d packets at once", n)
		}
		sent += n
	}
	if want := int(maxArrears.Seconds()*p.rate) + 1; sent != want {
		t.Errorf("%d packets after a pause, want %d", sent, want)
	}
}

func TestPacerWithoutRateNeverWaits(t *testing.T) {
	p := newPacer(Load{Burst: 1})
	for now := range 10 * time.Nanosecond {
		if p.take(now) != maxAtOnce || p.wait(now) != 0 {
			t.Fatal("it waits")
		}
	}
}
