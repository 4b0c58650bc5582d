//go:build unix

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// configured is a child that serves by a configuration file.
type configured struct {
	*child
	file string
	read int // lines of the log that tests have seen
}

// serveConfig starts a child on a file, and waits until it is ready.
func serveConfig(t *testing.T, text string, args ...string) *configured {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.properties")
	c := &configured{file: file}
	c.write(t, text)
	c.child = start(t, append([]string{"serve", "--config", file}, args...)...)
	c.awaitReady()
	return c
}

func (c *configured) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(c.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reread writes the file, asks for it to be read again, and gives the line that says what
// came of it.
func (c *configured) reread(text string) string {
	c.t.Helper()
	c.write(c.t, text)
	c.signal(syscall.SIGHUP)
	c.read++
	expr := `(?s)(?:.*?msg="the configuration (?:was read again|stays as it was)"){` + strconv.Itoa(c.read) + `}[^\n]*\n`
	c.logged(expr)
	all := regexp.MustCompile(`[^\n]*msg="the configuration (?:was read again|stays as it was)"[^\n]*`).FindAllString(c.stderr.String(), -1)
	return all[c.read-1]
}

func (c *configured) stop() {
	c.t.Helper()
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		c.t.Errorf("exit status %d, want 0; standard error:\n%s", status, c.stderr.String())
	}
}

func expect(t *testing.T, line string, says ...string) {
	t.Helper()
	for _, s := range says {
		if !strings.Contains(line, s) {
			t.Errorf("%q is not in: %s", s, line)
		}
	}
}

// TestTheConfigurationIsReadAgainAtASignal: listeners come and go, quotas, limits and the
// log's level change, and connections stay.
func TestTheConfigurationIsReadAgainAtASignal(t *testing.T) {
	const kafka = "listeners=A://127.0.0.1:0\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\nmax.connections=100\nconnections.max.idle.ms=600000\n"
	c := serveConfig(t, kafka)
	conn := dial(t, c.addr)
	ask(t, conn, kmsg.NewPtrApiVersionsRequest())

	more := strings.Replace(kafka, "A://127.0.0.1:0", "A://127.0.0.1:0,B://127.0.0.1:0", 1)
	more = strings.Replace(more, "max.connections=100", "max.connections=200", 1) + "kring.log-level=debug\nkring.quota=client-id=greedy,requests=0.1\nkring.max-throttle=30s\n"
	line := c.reread(more)
	expect(t, line, "level=INFO", "read again", "file="+c.file, "--max-connections from 100 to 200", "--log-level from info to debug", "--quota from none to", "--listen from")
	listening := regexp.MustCompile(`listening="(\S+), (\S+)"`).FindStringSubmatch(line)
	if listening == nil || listening[1] != c.addr {
		t.Fatalf("the new listener is not named: %s", line)
	}
	ask(t, dial(t, listening[2]), kmsg.NewPtrApiVersionsRequest())
	throttleOf(t, conn)
	if ms := throttleOf(t, conn); ms == 0 {
		t.Error("the quota of the file does not hold")
	}
	gone := dial(t, c.addr)
	ask(t, gone, kmsg.NewPtrApiVersionsRequest())
	gone.Close()
	c.logged(`level=DEBUG msg="connection closed"`)

	expect(t, c.reread(kafka), "read again", "--max-connections from 200 to 100", `--quota from`, "to none", "listening="+c.addr)
	ask(t, dial(t, c.addr), kmsg.NewPtrApiVersionsRequest())
	expect(t, c.reread(kafka), "read again", "changed=none")
	c.stop()
}

// TestAConfigurationIsTakenAsAWholeOrNotAtAll: neither what is wrong nor what needs a
// restart lets anything else change, and each is named with its line.
func TestAConfigurationIsTakenAsAWholeOrNotAtAll(t *testing.T) {
	const kafka = "listeners=PLAINTEXT://127.0.0.1:0\nmax.connections=100\n"
	c := serveConfig(t, kafka, "--handler", "null")
	more := strings.Replace(kafka, "=100", "=200", 1)
	for text, says := range map[string][]string{
		more + "max.conections=5\n":                         {"server.properties:3:1: max.conections: there is no such property; is max.connections meant?"},
		more + "kring.log-format=json\nnum.partitions=3\n":  {"--log-format can't change from text to json while kring serves", "server.properties:3", "--partitions can't change", "server.properties:4"},
		more + "kring.engine=portable\n":                    {"--engine can't change", "server.properties:3"},
		more + "queued.max.requests=7\nkring.wait=locked\n": {"--queued-requests can't change from 500 to 7", "server.properties:3", "--wait can't change", "server.properties:4"},
		more + "queued.max.request.bytes=1\n":               {"--queued-request-bytes is 1: choose", "server.properties:3"},
		more + "kring.quota=client-id=a,speed=1\n":          {"speed"},
		more + "listener.name.plaintext.kring.backlog=7\n":  {"--listener PLAINTEXT.backlog can't change"},
		more + "kring.quota-file=" + c.file + ".nowhere\n":  {"there is no such file"},
		"\\u12": {"server.properties:1:1: malformed"},
		strings.Replace(more, "127.0.0.1:0", "[::1]:0", 1):    {"--listen PLAINTEXT:// can't change"},
		strings.Replace(more, "PLAINTEXT:", "PLAIN TEXT:", 1): {"server.properties:1"},
	} {
		line := c.reread(text)
		expect(t, line, append(says, "level=ERROR", "stays as it was")...)
	}
	expect(t, c.reread(more), "--max-connections from 100 to 200") // so it was 100 until now
	ask(t, dial(t, c.addr), kmsg.NewPtrApiVersionsRequest())
	c.stop()
}

// TestAListenerWithTLSCanBeAddedAndItsCertificateIsReadAgain; one whose clients must
// authenticate can't: the handler would let everybody in.
func TestAListenerWithTLSCanBeAddedAndItsCertificateIsReadAgain(t *testing.T) {
	at, _ := certDir(t)
	writeFile(t, at("b.pem"), readFile(t, at("one.pem")))
	writeFile(t, at("b.key"), readFile(t, at("one.key")))
	const kafka = "listeners=A://127.0.0.1:0\nlistener.security.protocol.map=A:PLAINTEXT,B:SSL,C:SASL_PLAINTEXT\n"
	more := strings.Replace(kafka, "A://127.0.0.1:0", "A://127.0.0.1:0,B://127.0.0.1:0", 1) +
		"listener.name.b.kring.tls-cert=" + at("b.pem") + "\nlistener.name.b.kring.tls-key=" + at("b.key") + "\n"
	c := serveConfig(t, kafka, "--handler", "null")
	line := c.reread(more)
	if !regexp.MustCompile(`listening="\S+, \S+"`).MatchString(line) {
		t.Fatalf("the new listener is not named: %s", line)
	}
	writeFile(t, at("b.pem"), readFile(t, at("two.pem")))
	writeFile(t, at("b.key"), readFile(t, at("two.key")))
	c.logged(`msg="the certificates were read again"`)
	expect(t, c.reread(strings.Replace(more, "B://127.0.0.1:0", "B://127.0.0.1:0,C://127.0.0.1:0", 1)),
		"level=ERROR", "stays as it was", "--listen C://127.0.0.1:0: a listener with SASL_PLAINTEXT can't be added while kring serves: restart it")
	expect(t, c.reread(kafka), "read again", "listening="+c.addr)
	c.stop()
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
