package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsAccess(t *testing.T) {
	for _, c := range []struct {
		name     string
		anywhere bool
		remote   string
		headers  []string
		want     Reason
	}{
		{"this machine", false, local, []string{localhost}, ""},
		{"this machine, IPv6", false, "[::1]:1", []string{"Host: [::1]:8080"}, ""},
		{"elsewhere", false, "", nil, ReasonMissingKey},
		{"elsewhere with a key", false, "", []string{bearerAlice}, ""},
		{"elsewhere with a wrong key", false, "", []string{"Authorization: Bearer wrong"}, ReasonUnknownKey},
		{"through a proxy", false, local, []string{localhost, "X-Forwarded-For: 127.0.0.1"}, ReasonMissingKey},
		{"rebound name", false, local, []string{"Host: evil.example"}, ReasonMissingKey},
		{"elsewhere, opened", true, "", nil, ""},
	} {
		h := newHandler(t, func(config *Config) { config.MetricsAnywhere = c.anywhere })
		w := do(t, h, request{line: "GET /metrics", remote: c.remote, headers: c.headers})
		if w.Code == http.StatusOK && !strings.Contains(w.Body.String(), "process_start_time_seconds") {
			t.Errorf("%s: no numbers", c.name)
		}
		if got := reasonOf(t, w); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	extra := prometheus.NewGauge(prometheus.GaugeOpts{Name: "hairpin_test_allocations"})
	extra.Set(7)
	h := newHandler(t, func(c *Config) {
		c.Collectors = []prometheus.Collector{extra}
		c.Pages = testPages()
	})
	for _, line := range []string{
		"GET /", "HEAD /index.html", "GET /style.css", "GET /nothing-1", "GET /nothing-2", "BREW /nothing",
		"GET /v1/ice-servers?user=u", "POST /v1/ice-servers", "BREW /turn",
		"GET /turn?service=turn&key=" + aliceKey, "POST /turn?service=turn&key=" + aliceKey, "OPTIONS /turn",
	} {
		do(t, h, request{line: line})
	}
	want := `
# HELP hairpin_http_requests_total HTTP requests answered, by route, method and class of status.
# TYPE hairpin_http_requests_total counter
hairpin_http_requests_total{method="GET",route="/turn",status="2xx"} 1
hairpin_http_requests_total{method="GET",route="/v1/ice-servers",status="4xx"} 1
hairpin_http_requests_total{method="GET",route="none",status="4xx"} 2
hairpin_http_requests_total{method="GET",route="page",status="2xx"} 2
hairpin_http_requests_total{method="HEAD",route="page",status="2xx"} 1
hairpin_http_requests_total{method="OPTIONS",route="none",status="4xx"} 1
hairpin_http_requests_total{method="POST",route="/turn",status="2xx"} 1
hairpin_http_requests_total{method="POST",route="none",status="4xx"} 1
hairpin_http_requests_total{method="other",route="none",status="4xx"} 2
`
	if err := testutil.CollectAndCompare(h.metrics.requests, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	w := do(t, h, request{line: "GET /metrics", remote: local, headers: []string{localhost}})
	for _, line := range []string{
		"hairpin_test_allocations 7",
		`hairpin_http_refusals_total{reason="not-found"} 3`,
		`hairpin_http_refusals_total{reason="unknown-key"} 0`,
		`hairpin_http_request_duration_seconds_count{route="/turn"} 2`,
		"go_goroutines ",
	} {
		if !strings.Contains(w.Body.String(), "\n"+line) {
			t.Errorf("no line %q", line)
		}
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	problems, err := testutil.GatherAndLint(mustRegistry(t, newMetrics()))
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func mustRegistry(t *testing.T, m *metrics) *prometheus.Registry {
	t.Helper()
	registry, err := m.registry(nil)
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

func TestCollectorTwice(t *testing.T) {
	config, _ := testConfig(t)
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "hairpin_twice"})
	config.Collectors = []prometheus.Collector{gauge, gauge}
	if _, err := New(config); err == nil {
		t.Error("a collector was taken twice")
	}
}

func TestStatusClass(t *testing.T) {
	for status, want := range map[int]string{101: "1xx", 200: "2xx", 404: "4xx", 599: "5xx", 0: "other", 700: "other"} {
		if got := statusClass(status); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}

// Every reason has a status and a title, and none is missing among them.
func TestKinds(t *testing.T) {
	for reason, k := range kinds {
		if k.status < 400 || k.title == "" || strings.ToLower(string(reason)) != string(reason) {
			t.Errorf("%q: %+v", reason, k)
		}
	}
	for _, reason := range []Reason{
		ReasonMissingKey, ReasonUnknownKey, ReasonBadAuth, ReasonRateLimited, ReasonOriginDenied, ReasonHostDenied,
		ReasonNotLocal, ReasonBadUser, ReasonBadTTL, ReasonUnsupportedService, ReasonBadQuery, ReasonBadJSON,
		ReasonBadMediaType, ReasonBodyTooLarge, ReasonBodyUnread, ReasonNotFound, ReasonMethodNotAllowed,
		ReasonNotReady, ReasonDraining, ReasonInternal,
	} {
		if _, known := kinds[reason]; !known {
			t.Errorf("%q has no status", reason)
		}
	}
}
