package signaling

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Type is the "type" of a message from a client.
type Type string

// What a client may send.
const (
	TypeJoin      Type = "join"
	TypeOffer     Type = "offer"
	TypeAnswer    Type = "answer"
	TypeCandidate Type = "candidate"
	TypeLeave     Type = "leave"
)

// Types lists every [Type], in a fixed order.
func Types() []Type {
	return []Type{TypeJoin, TypeOffer, TypeAnswer, TypeCandidate, TypeLeave}
}

// ClientID names one socket in its room. The server makes it, of at least 128 random bits; whoever
// sends one as its own is not believed.
type ClientID string

// Secret is text that prints as ***, however it is formatted.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return "***" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "***" }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// Join asks to be let into a room.
type Join struct {
	RoomID string
	Token  Secret // empty where the client sent none, or sent it as Authorization: Bearer
	Name   string // shown to the others, never interpreted; may be empty
}

// Description is an RTCSessionDescription (W3C WebRTC).
type Description struct {
	Type string `json:"type"` // offer, answer or pranswer
	SDP  string `json:"sdp"`
}

// Message is a message from a client, checked.
type Message struct {
	Type        Type
	Join        Join            // of TypeJoin
	Target      ClientID        // of the others; empty means all other members
	Description Description     // of TypeOffer and TypeAnswer
	Candidate   json.RawMessage // of TypeCandidate: an RTCIceCandidateInit, or null at the end of candidates
}

// ParseMessage reads and checks one message. The error is a [*Refusal]. The message keeps no part of
// data.
func ParseMessage(data []byte, limits Limits) (Message, error) {
	m, refusal := parseMessage(data, limits)
	if refusal != nil {
		return Message{}, refusal
	}
	return m, nil
}

func parseMessage(data []byte, limits Limits) (Message, *Refusal) {
	o, refusal := parseObject(data, limits.Depth)
	if refusal != nil {
		return Message{}, refusal
	}
	name, _, _ := o.text("type")
	m := Message{Type: Type(name)}
	switch m.Type {
	case TypeJoin:
		m.Join, refusal = parseJoin(o, limits)
		return m, refusal
	case TypeLeave:
		return m, nil
	case TypeOffer, TypeAnswer:
		m.Description, refusal = parseDescription(o, m.Type, limits)
	case TypeCandidate:
		m.Candidate, refusal = parseCandidate(o, limits)
	default:
		return Message{}, refuse(ReasonUnknownType, `"type" must be join, offer, answer, candidate or leave.`)
	}
	if refusal != nil {
		return Message{}, refusal
	}
	m.Target, refusal = parseTarget(o)
	return m, refusal
}

func parseJoin(o object, limits Limits) (Join, *Refusal) {
	room, _, roomOK := o.text("roomId")
	token, _, tokenOK := o.text("token")
	name, _, nameOK := o.text("name")
	switch {
	case !roomOK || room == "" || len(room) > limits.RoomIDBytes || hasControl(room):
		return Join{}, refuse(ReasonBadMessage, `"roomId" must be a short text, not empty and without control characters.`)
	case !tokenOK || len(token) > limits.TokenBytes:
		return Join{}, refuse(ReasonBadMessage, `"token" must be a text, and not this long.`)
	case !nameOK || utf8.RuneCountInString(name) > limits.NameRunes || hasControl(name):
		return Join{}, refuse(ReasonBadMessage, `"name" must be a short text without control characters.`)
	}
	return Join{RoomID: room, Token: Secret(token), Name: name}, nil
}

func hasControl(s string) bool { return strings.IndexFunc(s, unicode.IsControl) >= 0 }

// parseTarget reads the addressee. An empty one is refused: it is more likely a client's mistake than
// the wish to tell everybody.
func parseTarget(o object) (ClientID, *Refusal) {
	const longest = 128 // an id has 26 characters; the bound leaves room for other makers of ids
	id, present, ok := o.text("targetClientId")
	if !ok || len(id) > longest || present && id == "" {
		return "", refuse(ReasonBadMessage, `"targetClientId" must be the id of a member; leave it out to send to all others.`)
	}
	return ClientID(id), nil
}

// parseDescription reads the member named like the message's type. A rollback is refused: it undoes
// a description where it was set and never travels.
func parseDescription(o object, as Type, limits Limits) (Description, *Refusal) {
	description, ok := asObject(o[string(as)])
	if !ok {
		return Description{}, refuse(ReasonBadMessage, `The message must carry an RTCSessionDescription under the name of its type.`)
	}
	kind, _, _ := description.text("type")
	if kind != string(as) && (as != TypeAnswer || kind != "pranswer") {
		return Description{}, refuse(ReasonBadMessage, `The description's "type" must be that of the message.`)
	}
	text, present, ok := description.text("sdp")
	if !ok || !present {
		return Description{}, refuse(ReasonBadMessage, `The description's "sdp" must be a text.`)
	}
	if refusal := checkSDP(text, limits.SDPBytes); refusal != nil {
		return Description{}, refusal
	}
	return Description{Type: kind, SDP: text}, nil
}

// forward is m as its addressees get it: nothing but what m holds, and the sender as we know it.
func (m Message) forward(from ClientID) []byte {
	out := struct {
		Type      Type            `json:"type"`
		Offer     *Description    `json:"offer,omitempty"`
		Answer    *Description    `json:"answer,omitempty"`
		Candidate json.RawMessage `json:"candidate,omitempty"`
		ClientID  ClientID        `json:"clientId"`
	}{Type: m.Type, Candidate: m.Candidate, ClientID: from}
	switch m.Type {
	case TypeOffer:
		out.Offer = &m.Description
	case TypeAnswer:
		out.Answer = &m.Description
	}
	return encode(out)
}

func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // raw is valid
	return b.Bytes()
}

func roomUsersFrame(users []ClientID, own ClientID) []byte {
	return encode(struct {
		Type     string     `json:"type"`
		Users    []ClientID `json:"users"`
		ClientID ClientID   `json:"clientId"`
	}{"room-users", users, own})
}

func userJoinedFrame(id ClientID, name string) []byte {
	return encode(struct {
		Type     string   `json:"type"`
		ClientID ClientID `json:"clientId"`
		Name     string   `json:"name,omitempty"`
	}{"user-joined", id, name})
}

func userLeftFrame(id ClientID) []byte {
	return encode(struct {
		Type     string   `json:"type"`
		ClientID ClientID `json:"clientId"`
	}{"user-left", id})
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
