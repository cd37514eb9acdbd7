//go:build !linux

package bench

import "time"

// sleep waits for about d: as finely as the runtime's timers allow.
func sleep(d time.Duration) { time.Sleep(d) }
