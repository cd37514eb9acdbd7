package signaling

import "time"

// Capabilities are what a member may do, beside receiving and talking over data channels.
type Capabilities struct {
	Publish  bool `json:"publish,omitempty"`  // send audio and video
	Moderate bool `json:"moderate,omitempty"` // lock and unlock the room, remove members
}

// List names the capabilities, as clients are told them.
func (c Capabilities) List() []string {
	names := []string{}
	if c.Publish {
		names = append(names, "publish")
	}
	if c.Moderate {
		names = append(names, "moderate")
	}
	return names
}

// resumption is what a client needs to resume.
type resumption struct {
	Secret string `json:"secret"`
	Grace  int64  `json:"graceSeconds"`
}

func resumptionWith(secret Secret, grace time.Duration) *resumption {
	return &resumption{Secret: string(secret), Grace: int64(grace / time.Second)}
}

// roomUsers is the answer to a join.
type roomUsers struct {
	Type         string              `json:"type"`
	Users        []ClientID          `json:"users"`
	ClientID     ClientID            `json:"clientId"`
	Names        map[ClientID]string `json:"names"`
	Capabilities []string            `json:"capabilities"`
	Locked       bool                `json:"locked"`
	Capacity     int                 `json:"capacity"`
	Resume       *resumption         `json:"resume,omitempty"`
}

func (u roomUsers) frame() []byte {
	u.Type = "room-users"
	return encode(u)
}

func resumedFrame(id ClientID, r *resumption, received uint64) []byte {
	return encode(struct {
		Type     string   `json:"type"`
		ClientID ClientID `json:"clientId"`
		*resumption
		Received uint64 `json:"received"`
	}{"resumed", id, r, received})
}

func userJoinedFrame(id ClientID, name string) []byte {
	return encode(struct {
		Type     string   `json:"type"`
		ClientID ClientID `json:"clientId"`
		Name     string   `json:"name,omitempty"`
	}{"user-joined", id, name})
}

// userLeftFrame tells of the end of a member. The reason is empty or ReasonRemoved.
func userLeftFrame(id ClientID, reason Reason) []byte {
	return encode(struct {
		Type     string   `json:"type"`
		ClientID ClientID `json:"clientId"`
		Reason   Reason   `json:"reason,omitempty"`
	}{"user-left", id, reason})
}

// roomLockFrame tells who locked or unlocked the room; nobody did where the id is empty.
func roomLockFrame(locked bool, by ClientID) []byte {
	kind := "room-unlocked"
	if locked {
		kind = "room-locked"
	}
	return encode(struct {
		Type     string   `json:"type"`
		ClientID ClientID `json:"clientId,omitempty"`
	}{kind, by})
}

func iceServersFrame(s ICEServers) []byte {
	servers := s.Servers
	if servers == nil {
		servers = []ICEServer{}
	}
	out := struct {
		Type      string      `json:"type"`
		Servers   []ICEServer `json:"iceServers"`
		TTL       int64       `json:"ttl,omitempty"` // seconds
		ExpiresAt string      `json:"expiresAt,omitempty"`
	}{Type: "ice-servers", Servers: servers, TTL: int64(s.TTL / time.Second)}
	if !s.ExpiresAt.IsZero() {
		out.ExpiresAt = s.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return encode(out)
}

func errorFrame(r *Refusal) []byte {
	return encode(struct {
		Type    string `json:"type"`
		Reason  Reason `json:"reason"`
		Message string `json:"message"`
	}{"error", r.Reason, r.Text})
}
