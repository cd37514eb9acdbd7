package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// withRooms has tokens that say what they were asked for.
func withRooms(t testing.TB, asked *TokenAsk, change func(*Config)) *Handler {
	t.Helper()
	return newHandler(t, func(c *Config) {
		c.Rooms = &Rooms{
			Mint: func(a TokenAsk) (Token, error) {
				if a.Room == "impossible" {
					return Token{}, errors.New("room is impossible")
				}
				*asked = a
				return Token{Text: "a.b.c", ExpiresAt: start().Add(a.TTL)}, nil
			},
			List:   func(tenant string) any { return []string{"of " + tenant} },
			Server: func() any { return map[string]int{"allocations": 3} },
		}
		if change != nil {
			change(c)
		}
	})
}

func TestTokens(t *testing.T) {
	var asked TokenAsk
	h := withRooms(t, &asked, nil)
	key := []string{"Authorization: Bearer " + aliceKey, "Content-Type: application/json"}
	for _, c := range []struct {
		line, body string
		want       TokenAsk
	}{
		{
			"POST /v1/rooms/lobby/tokens", `{"user":"bob","ttl":60,"name":"Bob","capabilities":["moderate"]}`,
			TokenAsk{Room: "lobby", User: "bob", Name: "Bob", TTL: time.Minute, Moderate: true},
		},
		{
			"POST /v1/rooms/team-*/tokens", `{"user":"bob","ttl":999999999}`,
			TokenAsk{Room: "team-*", User: "bob", TTL: 24 * time.Hour, Publish: true},
		},
		{
			"POST /v1/rooms/a%2Fb%20c/tokens", `{"user":"bob","capabilities":[]}`,
			TokenAsk{Room: "a/b c", User: "bob", TTL: time.Hour},
		},
		{"POST /v1/rooms/sec%2572et/tokens", `{"user":"bob"}`, TokenAsk{Room: "sec%72et", User: "bob", TTL: time.Hour, Publish: true}},
		{"POST /v1/rooms/100%25/tokens", `{"user":"bob"}`, TokenAsk{Room: "100%", User: "bob", TTL: time.Hour, Publish: true}},
		{"POST /v1/rooms/a%2Fb%2525/tokens", `{"user":"bob"}`, TokenAsk{Room: "a/b%25", User: "bob", TTL: time.Hour, Publish: true}},
	} {
		w := do(t, h, request{line: c.line, body: c.body, headers: key})
		var answer tokenAnswer
		if w.Code != http.StatusCreated || json.Unmarshal(w.Body.Bytes(), &answer) != nil {
			t.Fatalf("%s: %d %s", c.line, w.Code, w.Body)
		}
		c.want.Tenant = "alice"
		if asked != c.want || answer.Token != "a.b.c" || answer.Room != c.want.Room || answer.TTL != int(c.want.TTL/time.Second) {
			t.Errorf("%s: asked %+v, want %+v; answered %+v", c.line, asked, c.want, answer)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", c.line)
		}
	}
	w := do(t, h, request{line: "POST /v1/rooms/r/tokens", headers: key[:1]})
	if w.Code != http.StatusCreated || len(asked.User) < 16 || !asked.Publish || asked.Moderate {
		t.Errorf("without a body: %d, asked %+v", w.Code, asked)
	}
}

