package signaling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Config says who may use a [Hub], and how much.
type Config struct {
	// Limits are DefaultLimits where zero.
	Limits Limits

	// AllowedOrigins are the origins, beside the server's own, whose pages may connect, exactly as
	// browsers send them: https://app.example.com.
	AllowedOrigins []string

	// OriginOptional lets clients that send no Origin connect without a bearer token. They are no
	// browsers, so this opens nothing to web pages; Authorize still decides.
	OriginOptional bool

	// Authorize decides who may join which room. It is required. It may take its time, up to
	// Limits.JoinTimeout from the upgrade on, and must return when r's context ends. Any error
	// refuses the join as ReasonUnauthorized; the client cannot tell a room that does not exist
	// from one that it may not join.
	Authorize func(r *http.Request, join Join) (Member, error)

	// ICEServers makes the ICE servers of a member, with fresh credentials. Without it none are sent.
	// It must not block. It is called when a member joins and again before they expire.
	ICEServers func(Member) (ICEServers, error)

	// Removed is told of a user that a moderator removed from a room, by his Tenant, Room and User, to
	// end what else he holds there. It must not block. Nil is nobody.
	Removed func(Member)

	// Report takes reports of connections into statistics. It must not block. Nil is nobody.
	Report func(Report)

	// ClientAddr is the address that limits go by, the connection's where nil.
	ClientAddr func(*http.Request) netip.Addr

	// Bus joins hubs; where nil, the hub has one of its own.
	Bus Bus

	// Logger is told who joins and leaves; nil is silence.
	Logger *slog.Logger
}

// Member is what [Config.Authorize] lets in.
type Member struct {
	User         string // who it is in the tenant's rooms, and whom a removal keeps out; the client's id where empty
	Tenant       string // whose room it is: rooms of one name and several tenants are several; may be empty
	Room         string // the join's RoomID where empty; without NUL
	Name         string // shown to the others; the join's where empty
	Capabilities Capabilities
}

// ICEServer is an RTCIceServer (W3C WebRTC).
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential Secret   `json:"credential,omitempty"`
}

// ICEServers are what a member sets its connections up with.
type ICEServers struct {
	Servers   []ICEServer
	TTL       time.Duration // from now; zero where nothing in them expires
	ExpiresAt time.Time     // the same, absolute
}

// Hub serves rooms over WebSocket. Its methods may be called concurrently.
type Hub struct {
	config    Config
	limits    Limits
	log       *slog.Logger
	bus       Bus
	addresses *addresses
	removals  removals
	counters  *counters

	// ctx ends when sockets are no longer closed politely, but at once.
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards all below
	closing bool
	peers   map[*peer]struct{}
	rooms   map[string]*room
	seats   map[ClientID]*seat // that can be resumed
	served  sync.WaitGroup     // one for each peer; added to under mu, and not while closing
}

// NewHub reports every fault of the configuration in one error.
func NewHub(config Config) (*Hub, error) {
	if config.Limits == (Limits{}) {
		config.Limits = DefaultLimits()
	}
	var missing error
	if config.Authorize == nil {
		missing = errors.New("who may join is not said: Authorize is nil")
	}
	if err := errors.Join(config.Limits.Validate(), checkOrigins(config.AllowedOrigins), missing); err != nil {
		return nil, fmt.Errorf("signaling: %w", err)
	}
	h := &Hub{
		config:    config,
		limits:    config.Limits,
		log:       config.Logger,
		bus:       config.Bus,
		addresses: newAddresses(config.Limits),
		counters:  newCounters(),
		peers:     map[*peer]struct{}{},
		rooms:     map[string]*room{},
		seats:     map[ClientID]*seat{},
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.bus == nil {
		h.bus = &LocalBus{}
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

// ServeHTTP upgrades the request and serves the socket until it ends. What it refuses before the
// upgrade is answered by an RFC 9457 problem document with a "reason".
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := newPeer(h, r)
	if refusal := h.admit(p, r); refusal != nil {
		h.counters.refusals[refusal.Reason].Add(1)
		writeProblem(w, refusal)
		return
	}
	defer h.release(p)
	conn, err := websocket.Accept(throttled{w, h.limits, h.ctx}, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the origin was checked above, and more strictly
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     func(context.Context, []byte) bool { return p.takeControl() },
		OnPongReceived:     func(context.Context, []byte) { p.takeControl() },
	})
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(int64(h.limits.MessageBytes))
	p.serve(conn)
}

// admit takes a place for the peer, to be given back by release.
func (h *Hub) admit(p *peer, r *http.Request) *Refusal {
	if refusal := h.config.checkHandshake(r); refusal != nil {
		return refusal
	}
	if refusal := h.addresses.open(p.network); refusal != nil {
		return refusal
	}
	refusal := h.add(p)
	if refusal != nil {
		h.addresses.release(p.network)
	}
	return refusal
}

func (h *Hub) add(p *peer) *Refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closing:
		return refuse(ReasonShuttingDown, "The server is shutting down.")
	case len(h.peers) >= h.limits.Sockets:
		return refuse(ReasonOverloaded, "The server has too many clients; try again later.")
	}
	h.peers[p] = struct{}{}
	h.served.Add(1)
	return nil
}

