//go:build !linux

package nat

import (
	"errors"
	"fmt"
	"net"
)

// setDontFragment is not offered: the path MTU stays unknown.
func setDontFragment(*net.UDPConn, bool) error {
	return fmt.Errorf("the DF bit: %w", errors.ErrUnsupported)
}
