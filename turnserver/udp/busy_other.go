//go:build !windows

package udp

import (
	"errors"
	"syscall"
)

// PortBusy reports whether Listen failed because another socket has the port.
func PortBusy(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
