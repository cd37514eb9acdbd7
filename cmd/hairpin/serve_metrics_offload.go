package main

import (
	"hairpin/turnserver/offload"

	"github.com/prometheus/client_golang/prometheus"
)

// offloadMetrics are those of the kernel data plane. What it relays is in the metrics of
// relaying too.
type offloadMetrics struct {
	interfaces, flows, stayed, frames *prometheus.Desc
}

func newOffloadMetrics() offloadMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("hairpin_offload_"+name, help, labels, nil)
	}
	return offloadMetrics{
		interfaces: desc("interface", "Always 1: how an interface is used, native, generic or off, and why it is off.", "interface", "driver", "mode", "reason"),
		flows:      desc("flows", "Channel bindings that the kernel relays."),
		stayed:     desc("stayed_total", "Times that the kernel did not take a channel binding, at first or when it was refreshed, by why. It is relayed in user space.", "reason"),
		frames:     desc("frames_total", "Frames that the kernel data plane has seen, by what became of them or why they went to user space.", "reason"),
	}
}

func (m *offloadMetrics) collect(stats offload.Stats, counter count, gauge level) {
	for _, i := range stats.Interfaces {
		gauge(m.interfaces, 1, i.Name, i.Driver, string(i.Mode), string(i.Why))
	}
	gauge(m.flows, stats.Flows)
	for _, why := range offload.Stays() {
		counter(m.stayed, stats.Stayed[why], why.String())
	}
	for _, f := range stats.Frames {
		counter(m.frames, f.Count, f.Reason)
	}
}
