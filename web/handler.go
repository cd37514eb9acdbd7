package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

const (
	// signalRoute takes as long as a call does, which suits no histogram.
	signalRoute = "/v1/signal"

	// readHeaderTimeout, readTimeout and idleTimeout end connections that hold a place
	// without asking for anything; writeTimeout those that do not take the answer. The
	// WebSocket of the signaling route is free of them all, since taking a connection
	// over (http.Hijacker) lifts its deadlines.
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second

	// maxHeaderBytes is far more than any browser sends where no cookie is set.
	maxHeaderBytes = 16 << 10
)

// Handler serves all routes. Its methods are safe for concurrent use.
type Handler struct {
	config     Config
	routes     http.Handler
	pages      map[string]*page // by path; only read
	metrics    *metrics
	scrape     http.Handler
	ready      *readiness
	minted     *budget[caller]
	failures   *budget[netip.Prefix] // by network
	clientAddr func(*http.Request) netip.Addr
}

// New returns the handler of config. Its error names every fault of config.
func New(config Config) (*Handler, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	pages, err := loadPages(config.Pages)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		config:     config,
		pages:      pages,
		metrics:    newMetrics(),
		ready:      &readiness{check: config.Ready, now: config.Now, logger: config.Logger},
		minted:     newBudget[caller](config.KeyRate),
		failures:   newBudget[netip.Prefix](config.FailureRate),
		clientAddr: ClientAddr(config.TrustedProxies),
	}
	registry, err := h.metrics.registry(config.Collectors)
	if err != nil {
		return nil, fmt.Errorf("web: metrics: %w", err)
	}
	h.scrape = scrapeHandler(registry, config.Logger)
	h.routes = h.table()
	return h, nil
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.routes.ServeHTTP(w, r) }

// table is the route table.
func (h *Handler) table() http.Handler {
	mux := chi.NewRouter()
	mux.Use(h.observe, secure, h.cors, middleware.GetHead)
	mux.Group(func(api chi.Router) {
		api.Use(h.sameOrigin)
		api.Get("/v1/ice-servers", h.getICEServers)
		api.Post("/v1/credentials", h.postCredentials)
		api.Get("/turn", h.turnREST)
		api.Post("/turn", h.turnREST)
	})
	if h.config.SelfTests != nil {
		mux.Group(func(tests chi.Router) {
			tests.Use(h.sameOrigin)
			tests.Post("/v1/self-tests", h.postSelfTest)
			tests.Get("/v1/self-tests/{id}", h.keepLocal(h.getSelfTest))
			tests.Put("/v1/self-tests/{id}/report", h.keepLocal(h.putSelfTestReport))
		})
	}
	if h.config.Rooms != nil {
		mux.Group(h.roomRoutes)
	}
	if h.config.Signal != nil {
		mux.Get(signalRoute, h.keepLocal(h.config.Signal.ServeHTTP))
	}
	mux.Get("/healthz", h.getHealth)
	mux.Get("/readyz", h.getReady)
	mux.Get("/metrics", h.getMetrics)
	mux.NotFound(h.keepLocal(h.getPage))
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		if allowed := allowedMethods(mux, r.URL.Path); allowed != "" {
			h.refuseMethod(w, allowed)
			return
		}
		mux.NotFoundHandler()(w, r) // chi comes here with any method it does not know.
	})
	return mux
}

func (h *Handler) refuseMethod(w http.ResponseWriter, allowed string) {
	w.Header().Set("Allow", allowed)
	h.refuse(w, deny(ReasonMethodNotAllowed, "This path is there for other methods: "+allowed+"."))
}

// allowedMethods is a value for the header Allow.
func allowedMethods(routes chi.Routes, path string) string {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		if routes.Match(chi.NewRouteContext(), method, path) {
			allowed = append(allowed, method)
		}
		if method == http.MethodGet && len(allowed) > 0 {
			allowed = append(allowed, http.MethodHead)
		}
	}
	return strings.Join(allowed, ", ")
}

// NewHTTPServer returns a server of handler with limits on headers and on time. Its
// Addr is empty: give it a listener. A nil logger discards.
func NewHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Strangers cause what net/http logs: broken handshakes and headers.
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}
