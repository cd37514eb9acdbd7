package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"hairpin/turnserver/relay"
)

// figures are the server's, as the dashboard shows them.
type figures struct {
	Version     string         `json:"version"`
	StartedAt   time.Time      `json:"startedAt"`
	Draining    bool           `json:"draining"`
	Goroutines  int            `json:"goroutines"`
	MemoryBytes uint64         `json:"memoryBytes"` // taken from the operating system
	Allocations map[string]int `json:"allocations"` // by the client's transport
	Relayed     traffic        `json:"relayed"`     // since the start
	Dropped     uint64         `json:"droppedPackets"`
	Refused     uint64         `json:"refusedRequests"`
	Connections int            `json:"streamConnections"`
	Rooms       int            `json:"rooms"`
	Members     int            `json:"members"`
	Away        int            `json:"membersAway"`
	Sockets     int            `json:"sockets"`
	Resumed     uint64         `json:"resumed"`
}

type traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// mappedMemory is what the process has of the operating system, in bytes. Reading it stops nobody, as
// runtime.ReadMemStats does.
func mappedMemory() uint64 {
	all := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(all)
	return all[0].Value.Uint64()
}

func (v *service) figures() any {
	turn, hub := v.turn.Stats(), v.hub.Stats()
	f := figures{
		Version: versionOf(debug.ReadBuildInfo).Version, StartedAt: v.started.UTC().Truncate(time.Second), Draining: v.turn.Draining(),
		Goroutines: runtime.NumGoroutine(), MemoryBytes: mappedMemory(), Allocations: map[string]int{},
		Rooms: hub.Rooms, Members: hub.Members, Away: hub.Away, Sockets: hub.Sockets, Resumed: hub.Resumed,
	}
	for _, t := range relay.Transports() {
		f.Allocations[t.String()] = turn.Control.Allocations[t]
		for _, d := range relay.Directions() {
			f.Relayed.Packets += turn.Relay.Relayed[t][d].Packets
			f.Relayed.Bytes += turn.Relay.Relayed[t][d].Bytes
		}
	}
	for _, n := range turn.Relay.Dropped {
		f.Dropped += n
	}
	for _, n := range turn.Control.Refused {
		f.Refused += n
	}
	for _, s := range turn.Streams {
		f.Connections += s.Open
	}
	return f
}
