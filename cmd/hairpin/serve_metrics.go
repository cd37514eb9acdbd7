package main

import (
	"hairpin/signaling"
	"hairpin/turnserver"
	"hairpin/turnserver/control"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/stream"

	"github.com/prometheus/client_golang/prometheus"
)

// collector turns what the relay and signaling count into metrics when they are asked
// for. No label has a value that a client chooses.
type collector struct {
	turn *turnserver.Server
	hub  *signaling.Hub

	allocations, packets, bytes, dropped, refused, bindings, withheld *prometheus.Desc
	connections, accepted, turnedAway, closed                         *prometheus.Desc
	rooms, members, sockets, messages, refusedMessages                *prometheus.Desc
	offload                                                           offloadMetrics
}

func newCollector(turn *turnserver.Server, hub *signaling.Hub) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("hairpin_"+name, help, labels, nil)
	}
	return &collector{
		turn: turn, hub: hub,
		allocations: desc("allocations", "Allocations that live, by the client's transport.", "transport"),
		packets:     desc("relayed_packets_total", "Packets relayed, by the client's transport and where they went. What a socket or a slow client then did not take is among the dropped too.", "transport", "direction"),
		bytes:       desc("relayed_bytes_total", "Payload bytes relayed, framing aside.", "transport", "direction"),
		dropped:     desc("dropped_packets_total", "Packets that were not relayed, by why.", "reason"),
		refused:     desc("refused_requests_total", "STUN and TURN requests refused, by why. no-credentials is how every client begins.", "reason"),
		bindings:    desc("bindings_total", "STUN Binding requests answered."),
		withheld:    desc("withheld_answers_total", "Answers not sent to who proved nothing and asked too often, by whose budget was spent.", "reason"),

		connections: desc("stream_connections", "Client connections over TCP that are open."),
		accepted:    desc("stream_accepted_total", "Client connections over TCP accepted."),
		turnedAway:  desc("stream_refused_total", "Client connections over TCP closed at once, by the cap they hit.", "reason"),
		closed:      desc("stream_closed_total", "Client connections over TCP that ended, by why.", "reason"),

		offload: newOffloadMetrics(),

		rooms:           desc("signaling_rooms", "Rooms with members."),
		members:         desc("signaling_members", "Members of rooms."),
		sockets:         desc("signaling_sockets", "WebSockets, those that have not joined included."),
		messages:        desc("signaling_messages_total", "Messages taken from clients, by type.", "type"),
		refusedMessages: desc("signaling_refused_total", "Messages and connections refused, by why.", "reason"),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	stats := c.turn.Stats()
	for _, t := range relay.Transports() {
		gauge(c.allocations, stats.Control.Allocations[t], t.String())
		for _, d := range relay.Directions() {
			counter(c.packets, stats.Relay.Relayed[t][d].Packets, t.String(), d.String())
			counter(c.bytes, stats.Relay.Relayed[t][d].Bytes, t.String(), d.String())
		}
	}
	for _, why := range relay.Drops() {
		counter(c.dropped, stats.Relay.Dropped[why], why.String())
	}
	for _, why := range control.Reasons() {
		counter(c.refused, stats.Control.Refused[why], why.String())
	}
	counter(c.bindings, stats.Control.Bindings)
	for _, why := range turnserver.AllWithheld() {
		counter(c.withheld, stats.Withheld[why], why.String())
	}
	c.offload.collect(stats.Offload, counter, gauge)
	c.collectStreams(stats.Streams, counter, gauge)
	c.collectSignaling(counter, gauge)
}

type (
	count func(d *prometheus.Desc, n uint64, labels ...string)
	level func(d *prometheus.Desc, n int, labels ...string)
)

func (c *collector) collectStreams(all []stream.Counters, counter count, gauge level) {
	var sum stream.Counters
	for _, s := range all {
		sum.Open += s.Open
		sum.Accepted += s.Accepted
		sum.RefusedAddress += s.RefusedAddress
		sum.RefusedTotal += s.RefusedTotal
		for why, n := range s.Closed {
			sum.Closed[why] += n
		}
	}
	gauge(c.connections, sum.Open)
	counter(c.accepted, sum.Accepted)
	counter(c.turnedAway, sum.RefusedAddress, "address")
	counter(c.turnedAway, sum.RefusedTotal, "total")
	for why, n := range sum.Closed {
		counter(c.closed, n, stream.Reason(why).String())
	}
}

func (c *collector) collectSignaling(counter count, gauge level) {
	stats := c.hub.Stats()
	gauge(c.rooms, stats.Rooms)
	gauge(c.members, stats.Members)
	gauge(c.sockets, stats.Sockets)
	for kind, n := range stats.Messages {
		counter(c.messages, n, string(kind))
	}
	for why, n := range stats.Refusals {
		counter(c.refusedMessages, n, string(why))
	}
}
