package signaling

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/pion/sdp/v3"
)

const testSDPBytes = 48 << 10

func TestCheckSDPAcceptsBrowsers(t *testing.T) {
	files, _ := filepath.Glob("testdata/sdp/*.sdp")
	if len(files) < 12 {
		t.Fatalf("only %d descriptions in testdata/sdp", len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\r\n") {
			t.Errorf("%s: its line ends were changed", file)
		}
		if err := CheckSDP(string(text), testSDPBytes); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		// RFC 8866, section 5: parsers should accept lines that end with LF alone.
		if err := CheckSDP(strings.ReplaceAll(string(text), "\r\n", "\n"), testSDPBytes); err != nil {
			t.Errorf("%s with LF: %v", file, err)
		}
	}
}

const (
	testFingerprint    = "a=fingerprint:sha-256 5C:D6:42:83:97:FF:33:A6:1D:6B:92:7F:D2:C8:65:E3:23:66:E7:79:14:C8:8F:EF:67:9B:71:F8:A3:57:D1:4A\r\n"
	testICECredentials = "a=ice-ufrag:jjBN\r\na=ice-pwd:/TVu2KsEAlWcJbnS6DbGngY8\r\n"
	testAudio          = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n"
	testVideo          = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n"
	testSession        = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
)

func TestCheckSDP(t *testing.T) {
	whole := testSession + testAudio + "a=mid:0\r\n" + testICECredentials + testFingerprint
	bundle := testSession + "a=group:BUNDLE 0 1\r\n"
	with := func(old, changed string) string {
		if !strings.Contains(whole, old) {
			t.Fatalf("no %q to change", old)
		}
		return strings.Replace(whole, old, changed, 1)
	}
	for name, tt := range map[string]struct {
		sdp  string
		want Reason // empty: accepted
	}{
		"one section":                      {whole, ""},
		"no section":                       {testSession, ""},
		"as many sections as may be":       {bundledSections(maxSections, 1), ""},
		"all at session level":             {testSession + testICECredentials + testFingerprint + testAudio, ""},
		"SAVP":                             {with("SAVPF", "SAVP"), ""},
		"over TCP":                         {with("UDP/TLS", "TCP/DTLS"), ""},
		"data":                             {with("audio 9 UDP/TLS/RTP/SAVPF 111", "application 9 UDP/DTLS/SCTP webrtc-datachannel"), ""},
		"data over TCP":                    {with("audio 9 UDP/TLS/RTP/SAVPF 111", "application 9 TCP/DTLS/SCTP webrtc-datachannel"), ""},
		"data, as it once was":             {with("audio 9 UDP/TLS/RTP/SAVPF 111", "application 9 DTLS/SCTP 5000"), ""},
		"sha-512":                          {with("sha-256 ", "sha-512 "+strings.Repeat("AB:", 32)), ""},
		"two fingerprints":                 {whole + "a=fingerprint:SHA-1 " + strings.Repeat("ab:", 19) + "ab\r\n", ""},
		"rejected and bare":                {whole + "m=video 0 RTP/AVP 96\r\na=mid:1\r\n", ""},
		"bundled into the tagged":          {bundle + testAudio + "a=mid:0\r\n" + testICECredentials + testFingerprint + testVideo + "a=mid:1\r\n", ""},
		"bundle-only, port 0":              {bundle + testAudio + "a=mid:0\r\n" + testICECredentials + testFingerprint + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=bundle-only\r\n", ""},
		"section overrides a poor session": {testSession + "a=ice-ufrag:x\r\n" + testAudio + testICECredentials + testFingerprint, ""},

		"nothing":                {"", ReasonBadSDP},
		"no SDP":                 {"</script><script>alert(1)</script>", ReasonBadSDP},
		"another version":        {with("v=0", "v=1"), ReasonBadSDP},
		"no version":             {with("v=0\r\n", ""), ReasonBadSDP},
		"the last line is open":  {strings.TrimSuffix(whole, "\r\n"), ReasonBadSDP},
		"a bare CR":              {with("s=-\r\n", "s=-\ra=x\r\n"), ReasonBadSDP},
		"a bare LF":              {with("s=-\r\n", "s=-\n"), ReasonBadSDP},
		"CR CR LF":               {with("s=-\r\n", "s=-\r\r\n"), ReasonBadSDP},
		"a blank line":           {with("s=-\r\n", "s=-\r\n\r\n"), ReasonBadSDP},
		"a NUL":                  {with("s=-", "s=\x00"), ReasonBadSDP},
		"an escape":              {with("s=-", "s=\x1b[2J"), ReasonBadSDP},
		"an invalid UTF-8":       {with("s=-", "s=\xff"), ReasonBadSDP},
		"an indented line":       {with("a=ice-ufrag", " a=ice-ufrag"), ReasonBadSDP},
		"markup for a line":      {with("s=-\r\n", "s=-\r\n</script>\r\n"), ReasonBadSDP},
		"a bad port":             {with("audio 9 ", "audio 65536 "), ReasonBadSDP},
		"one section too many":   {bundledSections(maxSections+1, 1), ReasonBadSDP},
		"one mid twice":          {whole + testVideo + "a=mid:0\r\n" + testICECredentials + testFingerprint, ReasonBadSDP},
		"a page of attributes":   {whole + strings.Repeat("a=x\r\n", testSDPBytes/5), ReasonSDPTooLarge},
		"one attribute too long": {whole + "a=" + strings.Repeat("x", testSDPBytes) + "\r\n", ReasonSDPTooLarge},

		"plain RTP":             {with("UDP/TLS/RTP/SAVPF", "RTP/AVP"), ReasonSDPNotDTLS},
		"plain RTP, feedback":   {with("UDP/TLS/RTP/SAVPF", "RTP/AVPF"), ReasonSDPNotDTLS},
		"SRTP of unknown keys":  {with("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"), ReasonSDPNotDTLS},
		"bare SCTP":             {with("UDP/TLS/RTP/SAVPF", "SCTP"), ReasonSDPNotDTLS},
		"bare UDP":              {with("UDP/TLS/RTP/SAVPF", "UDP"), ReasonSDPNotDTLS},
		"SDES keys":             {with("a=mid:0\r\n", "a=mid:0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n"), ReasonSDPNotDTLS},
		"bundle-only plain RTP": {bundle + testAudio + "a=mid:0\r\n" + testICECredentials + testFingerprint + "m=video 0 RTP/AVP 96\r\na=mid:1\r\na=bundle-only\r\n", ReasonSDPNotDTLS},

		"no fingerprint":               {with(testFingerprint, ""), ReasonSDPFingerprint},
		"an empty fingerprint":         {with(testFingerprint, "a=fingerprint\r\n"), ReasonSDPFingerprint},
		"a short fingerprint":          {with(":4A\r\n", "\r\n"), ReasonSDPFingerprint},
		"a fingerprint without colons": {with(testFingerprint, strings.ReplaceAll(strings.Replace(testFingerprint, "a=fingerprint:", "a=fingerprint ", 1), ":", "")), ReasonSDPFingerprint},
		"not hexadecimal":              {with("5C:", "5G:"), ReasonSDPFingerprint},
		"markup for a fingerprint":     {with("5C:D6", "<b>"), ReasonSDPFingerprint},
		"md5":                          {with(testFingerprint, "a=fingerprint:md5 "+strings.Repeat("AB:", 15)+"AB\r\n"), ReasonSDPFingerprint},
		"a good and a bad fingerprint": {whole + "a=fingerprint:sha-256 AB\r\n", ReasonSDPFingerprint},
		"a bad and a good fingerprint": {with("a=mid:0\r\n", "a=fingerprint:sha-256 AB\r\n"), ReasonSDPFingerprint},
		"session good, section bad":    {testSession + testICECredentials + testFingerprint + testAudio + "a=fingerprint:sha-256 AB\r\n", ReasonSDPFingerprint},
		"second section without":       {whole + testVideo + "a=mid:1\r\n" + testICECredentials, ReasonSDPFingerprint},
		"bundled, tagged has none":     {bundle + testAudio + "a=mid:0\r\n" + testICECredentials + testVideo + "a=mid:1\r\n" + testICECredentials + testFingerprint, ReasonSDPFingerprint},
		"bundle-only, tagged rejected": {bundle + "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n" + testICECredentials + testFingerprint + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=bundle-only\r\n", ReasonSDPFingerprint},
		"bundle-only in no group":      {whole + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=bundle-only\r\n", ReasonSDPFingerprint},
		"in no group, one has no mid":  {testSession + testAudio + testICECredentials + testFingerprint + testVideo + "a=mid:1\r\n" + testICECredentials, ReasonSDPFingerprint},

		"no ICE":                    {with(testICECredentials, ""), ReasonSDPNoICE},
		"no ufrag":                  {with("a=ice-ufrag:jjBN\r\n", ""), ReasonSDPNoICE},
		"no password":               {with("a=ice-pwd:/TVu2KsEAlWcJbnS6DbGngY8\r\n", ""), ReasonSDPNoICE},
		"a short ufrag":             {with("jjBN", "jjB"), ReasonSDPNoICE},
		"a short password":          {with("/TVu2KsEAlWcJbnS6DbGngY8", "/TVu2KsEAlWcJbnS6DbGn"), ReasonSDPNoICE},
		"a colon in the ufrag":      {with("jjBN", "jj:BN"), ReasonSDPNoICE},
		"markup for a ufrag":        {with("jjBN", "</script>"), ReasonSDPNoICE},
		"ufrag here, password up":   {testSession + "a=ice-pwd:/TVu2KsEAlWcJbnS6DbGngY8\r\n" + testAudio + "a=ice-ufrag:jjBN\r\n" + testFingerprint, ReasonSDPNoICE},
		"a second ufrag, a bad one": {whole + "a=ice-ufrag:x\r\n", ReasonSDPNoICE},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckSDP(tt.sdp, testSDPBytes)
			refusal, _ := err.(*Refusal)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (refusal == nil || refusal.Reason != tt.want):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// bundledSections is a description of n sections that share the transport of the first, which has the
// given number of fingerprints.
func bundledSections(n, fingerprints int) string {
	group := "a=group:BUNDLE"
	sections := testAudio + "a=mid:0\r\n" + testICECredentials + strings.Repeat(testFingerprint, fingerprints)
	for i := range n {
		group += fmt.Sprintf(" %d", i)
		if i > 0 {
			sections += fmt.Sprintf("%sa=mid:%d\r\n", testVideo, i)
		}
	}
	return testSession + group + "\r\n" + sections
}

// The tagged section's fingerprints are read once, however many sections ask for them. Allocations
// stand for work: to read a fingerprint takes some.
func TestCheckSDPReadsFingerprintsOnce(t *testing.T) {
	allocs := func(sections, fingerprints int) float64 {
		var d sdp.SessionDescription
		if err := d.UnmarshalString(bundledSections(sections, fingerprints)); err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(5, func() {
			if refusal := checkSections(&d); refusal != nil {
				t.Fatal(refusal)
			}
		})
	}
	const many = 180
	read := allocs(1, many) - allocs(1, 1)
	if read < many-1 {
		t.Fatalf("%d fingerprints take %v allocations, so that these do not count them", many, read)
	}
	if again := allocs(maxSections, many) - allocs(maxSections, 1); again > 2*read {
		t.Errorf("%d fingerprints take %v allocations for one section, and %v for %d", many, read, again, maxSections)
	}
}

var fuzzFingerprint = regexp.MustCompile(`^a=fingerprint:(?i:sha-[0-9]+) ([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){19,63})$`)

// FuzzCheckSDP holds the parser to what reading line by line, as an attacker's target might, finds in
// an accepted description: some sound fingerprint wherever a section is in use, and only DTLS.
func FuzzCheckSDP(f *testing.F) {
	files, _ := filepath.Glob("testdata/sdp/*.sdp")
	if len(files) == 0 {
		f.Fatal("no descriptions in testdata/sdp")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if CheckSDP(text, testSDPBytes) != nil {
			return
		}
		if len(text) > testSDPBytes || !utf8.ValidString(text) {
			t.Fatal("accepted what is too long or not UTF-8")
		}
		active, fingerprints := 0, 0
		lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
		for i, line := range lines {
			if strings.IndexFunc(line, unicode.IsControl) >= 0 {
				t.Fatalf("accepted a control character in %q", line)
			}
			if m := fuzzFingerprint.FindStringSubmatch(line); m != nil {
				if _, err := hex.DecodeString(strings.ReplaceAll(m[1], ":", "")); err == nil {
					fingerprints++
				}
			}
			section, isSection := strings.CutPrefix(line, "m=")
			if !isSection || !isActiveSection(section, lines[i+1:]) {
				continue
			}
			active++
			if fields := strings.Fields(section); !strings.Contains(fields[2], "TLS") {
				t.Fatalf("accepted %q", line)
			}
		}
		if active > 0 && fingerprints == 0 {
			t.Fatal("accepted sections without any fingerprint")
		}
	})
}

func isActiveSection(section string, after []string) bool {
	if port := strings.Fields(section)[1]; strings.Trim(strings.Split(port, "/")[0], "+-0") != "" {
		return true
	}
	for _, line := range after {
		switch {
		case strings.HasPrefix(line, "m="):
			return false
		case line == "a=bundle-only", strings.HasPrefix(line, "a=bundle-only:"):
			return true
		}
	}
	return false
}
