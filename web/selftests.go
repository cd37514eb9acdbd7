package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"hairpin/web/selftest"
)

// selfTestTTL is the lifetime of a test's credential: a test takes a minute or two.
const selfTestTTL = 10 * time.Minute

// maxReportDepth bounds the nesting of a report.
const maxReportDepth = 8

// selfTestAnswer says how to run a test, and under which ID its sightings are kept.
type selfTestAnswer struct {
	ID selftest.ID `json:"id"`
	iceServersAnswer
}

// selfTestState is what both sides know of a test.
type selfTestState struct {
	selftest.Test
	Report json.RawMessage `json:"report,omitempty"`
}

// postSelfTest serves POST /v1/self-tests.
func (h *Handler) postSelfTest(w http.ResponseWriter, r *http.Request) {
	who, no := h.byKeyOrDemo(r)
	if no == nil {
		no = h.spend(who)
	}
	if no != nil {
		h.refuse(w, no)
		return
	}
	id := h.config.SelfTests.Begin(string(who))
	c, err := h.config.Mint(id.User(), min(selfTestTTL, h.config.MaxTTL))
	if err != nil {
		h.config.Logger.Error("cannot mint a credential", "error", err)
		h.refuse(w, deny(ReasonInternal, "The server cannot mint credentials now. Its log says why."))
		return
	}
	writeJSON(w, http.StatusCreated, "application/json", selfTestAnswer{ID: id, iceServersAnswer: h.iceServers(c)})
}

// getSelfTest serves GET /v1/self-tests/{id}. Whoever knows the ID may read the test.
func (h *Handler) getSelfTest(w http.ResponseWriter, r *http.Request) {
	test, err := h.config.SelfTests.Test(selftest.ID(chi.URLParam(r, "id")))
	if err != nil {
		h.refuse(w, denySelfTest(err))
		return
	}
	writeJSON(w, http.StatusOK, "application/json", selfTestState{Test: test, Report: test.Report})
}

// putSelfTestReport serves PUT /v1/self-tests/{id}/report, by whoever knows the ID.
func (h *Handler) putSelfTestReport(w http.ResponseWriter, r *http.Request) {
	tests := h.config.SelfTests
	if mediaType(r) != "application/json" {
		h.refuse(w, deny(ReasonBadMediaType, "Send the report as JSON, with the header Content-Type: application/json."))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(tests.ReportSize())))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		h.refuse(w, denySelfTest(selftest.ErrTooLarge))
	case err != nil:
		h.refuse(w, denyBody(err))
	case !isReport(body):
		h.refuse(w, deny(ReasonBadJSON, "A report is one JSON object, nested eight deep at most."))
	default:
		if err := tests.Report(selftest.ID(chi.URLParam(r, "id")), body); err != nil {
			h.refuse(w, denySelfTest(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// isReport reports whether a body is one JSON object that is not nested too deep.
func isReport(body []byte) bool {
	if !json.Valid(body) {
		return false
	}
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	var object map[string]json.RawMessage
	return deepest <= maxReportDepth && json.Unmarshal(body, &object) == nil && object != nil
}

func denySelfTest(err error) *refusal {
	switch {
	case errors.Is(err, selftest.ErrTooLarge):
		return deny(ReasonBodyTooLarge, "The report is larger than this server keeps.")
	case errors.Is(err, selftest.ErrClosed):
		return deny(ReasonTestClosed, "The test began too long ago. Run it again.")
	default:
		return deny(ReasonNotFound, "There is no such test, or it was too long ago. Run it again.")
	}
}
