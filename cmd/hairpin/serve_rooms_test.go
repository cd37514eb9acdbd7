package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/probe"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
)

const appKey = "app-key-0123456789abcdef"

// keyedServe runs a server with a file of secrets and an API key of the holder app.
func keyedServe(t *testing.T, args ...string) (s *served, secretFile string) {
	t.Helper()
	dir := t.TempDir()
	secretFile = filepath.Join(dir, "secrets")
	keys := filepath.Join(dir, "keys")
	mintFile(t, secretFile, strings.Repeat("x7Q2", 5)+"-a-secret-of-this-test")
	if err := os.WriteFile(keys, []byte("app:"+appKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return startServe(t, append([]string{"--secret-file", secretFile, "--api-keys-file", keys, "--allow-loopback-for-tests"}, args...)...), secretFile
}

// member is a client of the signaling.
type member struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s *served) signaling() *member {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	origin := http.Header{"Origin": {"http://" + s.ready.text("http")}}
	conn, _, err := websocket.Dial(ctx, "ws://"+s.ready.text("http")+"/v1/signal", &websocket.DialOptions{HTTPHeader: origin})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return &member{s.t, conn}
}

func (m *member) send(v any) {
	m.t.Helper()
	text, _ := json.Marshal(v)
	if err := m.conn.Write(m.t.Context(), websocket.MessageText, text); err != nil {
		m.t.Fatal(err)
	}
}

// message waits for a message of a type, past others.
func (m *member) message(kind string) map[string]any {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	for {
		_, text, err := m.conn.Read(ctx)
		if err != nil {
			m.t.Fatalf("waiting for %s: %v", kind, err)
		}
		var message map[string]any
		if err := json.Unmarshal(text, &message); err != nil {
			m.t.Fatal(err)
		}
		if message["type"] == kind {
			return message
		}
	}
}

type object = map[string]any

// joins reports how a join ends: room-users or error.
func (s *served) joins(room, token string) (*member, map[string]any) {
	s.t.Helper()
	m := s.signaling()
	m.send(object{"type": "join", "roomId": room, "token": token})
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	_, text, err := m.conn.Read(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	var answer map[string]any
	_ = json.Unmarshal(text, &answer)
	return m, answer
}

func (s *served) wantJoin(room, token, reason string) *member {
	s.t.Helper()
	m, answer := s.joins(room, token)
	if got, _ := answer["reason"].(string); got != reason {
		s.t.Errorf("joining %s: %v, want reason %q", room, answer, reason)
	}
	return m
}

// api asks with the API key.
func (s *served) api(method, path, body string) (int, map[string]any) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.ready.text("http")+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+appKey)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	_ = json.NewDecoder(response.Body).Decode(&answer)
	return response.StatusCode, answer
}

// A token of the API, one of the command line and the API key itself lead into the same room; a token
// leads nowhere else, and its user is whom the TURN credential is for (SEC-57).
func TestServeJoinTokens(t *testing.T) {
	s, secretFile := keyedServe(t)
	code, minted := s.api("POST", "/v1/rooms/team-%2A/tokens", `{"user":"alice","name":"Alice","capabilities":["publish","moderate"]}`)
	if code != http.StatusCreated {
		t.Fatalf("%d %v", code, minted)
	}
	token := minted["token"].(string)
	alice := s.wantJoin("team-1", token, "")
	ice := alice.message("ice-servers")["iceServers"].([]any)
	turn := ice[len(ice)-1].(map[string]any)
	if user := turn["username"].(string); !strings.Contains(user, ":alice~") {
		t.Errorf("the credential is for %s", user)
	}

	offline, err := exec.Command(program(t), "credentials", "join-token", "--room", "team-1", "--user", "bob",
		"--tenant", "app", "--secret-file", secretFile, "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var bobs joinToken
	if err := json.Unmarshal(offline, &bobs); err != nil || bobs.User != "bob" {
		t.Fatalf("%v: %s", err, offline)
	}
	bob := s.wantJoin("team-1", bobs.Token, "")
	bobID := alice.message("user-joined")["clientId"]
	s.wantJoin("team-1", appKey, "")
	alice.message("user-joined")

	for room, token := range map[string]string{
		"other": token, "team-2": bobs.Token, "team-1": token + "x",
	} {
		s.wantJoin(room, token, "unauthorized")
	}
	s.wantJoin("team-1", "", "unauthorized")

	// The rooms, and what a member reports.
	alice.send(object{"type": "quality", "targetClientId": bobID, "roundTripMs": 400, "lossPercent": 0.5, "pairType": "relay", "timeToConnectMs": 900})
	var rooms map[string]any
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, rooms = s.api("GET", "/v1/rooms", ""); strings.Contains(fmt.Sprint(rooms), "critical") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("rooms %v", rooms)
		}
	}
	room := rooms["rooms"].([]any)[0].(map[string]any)
	if room["room"] != "team-1" || room["tenant"] != "app" || len(room["members"].([]any)) != 3 || room["verdict"] != "critical" {
		t.Errorf("room %v", room)
	}
	if _, admin := s.api("GET", "/v1/admin", ""); admin["server"].(map[string]any)["members"] != 3.0 {
		t.Errorf("admin %v", admin)
	}
	if code, metrics := s.get("/metrics"); code != http.StatusOK ||
		!strings.Contains(metrics, `hairpin_call_round_trip_seconds_bucket{pair="relay",le="0.5"} 1`) ||
		!strings.Contains(metrics, `hairpin_call_reports_total{verdict="critical"} 1`) {
		t.Errorf("/metrics: %d lacks the report", code)
	}

	// SEC-57: a removed user is out, for good as far as its credential goes.
	s.bobAllocates(bob)
	alice.send(object{"type": "remove", "targetClientId": bobID})
	if m := bob.message("error"); m["reason"] != "removed" {
		t.Errorf("bob got %v", m)
	}
	s.await("allocation ended")
	s.wantJoin("team-1", bobs.Token, "removed")
}

