//go:build !unix

package main

// openFiles knows no limit: this system has none worth the name.
func openFiles() (n uint64, known bool) { return 0, false }
