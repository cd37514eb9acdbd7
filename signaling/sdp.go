package signaling

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pion/sdp/v3"
)

// CheckSDP reports, as a [*Refusal], why an offer or answer must not be forwarded: it is longer than
// maxBytes, is not a session description (RFC 8866), has more than 128 sections, or has an active
// section that is not protected by DTLS or does not name a DTLS fingerprint (RFC 8122) and ICE
// credentials (RFC 8839).
//
// It changes nothing: the text is forwarded as it came, and the browsers that set it check it again.
func CheckSDP(text string, maxBytes int) error {
	if _, refusal := checkSDP(text, maxBytes); refusal != nil {
		return refusal
	}
	return nil
}

func checkSDP(text string, maxBytes int) (sendsMedia bool, _ *Refusal) {
	if len(text) > maxBytes {
		return false, refuse(ReasonSDPTooLarge, "The session description is too long.")
	}
	if !hasSaneLines(text) {
		return false, refuse(ReasonBadSDP, "The session description must be lines of x=value, all ended by CRLF or all by LF, without other control characters.")
	}
	var d sdp.SessionDescription
	// The parser's error quotes the text, so it is not passed on.
	if d.UnmarshalString(text) != nil {
		return false, refuse(ReasonBadSDP, "The text is not a session description (RFC 8866).")
	}
	return sends(&d), checkSections(&d)
}

// sends reports whether a section allows its sender audio or video: that is so unless its one direction
// attribute says otherwise (RFC 8866, section 6.7). Browsers take the last of several, and none of the
// session's, so several are not believed, and the session is not asked.
func sends(d *sdp.SessionDescription) bool {
	return slices.ContainsFunc(d.MediaDescriptions, func(m *sdp.MediaDescription) bool {
		return m.MediaName.Media != "application" && !isRejected(m) && !sendsNothing(m)
	})
}

// sendsNothing reports whether a section has one direction, and that is not to send.
func sendsNothing(m *sdp.MediaDescription) bool {
	var directions []sdp.Attribute
	for _, a := range m.Attributes {
		switch a.Key {
		case "sendrecv", "sendonly", "recvonly", "inactive":
			directions = append(directions, a)
		}
	}
	if len(directions) != 1 {
		return false
	}
	only := directions[0]
	return only == sdp.Attribute{Key: "recvonly"} || only == sdp.Attribute{Key: "inactive"}
}

// hasSaneLines refuses whatever two parsers might split differently: a bare CR, mixed line ends, blank
// lines, a last line without end.
func hasSaneLines(text string) bool {
	end := "\n"
	if strings.Contains(text, "\r") {
		end = "\r\n"
	}
	body, ended := strings.CutSuffix(text, end)
	if !ended || !utf8.ValidString(text) {
		return false
	}
	for line := range strings.SplitSeq(body, end) {
		if len(line) < 2 || line[0] < 'a' || line[0] > 'z' || line[1] != '=' || hasControl(line) {
			return false
		}
	}
	return true
}

// maxSections is far more than a call between browsers has.
const maxSections = 128

// section is what is to be known of a section. It is read once: every section of a bundle asks the
// tagged one.
type section struct {
	parameters
	mid              string
	named            bool // it has a mid
	rejected, isDTLS bool
}

func sectionOf(m *sdp.MediaDescription) section {
	mid, named := m.Attribute("mid")
	return section{parametersOf(m.Attributes), mid, named, isRejected(m), isDTLS(m)}
}

func checkSections(d *sdp.SessionDescription) *Refusal {
	if len(d.MediaDescriptions) > maxSections {
		return refuse(ReasonBadSDP, "The session description has more than 128 sections.")
	}
	sections := make([]section, len(d.MediaDescriptions))
	byMid := map[string]section{}
	for i, m := range d.MediaDescriptions {
		s := sectionOf(m)
		if _, twice := byMid[s.mid]; s.named && twice {
			return refuse(ReasonBadSDP, "Two sections have the same mid.")
		}
		if s.named {
			byMid[s.mid] = s
		}
		sections[i] = s
	}
	session := parametersOf(d.Attributes)
	tags := bundleTags(d)
	for _, s := range sections {
		levels := []parameters{s.parameters, session}
		tag, bundled := tags[s.mid]
		if tagged, known := byMid[tag]; s.named && bundled && known && !tagged.rejected {
			levels = []parameters{s.parameters, tagged.parameters, session}
		}
		if refusal := checkSection(s, levels); refusal != nil {
			return refusal
		}
	}
	return nil
}