// mintFor makes a join token of a tenant with the command line.
func mintFor(t *testing.T, secretFile, tenant, room, user string, more ...string) string {
	t.Helper()
	out, err := exec.Command(program(t), append([]string{
		"credentials", "join-token", "--room", room, "--user", user,
		"--tenant", tenant, "--secret-file", secretFile, "--json",
	}, more...)...).Output()
	var minted joinToken
	if err != nil || json.Unmarshal(out, &minted) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return minted.Token
}

// SEC-57: a removal is of one room of one tenant: users of the same name elsewhere keep their relays.
func TestServeRemovalIsOfOneRoom(t *testing.T) {
	s, secretFile := keyedServe(t)
	for _, at := range [][2]string{{"app", "r"}, {"evil", "r2"}, {"evil", "r"}} {
		m := s.wantJoin(at[1], mintFor(t, secretFile, at[0], at[1], "bob"), "")
		s.bobAllocates(m)
		defer m.conn.CloseNow()
	}
	mod, answer := s.joins("r", mintFor(t, secretFile, "evil", "r", "mod", "--can", "moderate"))
	mod.send(object{"type": "remove", "targetClientId": answer["users"].([]any)[0]})
	s.await("allocation ended")
	_, admin := s.api("GET", "/v1/admin", "")
	if left := admin["server"].(map[string]any)["allocations"].(map[string]any)["udp"]; left != 2.0 {
		t.Errorf("%v allocations are left, want those of the other room and of the other tenant", left)
	}
}

// bobAllocates holds an allocation with the credential of a member.
func (s *served) bobAllocates(m *member) {
	s.t.Helper()
	ice := m.message("ice-servers")["iceServers"].([]any)
	turn := ice[len(ice)-1].(map[string]any)
	s.allocate("udp", probe.Login{Username: turn["username"].(string), Password: turn["credential"].(string), Realm: "hairpin"})
}

// Tokens of another issuer, whose public key is in a file.
func TestServeForeignTokens(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "issuer.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startServe(t, "--join-token-algorithm", "ES256", "--join-token-key-file", file,
		"--join-token-issuer", "https://id.example", "--join-token-audience", "calls")
	sign := func(audience string) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "https://id.example", "aud": audience, "exp": time.Now().Add(time.Minute).Unix(), "sub": "carol", "room": "r",
		}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	s.wantJoin("r", sign("calls"), "")
	s.wantJoin("r", sign("others"), "unauthorized")
	s.wantJoin("r", "", "unauthorized")
}

// In demo mode, nobody needs a token, but a wrong one is refused.
func TestServeDemoRooms(t *testing.T) {
	s := startServe(t)
	s.wantJoin("r", "", "")
	s.wantJoin("r", "nonsense", "unauthorized")
	if code, text := s.get("/v1/admin"); code != http.StatusOK || !strings.Contains(text, `"room":"r"`) {
		t.Errorf("%d %s", code, text)
	}
}
