package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"hairpin/credentials"
	"hairpin/signaling"
)

// roomUserDigest is how many bytes of a digest tell the TURN users of one name apart.
const roomUserDigest = 12

// roomUsers names the TURN users of the members of rooms. Users of one name are others in each tenant and
// in each room, so that a quota, or a removal, of one is none of another's. The key is this process's own:
// whoever may mint credentials for any user still cannot name a member's.
type roomUsers struct{ key [sha256.Size]byte }

func newRoomUsers() (u roomUsers) {
	_, _ = rand.Read(u.key[:]) // never fails
	return u
}

// of is the TURN user of a member: what a log is readable by of the user's name, and a digest of the
// tenant, room and user. No two of these are alike, since none of the three has a NUL.
func (u roomUsers) of(m signaling.Member) string {
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write([]byte(m.Tenant + "\x00" + m.Room + "\x00" + m.User))
	suffix := "~" + hex.EncodeToString(mac.Sum(nil)[:roomUserDigest])
	name := m.User
	if most := credentials.MaxUserBytes - len(suffix); len(name) > most {
		name = strings.ToValidUTF8(name[:most], "")
	}
	return name + suffix
}
