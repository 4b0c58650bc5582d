package sasl_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"kring/sasl"
)

// TestAccountsKnowTheirPasswordsAndKeepNone of them.
//
// Apache Kafka does so in PlainServerCallbackHandler.
func TestAccountsKnowTheirPasswordsAndKeepNone(t *testing.T) {
	a := sasl.NewAccounts()
	for user, password := range map[string]string{"alice": "hunter2", "bob": "hunter3"} {
		if err := a.Add(user, password); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		user, password string
		want           bool
	}{{"alice", "hunter2", true}, {"bob", "hunter3", true}, {"alice", "hunter3", false}, {"alice", "", false}, {"Alice", "hunter2", false}, {"eve", "", false}, {"", "", false}} {
		if ok, err := a.CheckPassword(context.Background(), c.user, []byte(c.password)); ok != c.want || err != nil {
			t.Errorf("%s, %s: %v, %v", c.user, c.password, ok, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", a, *a, a); strings.Contains(text, "hunter") {
		t.Errorf("a password is in %s", text)
	}
	exchange := sasl.NewPlain(a).Begin()
	if step, err := exchange.Next(context.Background(), []byte("\x00alice\x00hunter2")); err != nil || !step.Done || step.Identity.User != "alice" {
		t.Errorf("PLAIN: %+v, %v", step, err)
	}
}

func TestAccountsThatCantBeAreRefused(t *testing.T) {
	a := sasl.NewAccounts()
	if err := a.Add("alice", "hunter2"); err != nil {
		t.Fatal(err)
	}
	for says, add := range map[string][2]string{
		"is there twice": {"alice", "hunter2"}, "has no password": {"bob", ""}, "without a name": {"", "hunter2"}, "can't be printed": {"a\x00b", "hunter2"},
		"at most": {"bob", strings.Repeat("hunter2", 100_000)},
	} {
		if err := a.Add(add[0], add[1]); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", says, err)
		}
	}
	for i := 1; i < sasl.AccountsMax; i++ {
		if err := a.Add(fmt.Sprint("u", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Add("more", "x"); err == nil || a.Len() != sasl.AccountsMax {
		t.Errorf("%d accounts, %v", a.Len(), err)
	}
}
