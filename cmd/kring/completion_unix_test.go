//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBashCompletesCommandsFlagsValuesAndFiles: the completion is run by bash itself.
func TestBashCompletesCommandsFlagsValuesAndFiles(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("bash is needed, as by the scripts: ", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "server.properties"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	completion := filepath.Join(dir, "kring.bash")
	if err := os.WriteFile(completion, []byte(output(t, "completion", "bash")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, of := range []struct {
		words []string // the last is being written
		want  []string // among others
		only  bool
	}{
		{[]string{"kring", "ser"}, []string{"serve"}, true},
		{[]string{"kring", ""}, []string{"serve", "doctor", "completion", "man", "ready"}, false},
		{[]string{"kring", "config", ""}, []string{"check", "show"}, false},
		{[]string{"kring", "serve", "--eng"}, []string{"--engine"}, true},
		{[]string{"kring", "serve", "--engine", ""}, []string{"auto", "io_uring", "epoll", "portable"}, true},
		{[]string{"kring", "serve", "--engine", "=", "ep"}, []string{"epoll"}, true},
		{[]string{"kring", "serve", "--engine", "epoll", "--handl"}, []string{"--handler", "--handlers"}, false},
		{[]string{"kring", "serve", "--config", "serv"}, []string{"server.properties"}, true},
		{[]string{"kring", "config", "check", "serv"}, []string{"server.properties"}, true},
		{[]string{"kring", "completion", ""}, []string{"bash", "zsh", "fish"}, false},
		{[]string{"kring", "serve", "--listen", "x"}, nil, true},
	} {
		script := fmt.Sprintf(`source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _kring; printf '%%s\n' "${COMPREPLY[@]}"`,
			quoted(completion), quotedWords(of.words), len(of.words)-1)
		cmd := exec.Command(bash, "--norc", "-uc", script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		got := strings.Fields(string(out))
		missing := slices.ContainsFunc(of.want, func(w string) bool { return !slices.Contains(got, w) })
		if err != nil || missing || of.only && len(got) != len(of.want) {
			t.Errorf("%q: %q, %v; want %q", of.words, out, err, of.want)
		}
	}
}

func quotedWords(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, quoted(w))
	}
	return strings.Join(all, " ")
}

// TestEveryFlagIsCompletedByEveryShellAndInTheManualPage, from the one table of the program.
func TestEveryFlagIsCompletedByEveryShellAndInTheManualPage(t *testing.T) {
	texts := map[string]string{"man": strings.ReplaceAll(output(t, "man"), `\-`, "-")}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		texts[shell] = output(t, "completion", shell)
		if exe, err := exec.LookPath(shell); err == nil {
			cmd := exec.Command(exe, "-n")
			cmd.Stdin = strings.NewReader(texts[shell])
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s does not read it: %v\n%s", shell, err, out)
			}
		}
	}
	model := newParser(new(grammar), &bytes.Buffer{}, &bytes.Buffer{}).Model
	for _, c := range commandsOf(model.Node, "kring") {
		for _, f := range c.flags {
			for where, text := range texts {
				name := "--" + f.Name
				if where == "fish" {
					name = "-l " + f.Name + " "
				}
				if !strings.Contains(text, name) && !(where == "man" && c.path == "kring") {
					t.Errorf("%s has no %s of %s", where, name, c.path)
				}
			}
		}
	}
}

// TestTheManualPageIsRendered, without complaints where mandoc is there to complain.
func TestTheManualPageIsRendered(t *testing.T) {
	page := filepath.Join(t.TempDir(), "kring.1")
	if err := os.WriteFile(page, []byte(output(t, "man")), 0o600); err != nil {
		t.Fatal(err)
	}
	if mandoc, err := exec.LookPath("mandoc"); err == nil {
		out, _ := exec.Command(mandoc, "-T", "lint", "-W", "warning", page).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "missing date") { // a build has none that would stay the same
				t.Errorf("mandoc: %s", line)
			}
		}
	}
	man, err := exec.LookPath("man")
	if err != nil {
		return // a small system has none; the page is text all the same
	}
	render := func(page string) string {
		cmd := exec.Command(man, "-l", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=100", "MAN_KEEP_FORMATTING=", "LC_ALL=C")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	small := filepath.Join(t.TempDir(), "small.1")
	if err := os.WriteFile(small, []byte(".TH SMALL 1\n.SH NAME\nsmall \\- a small page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(render(small), "a small page") {
		return // a stand-in of a system without pages, or one without a formatter
	}
	out := render(page)
	for _, want := range []string{"KRING SERVE", "--upgrade-socket=PATH", "kring serve --data-dir ./data", "EXIT STATUS"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in it", want)
		}
	}
}

// TestReadyAsksTheSideDoor as a container's health check does.
func TestReadyAsksTheSideDoor(t *testing.T) {
	ready := http.StatusOK
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			fmt.Fprintln(w, "ok")
			return
		}
		w.WriteHeader(ready)
		fmt.Fprintln(w, "draining, say")
	}))
	defer door.Close()
	at := strings.TrimPrefix(door.URL, "http://")
	ask := func(args ...string) (int, string) {
		status, out, stderr := command(t, append([]string{"ready"}, args...)...)
		return status, out + stderr
	}
	if status, text := ask("--http", at); status != exitOK || text != "draining, say\n" {
		t.Errorf("status %d, %q", status, text)
	}
	ready = http.StatusServiceUnavailable
	if status, text := ask("--http", at); status != exitFailure || !strings.Contains(text, "draining") {
		t.Errorf("not ready: status %d, %q", status, text)
	}
	if status, text := ask("--live", "--http", at); status != exitOK || text != "ok\n" {
		t.Errorf("alive: status %d, %q", status, text)
	}
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	for _, everywhere := range []string{":", "0.0.0.0:", "[::]:"} { // as a server's own --http may say
		if status, text := ask("--live", "--http", everywhere+port); status != exitOK {
			t.Errorf("%s: status %d, %q", everywhere, status, text)
		}
	}
	door.Close()
	for _, where := range []string{at, "unix:" + filepath.Join(t.TempDir(), "none")} {
		if status, text := ask("--http", where); status != exitFailure || !strings.Contains(text, where) || !strings.Contains(text, "does kring serve run there with --http?") {
			t.Errorf("nobody there: status %d, %q", status, text)
		}
	}
	if status, _ := ask("--http", "nonsense"); status != exitUsage {
		t.Errorf("a wrong address: status %d", status)
	}
}
