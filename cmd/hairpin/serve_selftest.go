package main

import (
	"hairpin/turnserver"
	"hairpin/turnserver/control"
	"hairpin/turnserver/relay"
	"hairpin/web/selftest"
)

// allocationSeen keeps what became of an allocation of a browser's test.
func (v *service) allocationSeen(e control.Event) {
	if !selftest.IsTest(e.User) {
		return
	}
	seen := sighting(selftest.Allocated, e.FiveTuple)
	seen.At, seen.Relayed = e.At.UTC(), e.Relayed
	if e.Kind == control.Ended {
		seen.What, seen.Reason = selftest.Ended, string(e.End)
		seen.PacketsToPeer, seen.PacketsToClient = e.ToPeer.Packets, e.ToClient.Packets
	}
	v.tests.Saw(e.User, seen)
}

// refusalSeen keeps what a browser's test was refused.
func (v *service) refusalSeen(r turnserver.Refusal) {
	if !selftest.IsTest(r.User) {
		return
	}
	seen := sighting(selftest.Refused, r.FiveTuple)
	seen.At, seen.Request, seen.Reason = r.At.UTC(), r.Request, r.Reason.String()
	v.tests.Saw(r.User, seen)
}

func sighting(what string, ft relay.FiveTuple) selftest.Sighting {
	return selftest.Sighting{What: what, Transport: ft.Transport.String(), Client: ft.Client, Server: ft.Server}
}
