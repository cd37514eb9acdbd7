// Package bustest checks that a signaling.Bus keeps the promises of that interface. Every
// implementation runs it in its tests, so that a hub need not know which one it has.
package bustest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hairpin/signaling"
)

// patience is how long an event may be on its way. Only a failing test waits so long.
const patience = 10 * time.Second

// Connect returns two ends of one bus, as two processes would have them; they may be the same value.
// They are closed by t.Cleanup.
type Connect func(t *testing.T) (a, b signaling.Bus)

// Run runs all checks.
func Run(t *testing.T, connect Connect) {
	t.Run("delivers events intact", func(t *testing.T) { testIntact(t, connect) })
	t.Run("keeps rooms apart", func(t *testing.T) { testRooms(t, connect) })
	t.Run("gives all subscribers one order", func(t *testing.T) { testOrder(t, connect) })
	t.Run("calls a handler one event at a time", func(t *testing.T) { testSerial(t, connect) })
	t.Run("is quiet after cancel", func(t *testing.T) { testCancel(t, connect) })
	t.Run("stands coming and going", func(t *testing.T) { testChurn(t, connect) })
}

// subscribe collects a room's events until the test ends.
func subscribe(t *testing.T, bus signaling.Bus, room string) <-chan signaling.Event {
	t.Helper()
	events := make(chan signaling.Event, 4096)
	cancel, err := bus.Subscribe(room, func(e signaling.Event) { events <- e })
	if err != nil {
		t.Fatalf("subscribe to %q: %v", room, err)
	}
	t.Cleanup(cancel)
	return events
}

func publish(t *testing.T, bus signaling.Bus, room string, e signaling.Event) {
	t.Helper()
	if err := bus.Publish(room, e); err != nil {
		t.Errorf("publish to %q: %v", room, err)
	}
}

func next(t *testing.T, events <-chan signaling.Event) signaling.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("an event did not arrive")
		return signaling.Event{}
	}
}

func testIntact(t *testing.T, connect Connect) {
	a, b := connect(t)
	own, other := subscribe(t, a, "room"), subscribe(t, b, "room")
	for _, e := range []signaling.Event{
		{Kind: signaling.EventJoin, From: "A", Name: "Zoë <b>"},
		{Kind: signaling.EventForward, From: "A", To: "B", Frame: []byte("{\"sdp\":\"v=0\\r\\n\"}")},
		{Kind: signaling.EventForward, From: "A", Frame: []byte(strings.Repeat("x", 128<<10))},
		{Kind: signaling.EventLeave, From: "A"},
	} {
		publish(t, a, "room", e)
		for i, events := range []<-chan signaling.Event{own, other} {
			if got := next(t, events); !reflect.DeepEqual(got, e) {
				t.Errorf("end %d got %.200v, want %.200v", i, got, e)
			}
		}
	}
}

func testRooms(t *testing.T, connect Connect) {
	a, b := connect(t)
	// Names are client text: a bus whose own names have wildcards or separators must escape them.
	names := []string{"room", "Room", "room.1", "room.*", "room.>", "*", ">", " room", "a/b", "ünï", "x:y\"z"}
	events := map[string]<-chan signaling.Event{}
	for _, name := range names {
		events[name] = subscribe(t, b, name)
	}
	for _, name := range names {
		publish(t, a, name, signaling.Event{Kind: signaling.EventJoin, From: "A", Name: name})
	}
	for _, name := range names {
		// A stray event would come before the closing one, by the promise of order.
		publish(t, a, name, signaling.Event{Kind: signaling.EventLeave, From: "A"})
		if got := next(t, events[name]); got.Name != name {
			t.Errorf("room %q got the event of room %q", name, got.Name)
		}
		if got := next(t, events[name]); got.Kind != signaling.EventLeave {
			t.Errorf("room %q got a second event, of room %q", name, got.Name)
		}
	}
}

func testOrder(t *testing.T, connect Connect) {
	const publishers, each = 8, 100
	a, b := connect(t)
	ends := []signaling.Bus{a, b}
	heard := []<-chan signaling.Event{subscribe(t, a, "room"), subscribe(t, b, "room"), subscribe(t, b, "room")}
	var sending sync.WaitGroup
	for p := range publishers {
		sending.Go(func() {
			for i := range each {
				publish(t, ends[p%2], "room", signaling.Event{
					Kind: signaling.EventForward,
					From: signaling.ClientID(fmt.Sprint(p)),
					Name: fmt.Sprint(i),
				})
			}
		})
	}
	sending.Wait()
	var first []string
	for n, events := range heard {
		var order []string
		sent := map[signaling.ClientID]int{}
		for range publishers * each {
			e := next(t, events)
			if e.Name != fmt.Sprint(sent[e.From]) {
				t.Fatalf("publisher %s's event %s came as its %d.", e.From, e.Name, sent[e.From])
			}
			sent[e.From]++
			order = append(order, string(e.From)+"/"+e.Name)
		}
		if n == 0 {
			first = order
		} else if !slices.Equal(order, first) {
			t.Errorf("subscriber %d saw another order than subscriber 0", n)
		}
	}
}

func testSerial(t *testing.T, connect Connect) {
	const publishers, each = 4, 50
	a, b := connect(t)
	var running, overlaps atomic.Int64
	var handled sync.WaitGroup
	handled.Add(publishers * each)
	cancel, err := b.Subscribe("room", func(signaling.Event) {
		if running.Add(1) > 1 {
			overlaps.Add(1)
		}
		running.Add(-1)
		handled.Done()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	for range publishers {
		go func() {
			for range each {
				publish(t, a, "room", signaling.Event{Kind: signaling.EventForward})
			}
		}()
	}
	handled.Wait()
	if n := overlaps.Load(); n > 0 {
		t.Errorf("the handler was running already %d times when it was called", n)
	}
}

func testCancel(t *testing.T, connect Connect) {
	a, b := connect(t)
	staying := subscribe(t, b, "room")
	var late atomic.Int64
	var cancelled atomic.Bool
	cancel, err := b.Subscribe("room", func(signaling.Event) {
		if cancelled.Load() {
			late.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for range 200 {
			publish(t, a, "room", signaling.Event{Kind: signaling.EventForward})
		}
	})
	cancel()
	cancelled.Store(true)
	cancel()
	sending.Wait()
	for range 200 {
		next(t, staying)
	}
	if n := late.Load(); n > 0 {
		t.Errorf("the handler was called %d times after cancel had returned", n)
	}
}

func testChurn(t *testing.T, connect Connect) {
	a, b := connect(t)
	var all sync.WaitGroup
	for i, bus := range []signaling.Bus{a, b, a, b} {
		all.Go(func() {
			for range 50 {
				heard := make(chan signaling.Event, 4096)
				cancel, err := bus.Subscribe("room", func(e signaling.Event) { heard <- e })
				if err != nil {
					t.Errorf("subscribe: %v", err)
					return
				}
				me := signaling.ClientID(fmt.Sprint(i))
				publish(t, bus, "room", signaling.Event{Kind: signaling.EventJoin, From: me})
				for heardOwn := false; !heardOwn; {
					select {
					case e := <-heard:
						heardOwn = e.From == me
					case <-time.After(patience):
						t.Error("a subscriber did not hear its own event")
						cancel()
						return
					}
				}
				cancel()
			}
		})
	}
	all.Wait()
}
