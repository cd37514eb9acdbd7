//go:build amd64 || arm64 || loong64 || riscv64

package offload

import (
	"net/netip"

	"hairpin/turnserver/offload/xdp"
)

// foresee is Foresee for a mode that wants the program.
func foresee(m Mode, serving []netip.Addr) []Interface {
	e, err := openEthtool()
	if err != nil {
		return []Interface{{Mode: Off, Why: WhyKernel}}
	}
	defer e.close()
	n, err := openNetwork()
	if err != nil {
		return []Interface{{Mode: Off, Why: WhyKernel}}
	}
	defer n.close()
	var all []Interface
	for _, l := range served(n, serving) {
		f := factsOf(l, n, e)
		i := Interface{Name: l.Attrs().Name, Driver: f.driver, Mode: Native, Why: judge(m, f)}
		if m == Generic {
			i.Mode = Generic
		}
		if i.Why == WhyLoopback {
			continue // nobody expects it
		}
		if i.Why == WhyNone {
			i.Why = loadable()
		}
		if i.Why != WhyNone {
			i.Mode = Off
		}
		all = append(all, i)
	}
	if len(all) == 0 {
		all = []Interface{{Mode: Off, Why: WhyNoneFound}}
	}
	return all
}

// loadable says why the program cannot be loaded, by loading it.
func loadable() Why {
	program, err := xdp.Load(xdp.Config{Flows: 1})
	if err != nil {
		return whyNotLoaded(err)
	}
	_ = program.Close() // nothing is left to be done about a failure
	return WhyNone
}
