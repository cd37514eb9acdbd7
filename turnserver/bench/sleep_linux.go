package bench

import (
	"syscall"
	"time"
)

// sleep waits for about d, on the calling thread. The runtime's own timers are only as
// fine as a millisecond, in which a fast sender would owe a hundred packets; the
// kernel's wake a thread within some 60 µs.
func sleep(d time.Duration) {
	request := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&request, nil) // interrupted, it is early, which does no harm
}
