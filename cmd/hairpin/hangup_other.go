//go:build !unix

package main

import "os"

// hangup is empty: this system has no signal to ask for a reload with.
var hangup []os.Signal
