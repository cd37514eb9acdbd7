//go:build !linux || !(amd64 || arm64 || loong64 || riscv64)

package offload

import "net/netip"

// foresee finds that there is no program for this platform.
func foresee(Mode, []netip.Addr) []Interface { return []Interface{{Mode: Off, Why: WhyPlatform}} }

// start finds that there is no program for this platform.
func start(c Config) (*Engine, error) { return without(c, Interface{Mode: Off, Why: WhyPlatform}, nil) }
