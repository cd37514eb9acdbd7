//go:build unix

package main

import "syscall"

// openFiles returns how many files this process may have open at once. Package os has
// raised the limit to what the system allows.
func openFiles() (n uint64, known bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
