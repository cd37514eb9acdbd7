package web

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"

	"hairpin/credentials"
)

// TokenAsk is what a join token is asked for.
type TokenAsk struct {
	Tenant            string // the holder of the API key
	Room              string // a room, or a prefix of rooms followed by *; may be nonsense
	User              string
	Name              string // may be nonsense
	Publish, Moderate bool
	TTL               time.Duration // from 1 second to MaxTTL
}

// Token is a join token.
type Token struct {
	Text      string
	ExpiresAt time.Time
}

// Rooms is what the routes about rooms and the dashboard show and give. Its functions are called by many
// goroutines.
type Rooms struct {
	// Mint returns a join token. Its errors are shown, so they repeat nothing of the ask.
	Mint func(TokenAsk) (Token, error)

	// List returns the rooms of a tenant, and those of no tenant, as JSON has them.
	List func(tenant string) any

	// Server returns the server's figures, as JSON has them.
	Server func() any
}

// tokenAnswer is the answer of POST /v1/rooms/{room}/tokens.
type tokenAnswer struct {
	Token        string    `json:"token"`
	Room         string    `json:"room"`
	User         string    `json:"user"`
	Capabilities []string  `json:"capabilities"`
	TTL          int       `json:"ttl"` // seconds
	ExpiresAt    time.Time `json:"expiresAt"`
}

// roomRoutes are the routes of Config.Rooms.
func (h *Handler) roomRoutes(api chi.Router) {
	api.Use(h.sameOrigin)
	api.Post("/v1/rooms/{room}/tokens", h.postToken)
	api.Get("/v1/rooms", h.getRooms)
	api.Get("/v1/admin", h.getAdmin)
}

// postToken serves POST /v1/rooms/{room}/tokens.
func (h *Handler) postToken(w http.ResponseWriter, r *http.Request) {
	name, no := h.keyName(r)
	if no == nil {
		no = h.spend(caller("key " + name))
	}
	var ask TokenAsk
	if no == nil {
		ask, no = h.parseTokenAsk(w, r)
	}
	if no != nil {
		h.refuse(w, no)
		return
	}
	ask.Tenant = name
	token, err := h.config.Rooms.Mint(ask)
	if err != nil {
		h.refuse(w, deny(ReasonBadGrant, "Such a token cannot be: "+err.Error()+"."))
		return
	}
	writeJSON(w, http.StatusCreated, "application/json", tokenAnswer{
		Token: token.Text, Room: ask.Room, User: ask.User, Capabilities: ask.capabilities(),
		TTL: int(ask.TTL / time.Second), ExpiresAt: token.ExpiresAt.UTC(),
	})
}

func (a TokenAsk) capabilities() []string {
	list := []string{}
	if a.Publish {
		list = append(list, "publish")
	}
	if a.Moderate {
		list = append(list, "moderate")
	}
	return list
}

// parseTokenAsk reads the room from the path and the rest from the body, which may be empty.
func (h *Handler) parseTokenAsk(w http.ResponseWriter, r *http.Request) (TokenAsk, *refusal) {
	room, no := pathParam(r, "room")
	if no != nil {
		return TokenAsk{}, no
	}
	asked := struct {
		User         string       `json:"user"`
		Name         string       `json:"name"`
		TTL          *json.Number `json:"ttl"`
		Capabilities *[]string    `json:"capabilities"`
	}{}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	switch {
	case err != nil:
		return TokenAsk{}, denyBody(err)
	case len(body) > 0 && mediaType(r) != "application/json":
		return TokenAsk{}, deny(ReasonBadMediaType, "Send the body as JSON, with the header Content-Type: application/json.")
	case len(body) > 0 && !isOneObject(body, &asked):
		return TokenAsk{}, deny(ReasonBadJSON, `The body must be like {"user":"alice","ttl":3600,"name":"Alice","capabilities":["publish","moderate"]}.`)
	}
	ask := TokenAsk{Room: room, User: asked.User, Name: asked.Name, TTL: h.config.DefaultTTL, Publish: true}
	if asked.TTL != nil {
		ttl, ok := h.parseTTL(asked.TTL.String())
		if !ok {
			return TokenAsk{}, h.denyTTL()
		}
		ask.TTL = ttl
	}
	if asked.Capabilities != nil {
		if ask.Publish, ask.Moderate, no = parseCapabilities(*asked.Capabilities); no != nil {
			return TokenAsk{}, no
		}
	}
	if ask.User == "" {
		ask.User = rand.Text()
	}
	if err := credentials.CheckUser(ask.User); err != nil {
		return TokenAsk{}, denyUser(err)
	}
	return ask, nil
}

// pathParam returns a parameter of the path, decoded once: it was already, unless the path has an encoding
// that its decoded form does not tell of, which routes go by then.
func pathParam(r *http.Request, name string) (string, *refusal) {
	value := chi.URLParam(r, name)
	if r.URL.RawPath == "" {
		return value, nil
	}
	value, err := url.PathUnescape(value)
	if err != nil {
		return "", denyQuery()
	}
	return value, nil
}

// isOneObject fills into from body, if that is one object of members that are known.
func isOneObject(body []byte, into any) bool {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) || decoder.Decode(into) != nil {
		return false
	}
	_, err := decoder.Token()
	return err == io.EOF
}

func parseCapabilities(names []string) (publish, moderate bool, _ *refusal) {
	for _, name := range names {
		switch name {
		case "publish":
			publish = true
		case "moderate":
			moderate = true
		default:
			return false, false, deny(ReasonBadGrant, "Capabilities are publish and moderate; there are no others.")
		}
	}
	return publish, moderate, nil
}

// keyName returns the name of the holder of the API key.
func (h *Handler) keyName(r *http.Request) (string, *refusal) {
	key, no := bearer(r)
	switch {
	case no != nil:
		return "", no
	case key == "":
		return "", h.denyMissingKey()
	}
	return h.holder(r, key)
}

// viewer is keyNameOrDemo, for what costs more to show than to ask for: it counts on a rate of its own,
// so that a dashboard takes nothing of what the key may mint.
func (h *Handler) viewer(r *http.Request) (string, *refusal) {
	name, no := h.keyNameOrDemo(r)
	if no == nil {
		no = h.spend(caller("view " + name))
	}
	return name, no
}

// keyNameOrDemo is keyName, but nobody's name for this machine where demo mode is on.
func (h *Handler) keyNameOrDemo(r *http.Request) (string, *refusal) {
	if h.config.Demo == DemoOff || len(r.Header.Values("Authorization")) > 0 {
		return h.keyName(r)
	}
	if no := h.refuseRemote(r); no != nil {
		return "", no
	}
	if isForeignFetch(r) {
		return "", denyOrigin()
	}
	return "", nil
}

// roomsAnswer is the answer of GET /v1/rooms.
type roomsAnswer struct {
	Rooms any `json:"rooms"`
}

// getRooms serves GET /v1/rooms.
func (h *Handler) getRooms(w http.ResponseWriter, r *http.Request) {
	tenant, no := h.viewer(r)
	if no != nil {
		h.refuse(w, no)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", roomsAnswer{h.config.Rooms.List(tenant)})
}

// getAdmin serves GET /v1/admin, which the dashboard shows.
func (h *Handler) getAdmin(w http.ResponseWriter, r *http.Request) {
	tenant, no := h.viewer(r)
	if no != nil {
		h.refuse(w, no)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", struct {
		Now    time.Time `json:"now"`
		Server any       `json:"server"`
		roomsAnswer
	}{h.config.Now().UTC(), h.config.Rooms.Server(), roomsAnswer{h.config.Rooms.List(tenant)}})
}
