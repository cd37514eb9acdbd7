package main

import (
	"log/slog"

	"hairpin/turnserver/control"
	"hairpin/turnserver/stream"
)

// fitted are the bounds on what clients hold, as far as this process can hold it.
type fitted struct {
	quota   control.Quota
	streams stream.Limits
}

// Every allocation and every connection takes a file descriptor. Of those there are,
// allocations get at most three quarters and connections over TCP an eighth, so that
// HTTP, health above all, and the process itself always find one.
const (
	allocationShare = 0.75
	connectionShare = 0.125
)

// fit lowers the bounds to what the limit of open files leaves room for. A bound that
// was lifted stays lifted.
func fit(c *loadedConfig, log *slog.Logger) fitted {
	f := fitted{quota: quota(c), streams: stream.DefaultLimits()}
	f.streams.PerAddress = c.MaxConnectionsPerAddress
	f.streams.Total = c.MaxConnections
	files, known := openFiles()
	if !known {
		return f
	}
	lower := func(bound *int, key string, share float64) {
		if most := int(float64(files) * share); *bound > most {
			log.Info("a bound is lowered to what the limit of open files leaves room for",
				"key", key, "from", *bound, "to", most, "open_files", files)
			*bound = most
		}
	}
	lower(&f.quota.Allocations, "max_allocations", allocationShare)
	lower(&f.streams.Total, "max_connections", connectionShare)
	return f
}
