package credentials

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// maxPasswordBytes is more than any HMAC takes in any encoding. A longer password is
// not decoded.
const maxPasswordBytes = 192

// A reading is one way an issuer may have understood a value. The first reading of a
// value is the right one, and has no note.
type reading struct {
	value []byte
	note  string
}

// passwordHint finds the mistake that explains a wrong password, by trying each
// reading of password, username and secrets. Where none fits it guesses from the form
// of the password. The caller has bounded the username.
func passwordHint(secrets []Secret, username, password string) string {
	macs := passwordReadings(password)
	if notes := findMistake(secrets, username, macs); len(notes) > 0 {
		return "The secret is right, but " + strings.Join(notes, ", and ") + "."
	}
	for _, mac := range macs {
		switch {
		case len(mac.value) == sha256.Size:
			return "32 bytes are an HMAC-SHA256: sign with HMAC-SHA1."
		case mac.note != "":
			return capital(mac.note) + ", and no secret here gives it even so."
		}
	}
	if passwordReason(password) == ReasonWrongSecret {
		return "Compare the secret of the issuer with the ones here. The password must be the HMAC of the whole username, exactly as it is sent."
	}
	return "The password is base64(HMAC-SHA1(secret, username)): 28 characters that end in =."
}

// findMistake returns the notes of the first combination of readings that fits.
func findMistake(secrets []Secret, username string, macs []reading) []string {
	names := usernameReadings(username)
	for _, mac := range macs {
		for _, secret := range secrets {
			for _, key := range secretReadings(secret.key()) {
				for _, name := range names {
					if gives(key.value, name.value, mac.value) {
						return notes(mac, key, name)
					}
				}
			}
		}
	}
	return nil
}

// gives reports whether the HMAC of name under key is mac, which has the length of an
// HMAC-SHA1 or HMAC-SHA256.
func gives(key, name, mac []byte) bool {
	newHash := sha1.New
	if len(mac) == sha256.Size {
		newHash = sha256.New
	}
	h := hmac.New(newHash, key)
	h.Write(name)
	return hmac.Equal(h.Sum(nil), mac)
}

func notes(mac, key, name reading) []string {
	var notes []string
	if len(mac.value) == sha256.Size {
		notes = append(notes, "the password is an HMAC-SHA256 and must be an HMAC-SHA1")
	}
	for _, r := range []reading{mac, key, name} {
		if r.note != "" {
			notes = append(notes, r.note)
		}
	}
	return notes
}

// passwordReadings returns the MACs that password may stand for.
func passwordReadings(password string) []reading {
	if len(password) > maxPasswordBytes {
		return nil
	}
	var readings []reading
	add := func(mac []byte, err error, note string) {
		if err == nil && (len(mac) == sha1.Size || len(mac) == sha256.Size) {
			readings = append(readings, reading{mac, note})
		}
	}
	trimmed := strings.TrimSpace(password)
	mac, err := decodePassword(password)
	add(mac, err, "")
	if trimmed != password {
		mac, err = decodePassword(trimmed)
		add(mac, err, "there is white space around the password")
	}
	mac, err = hex.DecodeString(trimmed)
	add(mac, err, "the password is in hexadecimal and must be in base64")
	unpadded := strings.TrimRight(trimmed, "=")
	if strings.ContainsAny(unpadded, "-_") {
		mac, err = base64.RawURLEncoding.DecodeString(unpadded)
		add(mac, err, "the password is in base64url and must be in plain base64, with + and / and padding")
	} else if unpadded == trimmed {
		mac, err = base64.RawStdEncoding.DecodeString(unpadded)
		add(mac, err, "the password lacks the = that ends its base64")
	}
	return readings
}

// usernameReadings returns what an issuer may have signed for username.
func usernameReadings(username string) []reading {
	readings := []reading{{[]byte(username), ""}}
	add := func(name, note string) {
		if name != username && name != "" {
			readings = append(readings, reading{[]byte(name), note})
		}
	}
	add(strings.TrimSpace(username), "there is white space around the username")
	add(username+"\n", "the issuer signs the username with a line end after it")
	if first, rest, found := strings.Cut(username, ":"); found {
		add(first, "the issuer signs only the part before the colon")
		add(rest, "the issuer signs only the part after the colon")
	}
	if swapped, ok := swap(username); ok {
		add(swapped, "the username has its two parts exchanged")
	}
	return readings
}

// secretReadings returns the keys an issuer may have made of a secret.
func secretReadings(key []byte) []reading {
	readings := []reading{
		{key, ""},
		{append(key[:len(key):len(key)], '\n'), "the issuer takes the line end after the secret for a part of it"},
	}
	if decoded, err := base64.StdEncoding.DecodeString(string(key)); err == nil {
		readings = append(readings, reading{decoded, "the issuer decodes the secret from base64, where its text is the key"})
	}
	if decoded, err := hex.DecodeString(string(key)); err == nil {
		readings = append(readings, reading{decoded, "the issuer decodes the secret from hexadecimal, where its text is the key"})
	}
	return readings
}

// usernameHint says what a malformed username looks like.
func usernameHint(username, password string) string {
	const form = "The form is EXPIRY:USER, seconds since 1970 in digits, a colon and a name."
	expiry, _, _ := strings.Cut(username, ":")
	if _, _, err := ParseUsername(password); err == nil {
		return "The username and the password look exchanged."
	}
	if _, ok := swap(username); ok {
		return "This looks like USER:EXPIRY: the expiry comes first."
	}
	switch {
	case len(username) > MaxUsernameBytes:
		return form
	case strings.TrimSpace(username) != username:
		return "There is white space around the username. " + form
	case isDigits(expiry) && len(expiry) == len("1700000000000"):
		return "The expiry looks like milliseconds: divide it by 1000."
	case isDigits(username):
		return "This is an expiry alone: let the issuer put a colon and a user after it."
	}
	return form
}

// swap turns USER:EXPIRY into EXPIRY:USER. The expiry must have the digits of a time
// since 2001, or any name that ends in a number would do.
func swap(username string) (string, bool) {
	colon := strings.LastIndexByte(username, ':')
	if colon < 1 || len(username) > MaxUsernameBytes {
		return "", false
	}
	user, expiry := username[:colon], strings.TrimSpace(username[colon+1:])
	if !isExpiry(expiry) || len(expiry) != maxExpiryDigits {
		return "", false
	}
	return expiry + ":" + user, true
}

// isHexMAC reports whether password is an HMAC-SHA1 in hexadecimal, which is base64 by
// accident too.
func isHexMAC(password string) bool {
	mac, err := hex.DecodeString(password)
	return err == nil && len(mac) == sha1.Size
}
