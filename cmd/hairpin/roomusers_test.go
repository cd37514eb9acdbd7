package main

import (
	"strings"
	"testing"

	"hairpin/credentials"
	"hairpin/signaling"
)

// SEC-57: a TURN user is of one tenant, room and user, whatever these are called.
func TestRoomUsers(t *testing.T) {
	u, other := newRoomUsers(), newRoomUsers()
	long := strings.Repeat("ü", credentials.MaxUserBytes/2)
	seen := map[string]signaling.Member{}
	for _, m := range []signaling.Member{
		{Tenant: "app", Room: "r", User: "bob"},
		{Tenant: "evil", Room: "r", User: "bob"},
		{Room: "r", User: "bob"},
		{Tenant: "app", Room: "r2", User: "bob"},
		{Tenant: "app", Room: "r", User: "bob2"},
		{Tenant: "app", Room: "rb", User: "ob"},
		{Tenant: "appr", User: "bob"},
		{Tenant: "app", Room: "r", User: long},
		{Tenant: "evil", Room: "r", User: long},
	} {
		user := u.of(m)
		if twin, twice := seen[user]; twice {
			t.Errorf("%+v and %+v are both %s", twin, m, user)
		}
		seen[user] = m
		if user != u.of(m) || user == other.of(m) {
			t.Errorf("%+v is not one user here, and another elsewhere", m)
		}
		if err := credentials.CheckUser(user); err != nil {
			t.Errorf("%+v is %q: %v", m, user, err)
		}
		if name, _, _ := strings.Cut(user, "~"); !strings.HasPrefix(m.User, name) || len(name) < 3 && m.User != "ob" {
			t.Errorf("%q does not tell of %q", user, m.User)
		}
	}
}
