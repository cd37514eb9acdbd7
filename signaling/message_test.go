package signaling

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// encode is m as its client would send it.
func (m Message) encode() []byte {
	out := map[string]any{"type": m.Type}
	switch m.Type {
	case TypeJoin:
		out["roomId"], out["token"], out["name"] = m.Join.RoomID, string(m.Join.Token), m.Join.Name
		out["resume"] = m.Join.Resume
	case TypeResume:
		out["roomId"], out["clientId"] = m.Resume.RoomID, m.Resume.ClientID
		out["secret"], out["received"] = string(m.Resume.Secret), m.Resume.Received
	case TypeQuality:
		_ = json.Unmarshal(encode(m.Quality), &out)
	case TypeOffer, TypeAnswer:
		out[string(m.Type)] = m.Description
	case TypeCandidate:
		out["candidate"] = m.Candidate
	}
	if m.Target != "" {
		out["targetClientId"] = m.Target
	}
	return encode(out)
}

// sdpFile reads one session description of testdata.
func sdpFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "sdp", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func quote(s string) string { return string(encode(s)) }

const hostCandidate = `candidate:3180756984 1 udp 2122194687 192.0.2.2 46102 typ host generation 0 ufrag jjBN network-id 1`

func TestParseMessageAccepts(t *testing.T) {
	limits := DefaultLimits()
	sdp := sdpFile(t, "chromium-data-offer")
	init := `{"candidate":"` + hostCandidate + `","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"jjBN"}`
	for name, tt := range map[string]struct {
		in   string
		want Message
	}{
		"the guide's join": {
			`{"type":"join","roomId":"lobby"}`,
			Message{Type: TypeJoin, Join: Join{RoomID: "lobby"}},
		},
		"a join with everything": {
			`{"type":"join","roomId":"7/ü","token":"t","name":"Zoë </script>"}`,
			Message{Type: TypeJoin, Join: Join{RoomID: "7/ü", Token: "t", Name: "Zoë </script>"}},
		},
		"null for what may be absent": {
			`{"type":"join","roomId":"r","token":null,"name":null}`,
			Message{Type: TypeJoin, Join: Join{RoomID: "r"}},
		},
		"the longest room and name": {
			`{"type":"join","roomId":"` + strings.Repeat("r", 128) + `","name":"` + strings.Repeat("ü", 64) + `"}`,
			Message{Type: TypeJoin, Join: Join{RoomID: strings.Repeat("r", 128), Name: strings.Repeat("ü", 64)}},
		},
		"a leave": {`{"type":"leave"}`, Message{Type: TypeLeave}},
		"the guide's offer": {
			`{"type":"offer","offer":{"type":"offer","sdp":` + quote(sdp) + `},"targetClientId":"B"}`,
			Message{Type: TypeOffer, Target: "B", Description: Description{"offer", sdp}},
		},
		"an answer to all": {
			`{"type":"answer","answer":{"sdp":` + quote(sdp) + `,"type":"answer"}}`,
			Message{Type: TypeAnswer, Description: Description{"answer", sdp}},
		},
		"a provisional answer": {
			`{"type":"answer","answer":{"type":"pranswer","sdp":` + quote(sdp) + `},"targetClientId":"B"}`,
			Message{Type: TypeAnswer, Target: "B", Description: Description{"pranswer", sdp}},
		},
		"the guide's candidate": {
			`{"type":"candidate","candidate":` + init + `}`,
			Message{Type: TypeCandidate, Candidate: json.RawMessage(init)},
		},
		"the end of candidates": {
			`{"type":"candidate","candidate":null,"targetClientId":"B"}`,
			Message{Type: TypeCandidate, Target: "B", Candidate: json.RawMessage(`null`)},
		},
		"the end of a generation's candidates": {
			`{"type":"candidate","candidate":{"candidate":"","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"7be04d19"}}`,
			Message{Type: TypeCandidate, Candidate: json.RawMessage(`{"candidate":"","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"7be04d19"}`)},
		},
		"white space, and a sender who claims to be another": {
			" {\n\"clientId\" : \"admin\", \"from\":\"admin\", \"type\": \"leave\" }\t",
			Message{Type: TypeLeave},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseMessage([]byte(tt.in), limits)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestParseMessageRefuses(t *testing.T) {
	limits := DefaultLimits()
	sdp := quote(sdpFile(t, "chromium-data-offer"))
	nested := func(depth int) string { // the message is 1 deep itself
		return `{"type":"leave","x":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
	}
	if _, err := ParseMessage([]byte(nested(limits.Depth)), limits); err != nil {
		t.Errorf("a message %d deep: %v", limits.Depth, err)
	}
	for name, tt := range map[string]struct {
		in   string
		want Reason
	}{
		"nothing":                     {``, ReasonBadJSON},
		"half an object":              {`{"type":"leave"`, ReasonBadJSON},
		"two values":                  {`{"type":"leave"}{"type":"leave"}`, ReasonBadJSON},
		"an array":                    {`[]`, ReasonBadJSON},
		"null":                        {`null`, ReasonBadJSON},
		"a string":                    {`"join"`, ReasonBadJSON},
		"a comment":                   {`{"type":"leave"/**/}`, ReasonBadJSON},
		"NaN":                         {`{"type":"leave","x":NaN}`, ReasonBadJSON},
		"half a surrogate pair":       {`{"type":"join","roomId":"\ud83d"}`, ReasonBadJSON},
		"the other half":              {`{"type":"join","roomId":"\ude00"}`, ReasonBadJSON},
		"half a pair, then another":   {`{"type":"join","roomId":"\ud83d\u0041"}`, ReasonBadJSON},
		"half a pair, then a newline": {`{"type":"join","roomId":"\ud83d\n"}`, ReasonBadJSON},
		"invalid UTF-8":               {"{\"type\":\"join\",\"roomId\":\"\xff\"}", ReasonInvalidUTF8},
		"one level too deep":          {nested(limits.Depth + 1), ReasonTooDeep},
		"very deep":                   {strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000), ReasonTooDeep},
		"a name twice":                {`{"type":"leave","type":"join","roomId":"r"}`, ReasonDuplicateKey},
		"a name twice, once escaped":  {`{"type":"leave","\u0074ype":"join"}`, ReasonDuplicateKey},
		"a name twice, deeper":        {`{"type":"offer","offer":{"type":"offer","sdp":"","sdp":""}}`, ReasonDuplicateKey},

		"no type":                  {`{}`, ReasonUnknownType},
		"an ill-typed type":        {`{"type":5}`, ReasonUnknownType},
		"another type":             {`{"type":"eval"}`, ReasonUnknownType},
		"a type in capitals":       {`{"type":"JOIN","roomId":"r"}`, ReasonUnknownType},
		"a name in capitals":       {`{"TYPE":"join","roomId":"r"}`, ReasonUnknownType},
		"the server's own message": {`{"type":"user-left","clientId":"A"}`, ReasonUnknownType},

		"no room":                 {`{"type":"join"}`, ReasonBadMessage},
		"an empty room":           {`{"type":"join","roomId":""}`, ReasonBadMessage},
		"a number for a room":     {`{"type":"join","roomId":7}`, ReasonBadMessage},
		"too long a room":         {`{"type":"join","roomId":"` + strings.Repeat("r", 129) + `"}`, ReasonBadMessage},
		"a room with a newline":   {`{"type":"join","roomId":"a\nlevel=ERROR"}`, ReasonBadMessage},
		"a room with a C1":        {`{"type":"join","roomId":"a\u009b31m"}`, ReasonBadMessage},
		"too long a name":         {`{"type":"join","roomId":"r","name":"` + strings.Repeat("n", 65) + `"}`, ReasonBadMessage},
		"a name with an escape":   {`{"type":"join","roomId":"r","name":"\u001b[2J"}`, ReasonBadMessage},
		"an object for a name":    {`{"type":"join","roomId":"r","name":{}}`, ReasonBadMessage},
		"too long a token":        {`{"type":"join","roomId":"r","token":"` + strings.Repeat("t", 8193) + `"}`, ReasonBadMessage},
		"a number for a token":    {`{"type":"join","roomId":"r","token":1}`, ReasonBadMessage},
		"no offer":                {`{"type":"offer"}`, ReasonBadMessage},
		"an offer of null":        {`{"type":"offer","offer":null}`, ReasonBadMessage},
		"an offer as text":        {`{"type":"offer","offer":` + sdp + `}`, ReasonBadMessage},
		"an offer without type":   {`{"type":"offer","offer":{"sdp":` + sdp + `}}`, ReasonBadMessage},
		"an answer as offer":      {`{"type":"offer","offer":{"type":"answer","sdp":` + sdp + `}}`, ReasonBadMessage},
		"an offer as answer":      {`{"type":"answer","answer":{"type":"offer","sdp":` + sdp + `}}`, ReasonBadMessage},
		"a provisional offer":     {`{"type":"offer","offer":{"type":"pranswer","sdp":` + sdp + `}}`, ReasonBadMessage},
		"a rollback":              {`{"type":"offer","offer":{"type":"rollback","sdp":""}}`, ReasonBadMessage},
		"an offer without SDP":    {`{"type":"offer","offer":{"type":"offer"}}`, ReasonBadMessage},
		"a number for SDP":        {`{"type":"offer","offer":{"type":"offer","sdp":0}}`, ReasonBadMessage},
		"an empty SDP":            {`{"type":"offer","offer":{"type":"offer","sdp":""}}`, ReasonBadSDP},
		"an SDP that is none":     {`{"type":"offer","offer":{"type":"offer","sdp":"</script>"}}`, ReasonBadSDP},
		"a number for a target":   {`{"type":"offer","offer":{"type":"offer","sdp":` + sdp + `},"targetClientId":1}`, ReasonBadMessage},
		"an empty target":         {`{"type":"candidate","candidate":null,"targetClientId":""}`, ReasonBadMessage},
		"too long a target":       {`{"type":"candidate","candidate":null,"targetClientId":"` + strings.Repeat("t", 129) + `"}`, ReasonBadMessage},
		"no candidate":            {`{"type":"candidate"}`, ReasonBadMessage},
		"a candidate as text":     {`{"type":"candidate","candidate":"` + hostCandidate + `"}`, ReasonBadCandidate},
		"a candidate of no shape": {`{"type":"candidate","candidate":{"candidate":"hello"}}`, ReasonBadCandidate},
		"a number for candidate":  {`{"type":"candidate","candidate":{"candidate":1}}`, ReasonBadCandidate},
		"a number for sdpMid":     {`{"type":"candidate","candidate":{"candidate":"","sdpMid":1}}`, ReasonBadCandidate},
		"a negative line":         {`{"type":"candidate","candidate":{"candidate":"","sdpMLineIndex":-1}}`, ReasonBadCandidate},
		"a line too far":          {`{"type":"candidate","candidate":{"candidate":"","sdpMLineIndex":65536}}`, ReasonBadCandidate},
		"a line as text":          {`{"type":"candidate","candidate":{"candidate":"","sdpMLineIndex":"0"}}`, ReasonBadCandidate},
		"a fragment with a space": {`{"type":"candidate","candidate":{"candidate":"","usernameFragment":"a b c"}}`, ReasonBadCandidate},
		"a large candidate":       {`{"type":"candidate","candidate":{"candidate":"","x":"` + strings.Repeat("x", 2048) + `"}}`, ReasonBadCandidate},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ParseMessage([]byte(tt.in), limits)
			refusal, ok := err.(*Refusal)
			if !ok {
				t.Fatalf("accepted as %+v (%v)", m, err)
			}
			if refusal.Reason != tt.want {
				t.Errorf("refused as %v, want %q", refusal, tt.want)
			}
			if !reflect.DeepEqual(m, Message{}) {
				t.Errorf("refused, and yet returned %+v", m)
			}
		})
	}
}

func TestIsCandidateAttribute(t *testing.T) {
	for _, s := range []string{
		hostCandidate,
		"a=" + hostCandidate,
		"candidate:0 1 UDP 2122252543 4f1c2e52-8d7f-4f0a-9c55-2b1f0a6c7d3e.local 54321 typ host",
		"candidate:1 1 udp 1686052607 203.0.113.7 46154 typ srflx raddr 10.0.17.1 rport 46154 generation 0 ufrag EsAw network-id 1",
		"candidate:2 2 TCP 2105524478 fd00::2 9 typ host tcptype active",
		"candidate:+/Az09 1 udp 41885439 2001:db8::1 49152 typ relay raddr :: rport 0",
		"candidate:1 1 udp 1 169.254.169.254 80 typ host",
	} {
		if !isCandidateAttribute(s) {
			t.Errorf("refused %q", s)
		}
	}
	for _, s := range []string{
		"candidate:",
		"candidate",
		"Candidate:1 1 udp 1 192.0.2.1 1 typ host",
		"candidate:1 1 udp 1 192.0.2.1 1 typ",
		"candidate:1 1 udp 1 192.0.2.1 1 host typ",
		"candidate:1 1 udp 1 192.0.2.1 1 typ host generation",
		"candidate:1 0 udp 1 192.0.2.1 1 typ host",
		"candidate:1 257 udp 1 192.0.2.1 1 typ host",
		"candidate:1 1 u;dp 1 192.0.2.1 1 typ host",
		"candidate:1 1 udp -1 192.0.2.1 1 typ host",
		"candidate:1 1 udp 4294967296 192.0.2.1 1 typ host",
		"candidate:1 1 udp 1 192.0.2.1 65536 typ host",
		"candidate:" + strings.Repeat("1", 33) + " 1 udp 1 192.0.2.1 1 typ host",
		"candidate:_ 1 udp 1 192.0.2.1 1 typ host",
		"candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=candidate:2",
		"candidate:1 1 udp 1 192.0.2.1 1 typ host x\x00 y",
		"candidate:1 1 udp 1 " + strings.Repeat("a", 254) + " 1 typ host",
	} {
		if isCandidateAttribute(s) {
			t.Errorf("accepted %q", s)
		}
	}
}

// What is forwarded holds what was sent, as it was sent, and who sent it; and nothing else.
func TestForward(t *testing.T) {
	limits := DefaultLimits()
	sdp := strings.ReplaceAll(sdpFile(t, "chromium-data-offer"), "s=-", "s=\u2028 <&> 😀 \u00e9")
	init := `{"candidate":"` + hostCandidate + `","sdpMid":"0","more":["kept",1e400,"<&>"]}`
	for name, tt := range map[string]struct{ in, want string }{
		"offer": {
			`{"type":"offer","secret":"x","from":"admin","clientId":"admin","offer":{"type":"offer","sdp":` + quote(sdp) + `,"x":1},"targetClientId":"B"}`,
			`{"type":"offer","offer":{"type":"offer","sdp":` + quote(sdp) + `},"clientId":"A"}`,
		},
		"candidate": {
			`{"type":"candidate","candidate":` + init + `}`,
			`{"type":"candidate","candidate":` + init + `,"clientId":"A"}`,
		},
		"end of candidates": {
			`{"type":"candidate","candidate":null}`,
			`{"type":"candidate","candidate":null,"clientId":"A"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ParseMessage([]byte(tt.in), limits)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(m.forward("A")); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSecretPrintsNothing(t *testing.T) {
	join := Join{RoomID: "r", Token: "hunter2"}
	ice := ICEServer{Username: "u", Credential: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(verb+verb+verb, join, ice, join.Token); strings.Contains(s, "hunter2") {
			t.Errorf("%s prints the secret: %s", verb, s)
		}
	}
}

// Every reason is listed once, so that it has a counter.
func TestReasonsAreAll(t *testing.T) {
	source, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[Reason]int{}
	for _, r := range Reasons() {
		listed[r]++
		if listed[r] > 1 {
			t.Errorf("%q is listed twice", r)
		}
		if !strings.Contains(string(source), `Reason = "`+string(r)+`"`) {
			t.Errorf("%q is listed but not declared", r)
		}
	}
	if declared := strings.Count(string(source), ` Reason = "`); declared != len(listed) {
		t.Errorf("%d reasons are declared, %d listed", declared, len(listed))
	}
}

// FuzzParseMessage: what is accepted means the same when sent again, forwards only what every other
// reader of JSON would find in it, and is within the limits.
func FuzzParseMessage(f *testing.F) {
	sdp := quote(sdpFile(f, "chromium-data-offer"))
	for _, seed := range []string{
		`{"type":"join","roomId":"lobby","token":"t","name":"Zoë"}`,
		`{"type":"leave"}`,
		`{"type":"offer","offer":{"type":"offer","sdp":` + sdp + `},"targetClientId":"B"}`,
		`{"type":"answer","answer":{"type":"answer","sdp":` + sdp + `}}`,
		`{"type":"candidate","candidate":{"candidate":"` + hostCandidate + `","sdpMid":"0","sdpMLineIndex":0}}`,
		`{"type":"candidate","candidate":null}`,
		`{"type":"join","roomId":"\ud83d\ude00"}`,
		`{"type":"join","roomId":"r","resume":true}`,
		`{"type":"resume","roomId":"r","clientId":"A","secret":"S","received":17}`,
		`{"type":"quality","targetClientId":"B","roundTripMs":42.5,"lossPercent":0.1,"jitterMs":3,"bitrateKbps":1200,` +
			`"pairType":"relay","transport":"tls","restarts":1,"timeToConnectMs":800}`,
		`{"type":"quality","targetClientId":"B","lossPercent":-0,"restarts":1e1}`,
		`{"type":"lock"}`,
		`{"type":"unlock"}`,
		`{"type":"remove","targetClientId":"B"}`,
		`{"type":"leave","x":[[[[[[[[]]]]]]]]}`,
		`{"type":"leave","type":"leave"}`,
	} {
		f.Add([]byte(seed))
	}
	limits := DefaultLimits()
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMessage(data, limits)
		if err != nil {
			if refusal, ok := err.(*Refusal); !ok || refusal.Text == "" {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		again, err := ParseMessage(m.encode(), limits)
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("sent again, %+v became %+v (%v)", m, again, err)
		}
		if len(m.Join.RoomID) > limits.RoomIDBytes || len(m.Candidate) > limits.CandidateBytes || len(m.Description.SDP) > limits.SDPBytes {
			t.Fatalf("beyond the limits: %+v", m)
		}
		if m.Type == TypeResume && (len(m.Resume.Secret) > maxIDBytes || len(m.Resume.ClientID) > maxIDBytes) {
			t.Fatalf("beyond the limits: %+v", m)
		}
		for _, n := range m.Quality.numbers() {
			if v := *n.at; v != nil && !(*v >= 0 && *v <= n.most) {
				t.Fatalf("%s is %v", n.name, *v)
			}
		}
		var sent, forwarded map[string]any
		if json.Unmarshal(data, &sent) != nil || json.Unmarshal(m.forward("A"), &forwarded) != nil {
			t.Fatal("accepted what is not JSON, or forwards what is not")
		}
		if forwarded["clientId"] != "A" {
			t.Fatalf("the sender is %v", forwarded["clientId"])
		}
		if m.Type == TypeCandidate && !reflect.DeepEqual(sent["candidate"], forwarded["candidate"]) {
			t.Fatalf("candidate %v became %v", sent["candidate"], forwarded["candidate"])
		}
		if m.Type == TypeOffer || m.Type == TypeAnswer {
			a := sent[string(m.Type)].(map[string]any)["sdp"]
			b := forwarded[string(m.Type)].(map[string]any)["sdp"]
			if a != b {
				t.Fatalf("SDP %q became %q", a, b)
			}
		}
	})
}
