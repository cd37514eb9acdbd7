package web

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes are served at once; the others get a 503.
const maxScrapes = 4

// metrics are the numbers of HTTP itself. All labels are of fixed sets: no path, no
// method and no name of a client's choice becomes one.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refusals *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hairpin_http_requests_total",
			Help: "HTTP requests answered, by route, method and class of status.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "hairpin_http_request_duration_seconds",
			Help:    "Time to answer an HTTP request, those of the signaling route aside.",
			Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5},
		}, []string{"route"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hairpin_http_refusals_total",
			Help: "HTTP requests refused, by reason.",
		}, []string{"reason"}),
	}
	for reason := range kinds {
		m.refusals.WithLabelValues(string(reason)) // A counter that starts at 0 shows its first step.
	}
	return m
}

// count adds a request of a route, which is a template and not a path.
func (m *metrics) count(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, methodClass(method), statusClass(status)).Inc()
	if route != signalRoute {
		m.duration.WithLabelValues(route).Observe(took.Seconds())
	}
}

func methodClass(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions:
		return method
	}
	return "other"
}

func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status/100) + "xx"
}

// registry returns a registry of HTTP's own numbers, the process's, Go's, and others.
func (m *metrics) registry(others []prometheus.Collector) (*prometheus.Registry, error) {
	all := append([]prometheus.Collector{
		m.requests, m.duration, m.refusals,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, others...)
	registry := prometheus.NewRegistry()
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// scrapeHandler serves what registry gathers.
func scrapeHandler(registry *prometheus.Registry, logger *slog.Logger) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError, // One broken number must not hide the others.
		MaxRequestsInFlight: maxScrapes,
	})
}

// getMetrics serves /metrics to this machine and to holders of a key.
func (h *Handler) getMetrics(w http.ResponseWriter, r *http.Request) {
	if !h.config.MetricsAnywhere && h.refuseRemote(r) != nil {
		if _, no := h.byKey(r, ""); no != nil {
			h.refuse(w, no)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	h.scrape.ServeHTTP(w, r)
}
