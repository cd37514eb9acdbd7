package bench

import (
	"testing"
	"time"
)

func TestParseMachine(t *testing.T) {
	const before = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 5 0 5 100 10 0 1 4 0 0\ncpu1 5 0 5 200 20 0 1 6 0 0\nintr 1 2 3\n"
	const after = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 55 0 5 130 10 0 1 14 0 0\ncpu1 5 0 5 300 20 0 1 6 0 0\nintr 1 2 3\n"
	at := time.Unix(1, 0)
	earlier, err := parseMachine(before, at)
	if err != nil || earlier.processors != 2 || earlier.unused != 3400*time.Millisecond {
		t.Fatalf("%+v: %v", earlier, err)
	}
	later, err := parseMachine(after, at.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := later.since(earlier), 600*time.Millisecond; got != want {
		t.Errorf("busy for %v, want %v", got, want)
	}
	if got := earlier.since(later); got != 0 {
		t.Errorf("busy for %v before it began", got)
	}
	for _, stat := range []string{"", "cpu 1 2 3\n", "cpu0 1 2 3 x 5 6 7 8 9 10\n", "intr 1\n"} {
		if m, err := parseMachine(stat, at); err == nil {
			t.Errorf("%q is %+v", stat, m)
		}
	}
}
