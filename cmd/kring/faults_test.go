package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestOneCheckNamesEveryFault: certificates that can't be read beside flags that don't fit
// together, each with its listener as it was given.
func TestOneCheckNamesEveryFault(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "server.properties")
	writeFile(t, file, []byte("listeners=SSL://127.0.0.1:9093,SASL_SSL://127.0.0.1:9094\nkring.acl="+filepath.Join(dir, "none.acl")+
		"\nconnections.max.reauth.ms=5\nlistener.name.ssl.kring.tls-cert="+filepath.Join(dir, "none.pem")+"\nmax.conections=1\n"))
	status, _, stderr := command(t, "config", "check", file)
	if status != exitUsage {
		t.Errorf("exit status %d", status)
	}
	for _, says := range []string{
		"max.conections: there is no such property", "--max-reauth 5ms", "none.acl: there is no such file",
		"--listen SSL://127.0.0.1:9093: --tls-cert " + filepath.Join(dir, "none.pem"),
		"--listen SASL_SSL://127.0.0.1:9094: clients of SASL_SSL authenticate, and no mechanism is given",
	} {
		if n := strings.Count(stderr, says); n != 1 {
			t.Errorf("%q stands there %d times:\n%s", says, n, stderr)
		}
	}
	if strings.Contains(stderr, "://:") || strings.Contains(stderr, "://;") {
		t.Errorf("an address is missing:\n%s", stderr)
	}
}