// checkSection checks a section by the levels that may speak of its transport, the closest first.
func checkSection(s section, levels []parameters) *Refusal {
	switch {
	case s.rejected:
		return nil
	case !s.isDTLS:
		return refuse(ReasonSDPNotDTLS, "A section does not use DTLS, or carries keys in the session description.")
	case !isSound(levels, func(p parameters) soundness { return p.fingerprint }):
		return refuse(ReasonSDPFingerprint, "A section has no sound DTLS fingerprint.")
	case !isSound(levels, func(p parameters) soundness { return p.ice }):
		return refuse(ReasonSDPNoICE, "A section has no sound ice-ufrag and ice-pwd.")
	}
	return nil
}

// isRejected reports whether a section is out of use: port zero says so (RFC 3264, section 6), except
// for a bundle-only section, whose media flows through another section's transport (RFC 9143, section 6).
func isRejected(m *sdp.MediaDescription) bool {
	_, bundleOnly := m.Attribute("bundle-only")
	return m.MediaName.Port.Value == 0 && !bundleOnly
}

// bundleTags maps each bundled section's mid to that of the tagged section of its group, the first
// one: it alone has to name the parameters of the transport they share (RFC 9143, section 7.1.3).
func bundleTags(d *sdp.SessionDescription) map[string]string {
	tags := map[string]string{}
	for _, a := range d.Attributes {
		mids := strings.Fields(a.Value)
		if a.Key != "group" || len(mids) < 2 || mids[0] != "BUNDLE" {
			continue
		}
		for _, mid := range mids[1:] {
			tags[mid] = mids[1]
		}
	}
	return tags
}

// isDTLS reports whether a section's profile is one of those that run over DTLS (RFC 5764, RFC 7850,
// RFC 8841) and no SDES keys come with it (RFC 8827, section 6.5, forbids them).
func isDTLS(m *sdp.MediaDescription) bool {
	if _, sdes := m.Attribute("crypto"); sdes {
		return false
	}
	switch strings.Join(m.MediaName.Protos, "/") {
	case "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP",
		"UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP":
		return true
	}
	return false
}

// soundness says how well one level of a description names a parameter.
type soundness int

const (
	absent soundness = iota
	unsound
	sound
)

// parameters is what one level, the session or a section, says about its transport.
type parameters struct{ fingerprint, ice soundness }

// isSound asks the first level that speaks of a parameter: it overrides those after it.
func isSound(levels []parameters, of func(parameters) soundness) bool {
	for _, level := range levels {
		if s := of(level); s != absent {
			return s == sound
		}
	}
	return false
}

func parametersOf(attributes []sdp.Attribute) parameters {
	var p parameters
	var ufrag, pwd soundness
	for _, a := range attributes {
		switch a.Key {
		case "fingerprint":
			p.fingerprint = worst(p.fingerprint, isFingerprint(a.Value))
		case "ice-ufrag":
			ufrag = worst(ufrag, isICEChars(a.Value, 4, 256))
		case "ice-pwd":
			pwd = worst(pwd, isICEChars(a.Value, 22, 256))
		}
	}
	switch {
	case ufrag == sound && pwd == sound:
		p.ice = sound
	case ufrag != absent || pwd != absent:
		p.ice = unsound
	}
	return p
}

func worst(before soundness, ok bool) soundness {
	if before == unsound || !ok {
		return unsound
	}
	return sound
}

// isFingerprint checks a fingerprint (RFC 8122, section 5) of the SHA family; MD2 and MD5, which the
// RFC forbids, are not among them.
func isFingerprint(value string) bool {
	hash, digits, _ := strings.Cut(value, " ")
	sizes := map[string]int{"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
	size, known := sizes[strings.ToLower(hash)]
	pairs := strings.Split(digits, ":")
	if !known || len(pairs) != size {
		return false
	}
	for _, pair := range pairs {
		if _, err := hex.DecodeString(pair); err != nil || len(pair) != 2 {
			return false
		}
	}
	return true
}
