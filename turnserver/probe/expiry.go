package probe

import (
	"strconv"
	"strings"
	"time"
)

// usernameForm is how a username tells its expiry, if it does.
type usernameForm uint8

const (
	formOther        usernameForm = iota
	formExpiryUser                // EXPIRY:USER, seconds since 1970
	formUserExpiry                // the wrong way round
	formMilliseconds              // EXPIRY:USER, but in milliseconds
)

// Expiries of credentials, in seconds since 1970: numbers between these are taken for
// times, others for names.
const (
	minExpiry = 1_000_000       // January 1970: the vectors of tests begin there
	maxExpiry = 100_000_000_000 // the year 5138; milliseconds are above
)

// parseExpiry reads the expiry of a TURN REST username, which may be anything.
func parseExpiry(username string) (time.Time, usernameForm) {
	first, last, _ := strings.Cut(username, ":")
	if seconds, ok := digits(first); ok {
		switch {
		case seconds >= minExpiry && seconds < maxExpiry:
			return time.Unix(seconds, 0).UTC(), formExpiryUser
		case seconds >= maxExpiry:
			return time.Time{}, formMilliseconds
		}
	}
	if seconds, ok := digits(last); ok && seconds >= minExpiry {
		return time.Time{}, formUserExpiry
	}
	return time.Time{}, formOther
}

func digits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
