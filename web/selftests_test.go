package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hairpin/web/selftest"
)

// beginSelfTest begins a test as alice.
func beginSelfTest(t *testing.T, h *Handler) selfTestAnswer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/self-tests", nil)
	r.Header.Set("Authorization", "Bearer "+aliceKey)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var got selfTestAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusCreated {
		t.Fatalf("got %d, %v: %s", w.Code, err, w.Body)
	}
	return got
}

func report(h *Handler, id selftest.ID, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPut, "/v1/self-tests/"+string(id)+"/report", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestSelfTestShowsBothSides(t *testing.T) {
	config, _ := testConfig(t)
	config.SelfTests = selftest.NewStore(selftest.DefaultLimits(), config.Now)
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	test := beginSelfTest(t, h)
	relay := test.ICEServers[1]
	if !strings.HasSuffix(relay.Username, ":"+test.ID.User()) || relay.Credential == "" || test.TTL != 600 {
		t.Fatalf("the credential is %+v for %d s", relay, test.TTL)
	}
	config.SelfTests.Saw(test.ID.User(), selftest.Sighting{What: selftest.Refused, Reason: "peer-denied-private"})
	if w := report(h, test.ID, "application/json", `{"rows":[{"transport":"udp"}]}`); w.Code != http.StatusNoContent {
		t.Fatalf("the report got %d: %s", w.Code, w.Body)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/self-tests/"+string(test.ID), nil))
	for _, want := range []string{`"peer-denied-private"`, `{"rows":[{"transport":"udp"}]}`, `"startedAt"`} {
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("got %d without %s: %s", w.Code, want, w.Body)
		}
	}
}

func TestSelfTestRefusals(t *testing.T) {
	config, clock := testConfig(t)
	config.SelfTests = selftest.NewStore(selftest.DefaultLimits(), config.Now)
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/self-tests", nil))
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), string(ReasonMissingKey)) {
		t.Errorf("a stranger got %d: %s", w.Code, w.Body)
	}
	id := beginSelfTest(t, h).ID
	for _, test := range []struct {
		name, contentType, body string
		id                      selftest.ID
		want                    Reason
	}{
		{"unknown", "application/json", "{}", "nobody", ReasonNotFound},
		{"no type", "", "{}", id, ReasonBadMediaType},
		{"not JSON", "application/json", "{", id, ReasonBadJSON},
		{"two objects", "application/json", "{}{}", id, ReasonBadJSON},
		{"an array", "application/json", "[]", id, ReasonBadJSON},
		{"null", "application/json", "null", id, ReasonBadJSON},
		{"deep", "application/json", `{"a":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + "}", id, ReasonBadJSON},
		{"large", "application/json", `{"a":"` + strings.Repeat("x", 64<<10) + `"}`, id, ReasonBodyTooLarge},
	} {
		if w := report(h, test.id, test.contentType, test.body); !strings.Contains(w.Body.String(), `"`+string(test.want)+`"`) {
			t.Errorf("%s: got %d, want %s: %s", test.name, w.Code, test.want, w.Body)
		}
	}
	if w := report(h, id, "application/json", `{"a":"[[[[[[[[[[[[\"[[["}`); w.Code != http.StatusNoContent {
		t.Errorf("brackets in a string got %d: %s", w.Code, w.Body)
	}
	clock.advance(2 * time.Hour)
	if w := report(h, id, "application/json", "{}"); !strings.Contains(w.Body.String(), string(ReasonTestClosed)) {
		t.Errorf("a late report got %d: %s", w.Code, w.Body)
	}
}
