package signaling

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// object is a JSON object's members by exact name: encoding/json, when it fills a struct, also takes
// members whose names differ in case, so that two readers could see two messages.
type object map[string]json.RawMessage

// parseObject reads exactly one JSON object that every reader understands alike: valid UTF-8, no name
// twice in one object, no half surrogate pair, nested no deeper than depth.
func parseObject(data []byte, depth int) (object, *Refusal) {
	if !utf8.Valid(data) {
		return nil, refuse(ReasonInvalidUTF8, "The message is not valid UTF-8.")
	}
	if !json.Valid(data) {
		return nil, refuse(ReasonBadJSON, "The message is not valid JSON.")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if refusal := checkValue(d, depth); refusal != nil {
		return nil, refusal
	}
	if hasHalfSurrogate(data) {
		return nil, refuse(ReasonBadJSON, "The message escapes half of a surrogate pair.")
	}
	o, ok := asObject(data)
	if !ok {
		return nil, refuse(ReasonBadJSON, "The message is not a JSON object.")
	}
	return o, nil
}

// asObject reads valid JSON that ought to be an object.
func asObject(data []byte) (object, bool) {
	var o object
	err := json.Unmarshal(data, &o)
	return o, err == nil && o != nil
}

// checkValue consumes one value of valid JSON.
func checkValue(d *json.Decoder, depth int) *Refusal {
	token, err := d.Token()
	if err != nil {
		return refuse(ReasonBadJSON, "The message is not valid JSON.")
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == 0 {
		return refuse(ReasonTooDeep, "The message is nested too deep.")
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			token, _ := d.Token()
			name, _ := token.(string)
			if seen[name] {
				return refuse(ReasonDuplicateKey, "An object in the message has one name twice.")
			}
			seen[name] = true
		}
		if refusal := checkValue(d, depth-1); refusal != nil {
			return refusal
		}
	}
	_, _ = d.Token() // the closing delimiter
	return nil
}

// hasHalfSurrogate reports whether valid JSON escapes a surrogate without its other half, which
// encoding/json would silently replace.
func hasHalfSurrogate(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++
		if data[i] != 'u' {
			continue
		}
		first := hex4(data[i+1:])
		i += 4
		if !utf16.IsSurrogate(first) {
			continue
		}
		if !bytes.HasPrefix(data[i+1:], []byte(`\u`)) ||
			utf16.DecodeRune(first, hex4(data[i+3:])) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// hex4 reads the four digits of a \u escape in valid JSON.
func hex4(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16)
	return rune(n)
}

// text is the string called name; null is as good as absent.
func (o object) text(name string) (value string, present, ok bool) {
	raw, present := o[name]
	if !present || string(raw) == "null" {
		return "", false, true
	}
	ok = json.Unmarshal(raw, &value) == nil
	return value, true, ok
}

// flag is the boolean called name; null is as good as absent, and both are false.
func (o object) flag(name string) (value, ok bool) {
	raw, present := o[name]
	if !present || string(raw) == "null" {
		return false, true
	}
	return string(raw) == "true", string(raw) == "true" || string(raw) == "false"
}

// count is the whole number called name, which must be there.
func (o object) count(name string) (value uint64, ok bool) {
	value, err := strconv.ParseUint(string(o[name]), 10, 63)
	return value, err == nil
}

// encode writes v as compact JSON, leaving <, > and & as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("signaling: a message of our own cannot be encoded: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
