package kring_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"kring"
	"kring/reqchan"
)

// TestEveryCloseReasonHasItsNameHere: a Handler needs no other package for them.
func TestEveryCloseReasonHasItsNameHere(t *testing.T) {
	b, err := os.ReadFile("reasons.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`(?m)^\tReason\w+ +=`).FindAll(b, -1)); n != int(reqchan.ReasonCount) {
		t.Errorf("%d of %d reasons", n, reqchan.ReasonCount)
	}
	if kring.ReasonHandlerClosed.String() != "handler_closed" || !strings.Contains(string(b), "ReasonAuthenticationFailed (handlers)") {
		t.Error("a reason is another's")
	}
}
