package signaling_test

import (
	"testing"

	"hairpin/signaling"
	"hairpin/signaling/bustest"
)

func TestLocalBus(t *testing.T) {
	bustest.Run(t, func(*testing.T) (a, b signaling.Bus) {
		bus := &signaling.LocalBus{}
		return bus, bus
	})
}