// SEC-44, SEC-46: tokens are for holders of keys alone, in demo mode too.
func TestTokensRefused(t *testing.T) {
	var asked TokenAsk
	for _, demo := range []Demo{DemoOff, DemoLocal} {
		h := withRooms(t, &asked, func(c *Config) { c.Demo = demo })
		key := []string{"Authorization: Bearer " + aliceKey, "Content-Type: application/json"}
		for _, c := range []struct {
			name, line, body string
			headers          []string
			want             Reason
		}{
			{"no key", "POST /v1/rooms/r/tokens", "", []string{localhost}, ReasonMissingKey},
			{"a wrong key", "POST /v1/rooms/r/tokens", "", []string{"Authorization: Bearer " + strings.Repeat("x", 24)}, ReasonUnknownKey},
			{"another origin", "POST /v1/rooms/r/tokens", "", append(key, "Origin: https://evil.example"), ReasonOriginDenied},
			{"GET", "GET /v1/rooms/r/tokens", "", key, ReasonMethodNotAllowed},
			{"a user with a colon", "POST /v1/rooms/r/tokens", `{"user":"a:b"}`, key, ReasonBadUser},
			{"ttl -1", "POST /v1/rooms/r/tokens", `{"ttl":-1}`, key, ReasonBadTTL},
			{"unknown member", "POST /v1/rooms/r/tokens", `{"role":"admin"}`, key, ReasonBadJSON},
			{"no object", "POST /v1/rooms/r/tokens", `[]`, key, ReasonBadJSON},
			{"white space alone", "POST /v1/rooms/r/tokens", " \n", key, ReasonBadJSON},
			{"two objects", "POST /v1/rooms/r/tokens", " {} {}", key, ReasonBadJSON},
			{"unknown capability", "POST /v1/rooms/r/tokens", `{"capabilities":["fly"]}`, key, ReasonBadGrant},
			{"an impossible room", "POST /v1/rooms/impossible/tokens", `{}`, key, ReasonBadGrant},
			{"a form", "POST /v1/rooms/r/tokens", `user=x`, key[:1], ReasonBadMediaType},
			{"too long", "POST /v1/rooms/r/tokens", `{"name":"` + strings.Repeat("x", 9<<10) + `"}`, key, ReasonBodyTooLarge},
		} {
			if got := reasonOf(t, do(t, h, request{line: c.line, body: c.body, headers: c.headers, remote: local})); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		}
	}
}

// Rooms are shown to holders of keys, theirs to each, and to this machine in demo mode.
func TestRoomsAndAdmin(t *testing.T) {
	var asked TokenAsk
	h := withRooms(t, &asked, nil)
	demo := withRooms(t, &asked, func(c *Config) { c.Demo = DemoLocal })
	for _, line := range []string{"GET /v1/rooms", "GET /v1/admin"} {
		bearer := []string{"Authorization: Bearer " + bobKey}
		if w := do(t, h, request{line: line, headers: bearer}); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"rooms":["of bob"]`) {
			t.Errorf("%s: %d %s", line, w.Code, w.Body)
		}
		if got := reasonOf(t, do(t, h, request{line: line, remote: local, headers: []string{localhost}})); got != ReasonMissingKey {
			t.Errorf("%s without a key: %q", line, got)
		}
		if w := do(t, demo, request{line: line, remote: local, headers: []string{localhost}}); w.Code != http.StatusOK {
			t.Errorf("%s in demo mode: %d", line, w.Code)
		}
		if got := reasonOf(t, do(t, demo, request{line: line})); got != ReasonNotLocal {
			t.Errorf("%s from elsewhere: %q", line, got)
		}
		rebound := request{line: line, remote: local, headers: []string{"Host: evil.example"}}
		if got := reasonOf(t, do(t, demo, rebound)); got != ReasonHostDenied {
			t.Errorf("%s of a rebound name: %q", line, got)
		}
		foreign := request{line: line, remote: local, headers: []string{localhost, "Sec-Fetch-Site: cross-site"}}
		if got := reasonOf(t, do(t, demo, foreign)); got != ReasonOriginDenied {
			t.Errorf("%s of a page of another site: %q", line, got)
		}
	}
	if w := do(t, demo, request{line: "GET /v1/admin", remote: local, headers: []string{localhost}}); !strings.Contains(w.Body.String(), `"server":{"allocations":3}`) {
		t.Errorf("admin: %s", w.Body)
	}
}

// What rooms and figures cost is counted on a rate, and not on that of minting.
func TestViewsAreCounted(t *testing.T) {
	var asked TokenAsk
	h := withRooms(t, &asked, func(c *Config) { c.KeyRate = Rate{PerSecond: 0.001, Burst: 2} })
	bearer := []string{"Authorization: Bearer " + aliceKey}
	for i, line := range []string{"GET /v1/admin", "GET /v1/rooms", "GET /v1/admin", "GET /v1/rooms"} {
		w := do(t, h, request{line: line, headers: bearer})
		if got := w.Code == http.StatusTooManyRequests; got != (i >= 2) {
			t.Errorf("%d. %s: %d", i, line, w.Code)
		}
	}
	if w := do(t, h, request{line: "POST /v1/rooms/r/tokens", headers: bearer}); w.Code != http.StatusCreated {
		t.Errorf("nothing is minted any more: %d", w.Code)
	}
	if w := do(t, h, request{line: "GET /v1/rooms", headers: []string{"Authorization: Bearer " + bobKey}}); w.Code != http.StatusOK {
		t.Errorf("another key: %d", w.Code)
	}
}
