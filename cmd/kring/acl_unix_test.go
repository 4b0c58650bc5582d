//go:build unix

package main

import (
	"os"
	"slices"
	"syscall"
	"testing"
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
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
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
