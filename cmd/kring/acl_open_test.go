package main

import (
	"path/filepath"
	"testing"

	"kring/acl"
)

// TestEverybodyMayDoWhatNoRuleIsAboutIfKafkasPropertySaysSo, and not otherwise.
func TestEverybodyMayDoWhatNoRuleIsAboutIfKafkasPropertySaysSo(t *testing.T) {
	dir := t.TempDir()
	rules, file := filepath.Join(dir, "rules"), filepath.Join(dir, "server.properties")
	writeFile(t, rules, []byte("allow User:alice read topic:orders\n"))
	for value, want := range map[string]bool{"true": true, "False": false} {
		writeFile(t, file, []byte("listeners=PLAINTEXT://127.0.0.1:0\nallow.everyone.if.no.acl.found="+value+"\nkring.acl="+rules+"\n"))
		f, err := serveOf(t, "--config", file).authorizer()
		if err != nil {
			t.Fatal(err)
		}
		for topic, want := range map[string]bool{"orders": false, "free": want} {
			if got := f.Allowed(acl.Client{Principal: "User:bob"}, acl.Action{API: acl.APINone, Operation: acl.Read, Resource: acl.Topic, Name: topic}); got != want {
				t.Errorf("%s: bob reads %s: %v", value, topic, got)
			}
		}
	}
	if f := textOfConfig("allow.everyone.if.no.acl.found=yes"); len(f.faults) != 1 {
		t.Errorf("%v", f.faults)
	}
}
