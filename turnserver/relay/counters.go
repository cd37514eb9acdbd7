package relay

import "sync/atomic"

// shards is how many workers count apart before they begin to share; more than the
// cores of most machines.
const shards = 64

// shard is what the workers of one slot have counted, on cache lines of its own.
type shard struct {
	relayed [transports][directions]counter
	dropped [drops]atomic.Uint64
	_       [64]byte
}

// Totals are what the data plane has done since the table was made, allocations that
// are gone and what the Offload has relayed included.
type Totals struct {
	Relayed [transports][directions]Counts
	Dropped [drops]uint64
}

// Totals adds up what the workers have counted. It may be called at any time.
func (t *Table) Totals() Totals {
	var sum Totals
	for i := range t.shards {
		s := &t.shards[i]
		for transport := range s.relayed {
			for d := range s.relayed[transport] {
				sum.Relayed[transport][d].Packets += s.relayed[transport][d].packets.Load()
				sum.Relayed[transport][d].Bytes += s.relayed[transport][d].bytes.Load()
			}
		}
		for why := range s.dropped {
			sum.Dropped[why] += s.dropped[why].Load()
		}
	}
	if t.offload != nil {
		for _, d := range Directions() {
			sum.Relayed[UDP][d].add(t.offload.Totals(d))
		}
	}
	return sum
}
