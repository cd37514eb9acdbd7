package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	r := Report{Sent: 1000, Delivered: 800, Elapsed: 2 * time.Second, CPU: 4 * time.Millisecond}
	if r.Loss() != 0.2 || r.DeliveredRate() != 400 || r.CPUPerPacket() != 5*time.Microsecond {
		t.Errorf("loss %v, rate %v, cost %v", r.Loss(), r.DeliveredRate(), r.CPUPerPacket())
	}
	r.Spent = Spent{Machine: 10 * time.Millisecond, Attributed: 6 * time.Millisecond}
	r.Baseline = Spent{Machine: 2 * time.Microsecond, Attributed: 2 * time.Microsecond}
	if got, want := r.PerSent(), (Spent{10 * time.Microsecond, 6 * time.Microsecond}); got != want {
		t.Errorf("a packet sent takes %v, want %v", got, want)
	}
	if got, want := r.PerPacket(), (Spent{10 * time.Microsecond, 5 * time.Microsecond}); got != want {
		t.Errorf("a packet delivered takes %v, want %v", got, want)
	}
	if r.Others() != 0.002 {
		t.Errorf("others take %v processors", r.Others())
	}
	var nothing Report
	if nothing.Loss() != 0 || nothing.DeliveredRate() != 0 || nothing.CPUPerPacket() != 0 || nothing.PerPacket() != (Spent{}) {
		t.Error("nothing sent, and yet something to tell")
	}
}

func TestLimit(t *testing.T) {
	paced := Load{Rate: 100, Duration: 10 * time.Second}
	tests := []struct {
		name string
		r    Report
		want Limit
	}{
		{"all was sent and delivered", Report{Load: paced, Sent: 1000, Delivered: 1000}, LimitLoad},
		{"nearly all", Report{Load: paced, Sent: 995, Delivered: 990}, LimitLoad},
		{"the sender did not keep up", Report{Load: paced, Sent: 900, Delivered: 900}, LimitGenerator},
		{"all was sent and not delivered", Report{Load: paced, Sent: 1000, Delivered: 980}, LimitServer},
		{"a flood that arrives", Report{Sent: 1000, Delivered: 1000}, LimitGenerator},
		{"a flood that does not", Report{Sent: 1000, Delivered: 500}, LimitServer},
		{
			"a flood at a busy server",
			Report{Sent: 1000, Delivered: 1000, Elapsed: time.Second, CPU: 1960 * time.Millisecond, Processors: 2},
			LimitServer,
		},
		{
			"a flood at a server with a processor to spare",
			Report{Sent: 1000, Delivered: 1000, Elapsed: time.Second, CPU: time.Second, Processors: 2},
			LimitGenerator,
		},
		{"what the generator lost itself", Report{Load: paced, Sent: 1000, Delivered: 900, Drops: 80}, LimitGenerator},
		{"what it lost the least part of", Report{Load: paced, Sent: 1000, Delivered: 900, Drops: 10}, LimitServer},
		{"a connection that is full", Report{Sent: 1000, Delivered: 1000, Refused: 1, Refusal: errBacklog}, LimitServer},
		{
			"a machine too small for both",
			Report{
				Load: Load{Process: 1}, Sent: 1000, Delivered: 500, Elapsed: time.Second,
				CPU: time.Second, Processors: 2, Spent: Spent{Machine: 2 * time.Second}, MachineProcessors: 2,
			},
			LimitMachine,
		},
		{
			"a busy machine that keeps up",
			Report{Load: Load{Process: 1, Rate: 1}, Sent: 1, Delivered: 1, Elapsed: time.Second, Spent: Spent{Machine: time.Second}, MachineProcessors: 1},
			LimitLoad,
		},
	}
	for _, test := range tests {
		got := test.r.Limit()
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if words := test.r.Words(); !strings.Contains(words, string(got)) || !strings.Contains(words, "was the limit") {
			t.Errorf("%s: %s, in words: %s", test.name, got, words)
		}
	}
}

func TestLoadIsChecked(t *testing.T) {
	good := []Load{
		{},
		{Mode: RelayToRelay, Payload: MinPayload, Rate: 1e6, Burst: 64, Duration: MaxDuration},
		{Payload: MaxPayload},
	}
	for _, l := range good {
		if _, err := l.withDefaults(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
	bad := []Load{
		{Mode: "sideways"},
		{Payload: MinPayload - 1},
		{Payload: MaxPayload + 1},
		{Payload: -1},
		{Rate: -1},
		{Rate: 2 * MaxRate},
		{Rate: math.NaN()},
		{Burst: -1},
		{Duration: -1},
		{Duration: MaxDuration + 1},
	}
	for _, l := range bad {
		if _, err := l.withDefaults(); err == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
}
