//go:build !linux

package udp

import "net/netip"

// listen binds a portable socket: this platform has none of its own.
func listen(addr netip.AddrPort, o Options) (socket, error) { return listenPortable(addr, o) }

// batchSys and writerSys are empty: a portable socket needs no scratch memory.
type (
	batchSys  struct{}
	writerSys struct{}
)

func (batchSys) init(*Batch) {}
func (writerSys) init()      {}