func (h *Hub) release(p *peer) {
	h.addresses.release(p.network)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.peers, p)
	h.served.Done()
}

// enter finds or makes the seat's room and prepares it for the join event. Success is undone by exit.
func (h *Hub) enter(s *seat) *Refusal {
	r := h.acquire(s)
	if r == nil {
		return refuse(ReasonTooManyRooms, "The server has no room left for another room; try again later.")
	}
	s.room = r
	r.expect(s)
	if err := r.subscribe(h.bus); err != nil {
		h.log.Error("cannot subscribe to a room", "error", err)
		h.exit(r, s)
		return refuse(ReasonInternal, "The room cannot be reached at the moment.")
	}
	return nil
}

// acquire counts one seat more in its room; nil means that there are too many rooms.
func (h *Hub) acquire(s *seat) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := roomKey(s.member.Tenant, s.member.Room)
	r := h.rooms[key]
	if r == nil {
		if len(h.rooms) >= h.limits.Rooms {
			return nil
		}
		r = newRoom(h, s.member.Tenant, s.member.Room)
		h.rooms[key] = r
	}
	r.seats++
	if s.keeps {
		h.seats[s.id] = s
	}
	return r
}

func (h *Hub) exit(r *room, s *seat) {
	r.forget(s)
	if h.relinquish(r, s) && r.cancel != nil {
		r.cancel()
	}
}

// relinquish reports whether the room's last seat is gone, and with it the room.
func (h *Hub) relinquish(r *room, s *seat) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seats, s.id)
	if r.seats--; r.seats > 0 {
		return false
	}
	delete(h.rooms, r.key)
	return true
}

// seat returns the seat that may be resumed, or nil.
func (h *Hub) seat(id ClientID) *seat {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seats[id]
}

// waitFor counts a seat whose socket was lost, if it may wait for another. backFrom undoes it.
func (h *Hub) waitFor(s *seat) bool {
	if !h.addresses.hold(s.network) {
		return false
	}
	h.counters.away.Add(1)
	return true
}

func (h *Hub) backFrom(s *seat) {
	h.addresses.drop(s.network)
	h.counters.away.Add(-1)
}

// remove has a moderator remove a member, and all others of its user, from a room. Of the moderator's own
// user that is one member alone, who may come back: nobody shuts himself out.
func (h *Hub) remove(r *room, by, id ClientID) *Refusal {
	user, own, known := r.userOf(id, by)
	if !known {
		return refuseTarget()
	}
	if err := h.bus.Publish(r.key, Event{Kind: EventRemove, From: by, To: id}); err != nil {
		h.log.Error("cannot publish to a room", "error", err)
		return refuse(ReasonInternal, "The room cannot be reached at the moment.")
	}
	h.log.Info("member removed", "tenant", r.tenant, "room", r.name, "client", string(id), "by", string(by))
	if h.config.Removed != nil && !own {
		h.config.Removed(Member{Tenant: r.tenant, Room: r.name, User: user})
	}
	return nil
}

// Rooms returns what is to be known of the rooms, in the order of their tenants and names.
func (h *Hub) Rooms() []RoomInfo {
	var infos []RoomInfo
	for _, r := range h.allRooms() {
		infos = append(infos, r.info())
	}
	slices.SortFunc(infos, func(a, b RoomInfo) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Name, b.Name))
	})
	return infos
}

func (h *Hub) allRooms() []*room {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.rooms))
}

// Stats returns the hub's numbers.
func (h *Hub) Stats() Stats {
	s := h.counters.snapshot()
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Rooms, s.Sockets = len(h.rooms), len(h.peers)
	return s
}

// Shutdown takes no new sockets, closes all others with 1001, waits until they are gone, and ends the
// memberships that waited for sockets. When ctx
// ends first it cuts them off, waits for that, and returns the context's error.
func (h *Hub) Shutdown(ctx context.Context) error {
	for _, p := range h.beginShutdown() {
		p.refuse(refuse(ReasonShuttingDown, "The server is shutting down."))
	}
	gone := make(chan struct{})
	go func() {
		h.served.Wait()
		close(gone)
	}()
	defer h.cancel()
	defer h.endSeats()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		h.cancel()
		<-gone
		return fmt.Errorf("signaling: not all sockets were closed politely: %w", ctx.Err())
	}
}

// endSeats ends the memberships that wait for sockets.
func (h *Hub) endSeats() {
	h.mu.Lock()
	seats := slices.Collect(maps.Values(h.seats))
	h.mu.Unlock()
	for _, s := range seats {
		s.expire()
	}
}

func (h *Hub) beginShutdown() []*peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closing = true
	peers := make([]*peer, 0, len(h.peers))
	for p := range h.peers {
		peers = append(peers, p)
	}
	return peers
}
