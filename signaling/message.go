package signaling

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
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
	TypeResume    Type = "resume"
	TypeQuality   Type = "quality"
	TypeLock      Type = "lock"
	TypeUnlock    Type = "unlock"
	TypeRemove    Type = "remove"
)

// Types lists every [Type], in a fixed order.
func Types() []Type {
	return []Type{
		TypeJoin, TypeOffer, TypeAnswer, TypeCandidate, TypeLeave,
		TypeResume, TypeQuality, TypeLock, TypeUnlock, TypeRemove,
	}
}

// ClientID names one member in its room. The server makes it, of at least 128 random bits; whoever
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
	Resume bool   // the client wants to be able to resume
}

// Resume asks for the membership whose socket was lost.
type Resume struct {
	RoomID   string
	ClientID ClientID
	Secret   Secret
	Received uint64 // messages that the client got since it joined; see PROTOCOL.md for what counts
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
	Resume      Resume          // of TypeResume
	Target      ClientID        // of the others; where it may be empty, that means all other members
	Description Description     // of TypeOffer and TypeAnswer
	SendsMedia  bool            // of TypeOffer and TypeAnswer: it says that audio or video may be sent
	Candidate   json.RawMessage // of TypeCandidate: an RTCIceCandidateInit, or null at the end of candidates
	Quality     Quality         // of TypeQuality
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
	case TypeResume:
		m.Resume, refusal = parseResume(o, limits)
		return m, refusal
	case TypeLeave, TypeLock, TypeUnlock:
		return m, nil
	case TypeOffer, TypeAnswer:
		m.Description, m.SendsMedia, refusal = parseDescription(o, m.Type, limits)
	case TypeCandidate:
		m.Candidate, refusal = parseCandidate(o, limits)
	case TypeQuality:
		m.Quality, refusal = parseQuality(o)
	case TypeRemove:
	default:
		return Message{}, refuse(ReasonUnknownType, `"type" must be join, resume, offer, answer, candidate, quality, lock, unlock, remove or leave.`)
	}
	if refusal != nil {
		return Message{}, refusal
	}
	m.Target, refusal = parseTarget(o, m.Type == TypeQuality || m.Type == TypeRemove)
	return m, refusal
}

func parseJoin(o object, limits Limits) (Join, *Refusal) {
	room, _, roomOK := o.text("roomId")
	token, _, tokenOK := o.text("token")
	name, _, nameOK := o.text("name")
	resume, resumeOK := o.flag("resume")
	switch {
	case !roomOK || !isRoomID(room, limits):
		return Join{}, refuse(ReasonBadMessage, badRoomID)
	case !tokenOK || len(token) > limits.TokenBytes:
		return Join{}, refuse(ReasonBadMessage, `"token" must be a text, and not this long.`)
	case !nameOK || utf8.RuneCountInString(name) > limits.NameRunes || hasControl(name):
		return Join{}, refuse(ReasonBadMessage, `"name" must be a short text without control characters.`)
	case !resumeOK:
		return Join{}, refuse(ReasonBadMessage, `"resume" must be true or false.`)
	}
	return Join{RoomID: room, Token: Secret(token), Name: name, Resume: resume}, nil
}

const badRoomID = `"roomId" must be a short text, not empty and without control characters.`

func isRoomID(room string, limits Limits) bool {
	return room != "" && len(room) <= limits.RoomIDBytes && !hasControl(room)
}

// maxIDBytes bounds ids and secrets of the server's that a client repeats: both have 26 characters; the
// bound leaves room for other makers of them.
const maxIDBytes = 128

func parseResume(o object, limits Limits) (Resume, *Refusal) {
	room, _, roomOK := o.text("roomId")
	id, _, idOK := o.text("clientId")
	secret, _, secretOK := o.text("secret")
	received, receivedOK := o.count("received")
	switch {
	case !roomOK || !isRoomID(room, limits):
		return Resume{}, refuse(ReasonBadMessage, badRoomID)
	case !idOK || id == "" || len(id) > maxIDBytes:
		return Resume{}, refuse(ReasonBadMessage, `"clientId" must be the id that the room-users message gave.`)
	case !secretOK || secret == "" || len(secret) > maxIDBytes:
		return Resume{}, refuse(ReasonBadMessage, `"secret" must be the last one that the server sent.`)
	case !receivedOK:
		return Resume{}, refuse(ReasonBadMessage, `"received" must be the number of messages got since the join.`)
	}
	return Resume{RoomID: room, ClientID: ClientID(id), Secret: Secret(secret), Received: received}, nil
}

func hasControl(s string) bool { return strings.IndexFunc(s, unicode.IsControl) >= 0 }

// parseTarget reads the addressee. An empty one is refused: it is more likely a client's mistake than
// the wish to tell everybody.
func parseTarget(o object, required bool) (ClientID, *Refusal) {
	id, present, ok := o.text("targetClientId")
	switch {
	case required && !present:
		return "", refuse(ReasonBadMessage, `"targetClientId" must be the id of a member.`)
	case !ok || len(id) > maxIDBytes || present && id == "":
		return "", refuse(ReasonBadMessage, `"targetClientId" must be the id of a member; leave it out to send to all others.`)
	}
	return ClientID(id), nil
}

// parseDescription reads the member named like the message's type. A rollback is refused: it undoes
// a description where it was set and never travels.
func parseDescription(o object, as Type, limits Limits) (d Description, sendsMedia bool, _ *Refusal) {
	description, ok := asObject(o[string(as)])
	if !ok {
		return d, false, refuse(ReasonBadMessage, `The message must carry an RTCSessionDescription under the name of its type.`)
	}
	kind, _, _ := description.text("type")
	if kind != string(as) && (as != TypeAnswer || kind != "pranswer") {
		return d, false, refuse(ReasonBadMessage, `The description's "type" must be that of the message.`)
	}
	text, present, ok := description.text("sdp")
	if !ok || !present {
		return d, false, refuse(ReasonBadMessage, `The description's "sdp" must be a text.`)
	}
	sendsMedia, refusal := checkSDP(text, limits.SDPBytes)
	if refusal != nil {
		return d, false, refusal
	}
	return Description{Type: kind, SDP: text}, sendsMedia, nil
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
