package bench

import (
	"os"
	"testing"
)

func TestProcess(t *testing.T) {
	p := Process(os.Getpid())
	before, err := p.CPU()
	if err != nil || before <= 0 {
		t.Fatalf("processor time %v: %v", before, err)
	}
	for after := before; after == before; { // it takes some to ask
		if after, err = p.CPU(); err != nil || after < before {
			t.Fatalf("processor time %v after %v: %v", after, before, err)
		}
	}
	if n, err := p.Resident(); err != nil || n < 1<<20 {
		t.Errorf("%d bytes resident: %v", n, err)
	}
	if n, err := p.Processors(); err != nil || n < 1 {
		t.Errorf("%d processors: %v", n, err)
	}
}

func TestNoProcess(t *testing.T) {
	const none = Process(1 << 30) // more than Linux counts to
	if _, err := none.CPU(); err == nil {
		t.Error("it has processor time")
	}
	if _, err := none.Resident(); err == nil {
		t.Error("it has memory")
	}
	if _, err := none.Processors(); err == nil {
		t.Error("it has processors")
	}
}

func TestParseList(t *testing.T) {
	for list, want := range map[string]int{"0": 1, "3": 1, "0-3": 4, "0,2-3,8": 4} {
		if n, err := parseList(list); n != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", list, n, err, want)
		}
	}
	for _, list := range []string{"", "a", "0-", "-1", "0,,1"} {
		if n, err := parseList(list); err == nil {
			t.Errorf("%q: %d", list, n)
		}
	}
}

func TestParseSchedstat(t *testing.T) {
	if ran, err := parseSchedstat([]byte("423084 17 1\n")); ran != 423084 || err != nil {
		t.Errorf("%v, %v", ran, err)
	}
	if ran, err := parseSchedstat([]byte("")); err == nil {
		t.Errorf("nothing is %v", ran)
	}
}
