package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func rulesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongRulesNameTheFlagTheFileTheLineAndTheRemedy(t *testing.T) {
	bad := rulesFile(t, "# none\nallow User:a raed topic:x\n")
	elsewhere := rulesFile(t, "deny User:a read topic:x on SASL_SLL\n")
	good := rulesFile(t, "allow User:a read topic:x\n")
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"serve", "--acl", bad}, []string{"--acl " + bad + ":2: ", `"raed"`, "did you mean read?"}},
		{[]string{"serve", "--acl", good + ".none"}, []string{"--acl ", "there is no such file", "name one"}},
		{[]string{"serve", "--acl", elsewhere}, []string{elsewhere + ":1: ", `"SASL_SLL"`, "are PLAINTEXT"}},
		{[]string{"serve", "--acl", good, "--super-users", "admin"}, []string{"--super-users", `"admin"`, "User:admin"}},
		{[]string{"serve", "--super-users", "User:admin"}, []string{"--super-users", "give --acl"}},
		{[]string{"serve", "--listener", "PLAINTEXT.super-users=User:a"}, []string{"PLAINTEXT.super-users", "give --acl"}},
		{[]string{"serve", "--listener", "PLAINTEXT.super-users=a"}, []string{`"a" is no principal`}},
		{[]string{"serve", "--acl", good, "--handler", "echo"}, []string{"--acl", "--handler echo"}},
		{[]string{"acl", "check", bad}, []string{bad + ":2: ", "did you mean read?"}},
		{[]string{"acl", "test", good, "--principal", "User:a", "--operation", "raed", "--resource", "topic:x"}, []string{"did you mean read?"}},
	} {
		var stdout, stderr bytes.Buffer
		status := run(c.args, []string{"KRING_LISTEN=127.0.0.1:0"}, &stdout, &stderr, nil)
		for _, says := range c.says {
			if status != exitUsage || !strings.Contains(stderr.String(), says) {
				t.Errorf("%q: exit status %d, want 2, saying %q:\n%s", c.args, status, says, stderr.String())
			}
		}
	}
}

func TestRulesAreTriedOnTheCommandLine(t *testing.T) {
	rules := rulesFile(t, "allow User:a read topic:orders-* on SASL_SSL from 10.0.0.0/8\ndeny User:a read topic:orders-x using Fetch\n")
	for _, c := range []struct {
		args   string
		says   string
		status int
	}{
		{"check", "2: deny User:a read topic:orders-x using Fetch\n", exitOK},
		{"test --principal User:a --operation read --resource topic:orders-1 --listener SASL_SSL --address 10.1.1.1", "allowed\n", exitOK},
		{"test --principal User:a --operation describe --resource topic:orders-1 --listener SASL_SSL --address 10.1.1.1", "allowed\n", exitOK},
		{"test --principal User:a --operation read --resource topic:orders-1 --listener SASL_SSL --address 11.1.1.1", "denied\n", exitFailure},
		{"test --principal User:a --operation read --resource topic:orders-x --listener SASL_SSL --address 10.1.1.1 --api Fetch", "denied\n", exitFailure},
	} {
		words := strings.Fields(c.args)
		args := append([]string{"acl", words[0], rules}, words[1:]...)
		var stdout, stderr bytes.Buffer
		if status := run(args, nil, &stdout, &stderr, nil); status != c.status || !strings.Contains(stdout.String(), c.says) {
			t.Errorf("%q: exit status %d, %q, want %d, %q:\n%s", args, status, stdout.String(), c.status, c.says, stderr.String())
		}
	}
}

// visible are the topics that a client by listener sees.
func visible(t *testing.T, addr string) (names []string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range resp.Topics {
		names = append(names, *topic.Topic)
	}
	return names
}
