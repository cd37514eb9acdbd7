package web

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"hairpin/credentials"
)

// iceServersAnswer goes into new RTCPeerConnection() as it is: the members that the
// constructor does not know are left alone by it.
type iceServersAnswer struct {
	ICEServers []iceServer `json:"iceServers"`
	Policy     string      `json:"iceTransportPolicy"`
	TTL        int         `json:"ttl"` // seconds
	ExpiresAt  time.Time   `json:"expiresAt"`
}

type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

type credentialsAnswer struct {
	Username  string    `json:"username"`
	Password  string    `json:"password"`
	TTL       int       `json:"ttl"` // seconds
	ExpiresAt time.Time `json:"expiresAt"`
	URIs      []string  `json:"uris"`
}

// turnRESTAnswer has the four members of draft-uberti-behave-turn-rest-00 §2.2.
type turnRESTAnswer struct {
	Username string   `json:"username"`
	Password string   `json:"password"`
	TTL      int      `json:"ttl"` // seconds
	URIs     []string `json:"uris"`
}

// getICEServers serves GET /v1/ice-servers.
func (h *Handler) getICEServers(w http.ResponseWriter, r *http.Request) {
	who, no := h.byKeyOrDemo(r)
	if no != nil {
		h.refuse(w, no)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.refuse(w, denyQuery())
		return
	}
	ask, no := h.parseValues(query, "user")
	if no != nil {
		h.refuse(w, no)
		return
	}
	h.mint(w, who, ask, http.StatusOK, func(c credentials.Credential) any {
		return h.iceServers(c)
	})
}

// iceServers shapes a credential into a configuration for browsers.
func (h *Handler) iceServers(c credentials.Credential) iceServersAnswer {
	servers := []iceServer{{URLs: h.config.ICE.TURN, Username: c.Username, Credential: c.Password}}
	if stun := h.config.ICE.STUN; len(stun) > 0 {
		servers = slices.Insert(servers, 0, iceServer{URLs: stun})
	}
	return iceServersAnswer{ICEServers: servers, Policy: "all", TTL: seconds(c), ExpiresAt: c.ExpiresAt.UTC()}
}

// postCredentials serves POST /v1/credentials.
func (h *Handler) postCredentials(w http.ResponseWriter, r *http.Request) {
	who, no := h.byKey(r, "")
	if no != nil {
		h.refuse(w, no)
		return
	}
	ask, no := h.parseJSON(w, r)
	if no != nil {
		h.refuse(w, no)
		return
	}
	h.mint(w, who, ask, http.StatusCreated, func(c credentials.Credential) any {
		return credentialsAnswer{
			Username: c.Username, Password: c.Password,
			TTL: seconds(c), ExpiresAt: c.ExpiresAt.UTC(), URIs: h.config.ICE.TURN,
		}
	})
}

// turnREST serves GET and POST /turn, for clients of other servers with such an
// endpoint. The parameters of a POST may stand in a form as well, where no log sees
// the key.
func (h *Handler) turnREST(w http.ResponseWriter, r *http.Request) {
	values, no := parseForm(w, r)
	if no != nil {
		h.refuse(w, no)
		return
	}
	who, no := h.byKey(r, values.Get("key"))
	if no != nil {
		h.refuse(w, no)
		return
	}
	if values.Get("service") != "turn" {
		h.refuse(w, deny(ReasonUnsupportedService, "Send service=turn; there is no other service."))
		return
	}
	ask, no := h.parseValues(values, "username")
	if no != nil {
		h.refuse(w, no)
		return
	}
	h.mint(w, who, ask, http.StatusOK, func(c credentials.Credential) any {
		return turnRESTAnswer{Username: c.Username, Password: c.Password, TTL: seconds(c), URIs: h.config.ICE.TURN}
	})
}

// mint answers with the credential asked for, in a shape of the route's.
func (h *Handler) mint(w http.ResponseWriter, who caller, ask ask, status int, shape func(credentials.Credential) any) {
	if no := h.spend(who); no != nil {
		h.refuse(w, no)
		return
	}
	if ask.user == "" {
		ask.user = rand.Text()
	}
	credential, err := h.config.Mint(ask.user, ask.ttl)
	switch {
	case errors.Is(err, credentials.ErrInvalidUser):
		h.refuse(w, denyUser(err))
	case err != nil:
		h.config.Logger.Error("cannot mint a credential", "error", err)
		h.refuse(w, deny(ReasonInternal, "The server cannot mint credentials now. Its log says why."))
	default:
		writeJSON(w, status, "application/json", shape(credential))
	}
}

func seconds(c credentials.Credential) int { return int(c.TTL / time.Second) }
