package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hairpin/credentials"
)

// maxBodyBytes holds the longest request there is, a user of 256 escaped bytes, many
// times.
const maxBodyBytes = 8 << 10

// ask is what a request for a credential says.
type ask struct {
	user string // "" if the client leaves it to the server
	ttl  time.Duration
}

// parseValues reads parameters, the user from the one called userName. An empty one
// is as good as none.
func (h *Handler) parseValues(values url.Values, userName string) (ask, *refusal) {
	for _, each := range values {
		if len(each) > 1 {
			return ask{}, denyQuery()
		}
	}
	asked := ask{user: values.Get(userName), ttl: h.config.DefaultTTL}
	if asked.user != "" {
		if err := credentials.CheckUser(asked.user); err != nil {
			return ask{}, denyUser(err)
		}
	}
	if text := values.Get("ttl"); text != "" {
		ttl, ok := h.parseTTL(text)
		if !ok {
			return ask{}, h.denyTTL()
		}
		asked.ttl = ttl
	}
	return asked, nil
}

// parseTTL reads a number of seconds and cuts it to the longest lifetime.
func (h *Handler) parseTTL(text string) (time.Duration, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > int64(h.config.MaxTTL/time.Second) {
		return h.config.MaxTTL, true // Only digits: an error is a number out of range.
	}
	return time.Duration(n) * time.Second, n > 0
}

// parseJSON reads the body of POST /v1/credentials: an object of the members user and
// ttl, each at most once. No body at all asks for the defaults.
func (h *Handler) parseJSON(w http.ResponseWriter, r *http.Request) (ask, *refusal) {
	asked := ask{ttl: h.config.DefaultTTL}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return ask{}, denyBody(err)
	}
	if len(body) == 0 {
		return asked, nil
	}
	if mediaType(r) != "application/json" {
		return ask{}, deny(ReasonBadMediaType, "Send the body as JSON, with the header Content-Type: application/json.")
	}
	members, no := jsonMembers(body)
	if no != nil {
		return ask{}, no
	}
	if value, present := members["user"]; present {
		asked.user, _ = value.(string)
		if err := credentials.CheckUser(asked.user); err != nil {
			return ask{}, denyUser(err)
		}
	}
	if value, present := members["ttl"]; present {
		number, _ := value.(json.Number)
		ttl, ok := h.parseTTL(number.String())
		if !ok {
			return ask{}, h.denyTTL()
		}
		asked.ttl = ttl
	}
	return asked, nil
}

// jsonMembers returns the scalar members of the one JSON object in body. It does not
// use Unmarshal, which takes a name in any case and the last of several.
func jsonMembers(body []byte) (map[string]json.Token, *refusal) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') || !utf8.Valid(body) {
		return nil, denyJSON("it is not an object")
	}
	members := make(map[string]json.Token)
	for decoder.More() {
		token, err := decoder.Token()
		name, _ := token.(string)
		_, twice := members[name]
		switch {
		case err != nil:
			return nil, denyJSON("it does not parse")
		case twice:
			return nil, denyJSON("it has a member twice")
		case name != "user" && name != "ttl":
			return nil, denyJSON("it has a member that is neither user nor ttl")
		}
		if members[name], err = decoder.Token(); err != nil {
			return nil, denyJSON("it does not parse")
		}
		if _, nested := members[name].(json.Delim); nested {
			return nil, denyJSON("it has an object or an array inside")
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, denyJSON("it does not parse")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, denyJSON("something follows the object")
	}
	return members, nil
}

// parseForm returns the parameters of the URL and, in a POST, those of a form in the
// body.
func parseForm(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	if r.Method == http.MethodPost && r.ContentLength != 0 && mediaType(r) != "application/x-www-form-urlencoded" {
		return nil, deny(ReasonBadMediaType, "Send the parameters in the URL, or in the body "+
			"with the header Content-Type: application/x-www-form-urlencoded.")
	}
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, denyBody(err)
	case err != nil:
		return nil, denyQuery()
	}
	return r.Form, nil
}

func mediaType(r *http.Request) string {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return mediaType
}

func denyQuery() *refusal {
	return deny(ReasonBadQuery, "Send each parameter once, as name=value, joined by & and percent-encoded.")
}

func denyJSON(what string) *refusal {
	return deny(ReasonBadJSON, `The body must be like {"user":"alice","ttl":3600}, but `+what+".")
}

func denyBody(err error) *refusal {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return deny(ReasonBodyTooLarge, "The body may have 8192 bytes.")
	}
	return deny(ReasonBodyUnread, "The body ended before its announced end. Send it again.")
}

// denyUser takes an error of [credentials.CheckUser], which does not quote the user.
func denyUser(err error) *refusal {
	return deny(ReasonBadUser, "A user is 1 to 256 bytes of UTF-8 without control characters and without a colon; "+err.Error()+".")
}

func (h *Handler) denyTTL() *refusal {
	return deny(ReasonBadTTL, "A ttl is a whole number of seconds, from 1; more than "+
		strconv.Itoa(int(h.config.MaxTTL/time.Second))+" is cut to that.")
}
