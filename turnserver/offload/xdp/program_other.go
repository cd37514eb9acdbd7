//go:build !linux || !(amd64 || arm64 || loong64 || riscv64)

package xdp

// Supported says whether there is a program for this platform.
const Supported = false

// Program is never made on this platform.
type Program struct{}

// Load fails with [ErrUnsupported].
func Load(Config) (*Program, error) { return nil, ErrUnsupported }
