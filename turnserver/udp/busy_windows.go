package udp

import (
	"errors"

	"golang.org/x/sys/windows"
)

// PortBusy reports whether Listen failed because another socket has the port. Windows
// says "access denied" where that socket asked for exclusive use.
func PortBusy(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}
