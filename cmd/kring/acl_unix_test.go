//go:build unix

package main

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRulesAreReadAgainAtASignal, as a whole or not at all, also where the file of another
// setting is wrong.
func TestRulesAreReadAgainAtASignal(t *testing.T) {
	rules := rulesFile(t, "allow User:* describe topic:a\n")
	c := serve(t, "--acl", rules, "--seed-topic", "a:1", "--seed-topic", "b:1")
	if got := visible(t, c.addr); !slices.Equal(got, []string{"a"}) {
		t.Errorf("topics: %q", got)
	}
	write := func(text string) {
		writeFile(t, rules, []byte(text))
		c.signal(syscall.SIGHUP)
	}
	write("allow User:* describe topic:b,topic:c\nallow everything\n")
	c.logged(`msg="the rules of --acl stay as they were" .*:2: .*`)
	if got := visible(t, c.addr); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after a bad file: %q", got)
	}
	write("allow User:* describe topic:b\n")
	c.logged(`msg="the rules of --acl were read again" .*rules=1`)
	if got := visible(t, c.addr); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after a good file: %q", got)
	}
}

func TestASuperUserOfOneListenerMayDoEverythingThere(t *testing.T) {
	for _, handler := range []string{"embedded", "null"} {
		c := serve(t, "--handler", handler, "--acl", rulesFile(t, ""), "--listener", "PLAINTEXT.super-users=User:ANONYMOUS")
		if c.addr == "" {
			t.Fatal("not served")
		}
		visible(t, c.addr)
	}
}

// TestRulesAndSuperUsersAreThoseOfTheListenersThatThereAre, whichever came and went: a listener
// of a name that another had does not have its super users.
func TestRulesAndSuperUsersAreThoseOfTheListenersThatThereAre(t *testing.T) {
	rules := rulesFile(t, "allow User:* describe topic:a\n")
	const (
		one    = "listeners=A://127.0.0.1:0\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT\n"
		both   = "listeners=A://127.0.0.1:0,B://127.0.0.1:0\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT\n"
		supers = "listener.name.b.kring.super-users=User:ANONYMOUS\n"
	)
	c := serveConfig(t, both+supers, "--acl", rules, "--seed-topic", "a:1", "--seed-topic", "b:1")
	listening := regexp.MustCompile(`listening="\S+, (\S+)"`)
	add := func(text string) (addr string) { // once the name is free: who leaves has it until the end
		t.Helper()
		for end := time.Now().Add(deadline); time.Now().Before(end); {
			if m := listening.FindStringSubmatch(c.reread(text)); m != nil {
				c.logged(`(?s)` + regexp.QuoteMeta(m[0]) + `.*msg="the rules of --acl were read again"`)
				return m[1]
			}
		}
		t.Fatalf("the second listener is not there; standard error:\n%s", c.stderr.String())
		return ""
	}
	expect(t, c.reread(one), "read again")
	if got := visible(t, add(both)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("on a listener without super users: %q", got)
	}
	expect(t, c.reread(one), "read again")
	writeFile(t, rules, []byte("allow User:* describe topic:b on C\n"))
	if got := visible(t, add(strings.Replace(both, ",B:", ",C:", 1))); !slices.Equal(got, []string{"b"}) {
		t.Errorf("by a rule for the new listener: %q", got)
	}
	c.stop()
}
