package bench

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"hairpin/turnserver/relay"
)

// patience is how long anything may take. Only a failing test waits so long.
const patience = 20 * time.Second

func TestMeasureEndsEarlyAndTellsWhatIsKnown(t *testing.T) {
	server, config := start(t)
	config.Clients = 2
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	plan := Plan{Config: config, Load: Load{Rate: 1000, Duration: patience}}
	plan.Watch = func(p Progress) {
		if p.Delivered > 0 {
			stop()
		}
	}
	r, err := Measure(ctx, plan)
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || r.Limit != "" || r.Packets == nil || r.Packets.Delivered == 0 || r.Words != "ended before the load did" {
		t.Errorf("%+v, %+v", r, r.Packets)
	}
	if n := server.Stats().Control.Allocations[relay.UDP]; n != 0 {
		t.Errorf("%d allocations are left", n)
	}
}

func TestMeasureEndsWhileItAllocates(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	config := fake(t, func(n int, request *stun.Message) []stun.Setter {
		if n == 1 {
			return allocated(request)
		}
		stop()
		return nil
	})
	config.Clients, config.Handshakes = 2, 1
	r, err := Measure(ctx, Plan{Config: config, Load: Load{Mode: Allocate}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || r.Allocations == nil || r.Allocations.Count != 1 || r.Words != "ended after 1 of 2 allocations" {
		t.Errorf("%+v", r)
	}
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "not every allocation was given back: ") {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestMeasureOverTCP(t *testing.T) {
	_, config := start(t)
	config.Clients, config.Transport = 2, TCP
	r, err := Measure(t.Context(), Plan{Config: config, Load: Load{Mode: Both, Duration: 50 * time.Millisecond, Process: Process(os.Getpid())}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Complete || r.Packets.Delivered == 0 || r.Packets.Stray+r.Packets.Duplicate+r.Packets.Reordered != 0 {
		t.Errorf("%+v, %+v", r, r.Packets)
	}
}

func TestMeasureNeedsNobodyToAnswer(t *testing.T) {
	config := fake(t, func(int, *stun.Message) []stun.Setter { return nil })
	config.Transport = TCP // nobody listens there
	_, err := Measure(t.Context(), Plan{Config: config})
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}
