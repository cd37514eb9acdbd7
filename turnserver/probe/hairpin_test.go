package probe

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hairpin/turnserver/control"
)

// Every reason that our server may give an authenticated user is explained.
func TestHairpinReasonsAreExplained(t *testing.T) {
	strangers := []control.Reason{ // before anyone is authenticated, no phrase is sent
		control.UsernameTooLong, control.NoCredentials, control.WrongRealm, control.MalformedUsername,
		control.Expired, control.ClockSkew, control.WrongSecret, control.StaleNonce, control.Revoked,
	}
	told := make(map[control.Reason]bool)
	for _, r := range strangers {
		told[r] = true
	}
	for _, r := range control.Reasons() {
		words, _ := hairpinReason(r.String())
		if (words == "") != told[r] {
			t.Errorf("%v: %q", r, words)
		}
	}
}

func TestBecause(t *testing.T) {
	step := fault("channel-refused", nil, "refused")
	ours := step.because(fmt.Errorf("asked: %w", &refusal{code: 508, phrase: "too-many-channels"}))
	if !strings.HasPrefix(ours.Words, "refused: this allocation has") || ours.Hint != "raise --max-channels" {
		t.Errorf("%+v", ours)
	}
	for _, err := range []error{errors.New("else"), &refusal{code: 403, phrase: "Forbidden IP"}} {
		if got := step.because(err); got != step {
			t.Errorf("%v: %+v", err, got)
		}
	}
}
