package main

import (
	"strings"
	"testing"

	"hairpin/turnserver/offload"
	"hairpin/turnserver/probe"
)

func TestOffloadStep(t *testing.T) {
	can := offload.Interface{Name: "eth0", Driver: "ice", Mode: offload.Native}
	cannot := offload.Interface{Name: "eth1", Driver: "virtio_net", Mode: offload.Off, Why: offload.WhyUntested}
	for name, test := range map[string]struct {
		interfaces []offload.Interface
		status     probe.Status
		reason     string
		words      string
	}{
		"off":     {nil, probe.Skipped, "off", "as asked for"},
		"can":     {[]offload.Interface{can}, probe.OK, "", "eth0 (ice) can relay in the kernel, native"},
		"cannot":  {[]offload.Interface{cannot}, probe.Skipped, "untested", "eth1 (virtio_net) relays in user space: "},
		"mixed":   {[]offload.Interface{can, cannot}, probe.Skipped, "untested", "native; eth1"},
		"nothing": {[]offload.Interface{{Mode: offload.Off, Why: offload.WhyPlatform}}, probe.Skipped, "platform", "no program for this platform"},
	} {
		step := offloadStep(test.interfaces)
		if step.Status != test.status || step.Reason != test.reason || !strings.Contains(step.Words, test.words) {
			t.Errorf("%s: got %+v", name, step)
		}
	}
}
