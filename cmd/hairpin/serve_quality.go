package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"hairpin/signaling"
)

// qualityMetrics are what clients report of their connections. The labels are of fixed sets: a report
// has been checked against them.
type qualityMetrics struct {
	roundTrip, loss, jitter, bitrate, connect *prometheus.HistogramVec
	restarts                                  prometheus.Counter
	reports                                   *prometheus.CounterVec
}

func newQualityMetrics() *qualityMetrics {
	histogram := func(name, help string, buckets ...float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hairpin_call_" + name, Help: help + ", as clients report it, by the kind of the selected candidate pair.", Buckets: buckets,
		}, []string{"pair"})
	}
	m := &qualityMetrics{
		// The edges of good and warning are among the buckets.
		roundTrip: histogram("round_trip_seconds", "Round trip of connections between members", 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2),
		loss:      histogram("loss_ratio", "Packets lost of those sent", 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25),
		jitter:    histogram("jitter_seconds", "Jitter", 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2),
		bitrate:   histogram("video_bits_per_second", "Bitrate of received video", 1e5, 2.5e5, 5e5, 1e6, 1.5e6, 2e6, 4e6, 8e6),
		connect:   histogram("connect_seconds", "Time to connect", 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hairpin_call_restarts_total", Help: "ICE restarts, as clients report them.",
		}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hairpin_call_reports_total", Help: "Reports of connections, by how good those were.",
		}, []string{"verdict"}),
	}
	for _, v := range signaling.Verdicts() {
		m.reports.WithLabelValues(string(v))
	}
	return m
}

func (m *qualityMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.roundTrip, m.loss, m.jitter, m.bitrate, m.connect, m.restarts, m.reports}
}

// observe takes a report. It may be called by many goroutines.
func (m *qualityMetrics) observe(r signaling.Report) {
	pair := r.PairType
	if pair == "" {
		pair = "unknown"
	}
	note := func(h *prometheus.HistogramVec, v *float64, unit float64) {
		if v != nil {
			h.WithLabelValues(pair).Observe(*v * unit)
		}
	}
	note(m.roundTrip, r.RoundTripMs, 1e-3)
	note(m.loss, r.LossPercent, 1e-2)
	note(m.jitter, r.JitterMs, 1e-3)
	note(m.bitrate, r.BitrateKbps, 1e3)
	note(m.connect, r.FirstConnect, 1e-3)
	m.restarts.Add(r.NewRestarts)
	m.reports.WithLabelValues(string(r.Verdict)).Inc()
}
