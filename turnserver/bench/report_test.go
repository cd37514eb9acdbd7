package bench

import (
	"math"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	r := Report{Sent: 1000, Delivered: 800, Elapsed: 2 * time.Second, CPU: 4 * time.Millisecond}
	if r.Loss() != 0.2 || r.DeliveredRate() != 400 || r.CPUPerPacket() != 5*time.Microsecond {
		t.Errorf("loss %v, rate %v, cost %v", r.Loss(), r.DeliveredRate(), r.CPUPerPacket())
	}
	var nothing Report
	if nothing.Loss() != 0 || nothing.DeliveredRate() != 0 || nothing.CPUPerPacket() != 0 {
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
	}
	for _, test := range tests {
		if got := test.r.Limit(); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
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
