package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// flagsOfOthers are flags in the documents that are another program's.
var flagsOfOthers = map[string]string{
	"attributes": "aws", "target-group-arn": "aws",
	"cap-drop": "docker", "memory": "docker", "security-opt": "docker", "ulimit": "docker", "build": "docker",
	"bootstrap-server": "kafka", "command-config": "kafka", "delete-offsets": "kafka", "list": "kafka",
	"conns": "bench", "duration": "bench", "only": "bench", "payload": "bench", "quick": "bench", "rate": "bench",
	"recording": "bench", "rounds": "bench", "scenario": "bench", "steps": "bench",
	"unix-socket": "curl", "now": "systemctl",
}

var (
	namedFlag = regexp.MustCompile(`(^|[^-\w])--([a-z][a-z0-9-]*[a-z0-9])`)
	codeSpan  = regexp.MustCompile("`([^`]+)`")
)

// documents are the pages that a user reads, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d pages in docs: %v", len(paths), err)
	}
	pages := map[string]string{}
	for _, path := range append(paths, "../../README.md", "../../CONTRIBUTING.md", "../../examples/README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[path] = string(text)
	}
	return pages
}

// namedIn are the flags that a text names.
func namedIn(text string) (names []string) {
	for _, m := range namedFlag.FindAllStringSubmatch(text, -1) {
		names = append(names, m[2])
	}
	return names
}

// hasFlag reports whether a command has a flag. Its parents' are its own.
func hasFlag(command *kong.Node, name string) bool {
	for ; command != nil; command = command.Parent {
		for _, flag := range command.Flags {
			if flag.Name == name || slices.Contains(flag.Aliases, name) {
				return true
			}
		}
	}
	return false
}

// everyCommand visits a command and those below it.
func everyCommand(command *kong.Node, visit func(*kong.Node)) {
	visit(command)
	for _, below := range command.Children {
		everyCommand(below, visit)
	}
}

// commandNamed is the command that the words of a command line begin with, below another.
func commandNamed(command *kong.Node, words []string) (*kong.Node, error) {
	for _, word := range words {
		if len(command.Children) == 0 || strings.HasPrefix(word, "-") {
			break
		}
		at := slices.IndexFunc(command.Children, func(c *kong.Node) bool { return c.Name == word })
		if at < 0 {
			return nil, fmt.Errorf("kring has no command %q", word)
		}
		command = command.Children[at]
	}
	return command, nil
}

func TestEveryFlagInTheDocumentsExists(t *testing.T) {
	known := map[string]bool{"help-all": true, "version": true}
	everyCommand(newParser(new(grammar), io.Discard, io.Discard).Model.Node, func(command *kong.Node) {
		for _, flag := range command.Flags {
			known[flag.Name] = true
		}
	})
	for path, text := range documents(t) {
		for _, name := range namedIn(text) {
			if !known[name] && flagsOfOthers[name] == "" {
				t.Errorf("%s names --%s: no command of kring has it; correct the page, or name the program in flagsOfOthers", path, name)
			}
		}
	}
}

// TestEveryCommandInTheDocumentsIsOne: what a page has as `kring COMMAND --flag` is a command
// with this flag. Blocks of commands are run by scripts/docs.sh.
func TestEveryCommandInTheDocumentsIsOne(t *testing.T) {
	seen, kring := 0, newParser(new(grammar), io.Discard, io.Discard).Model.Node
	for path, text := range documents(t) {
		for _, span := range codeSpan.FindAllStringSubmatch(text, -1) {
			line, is := strings.CutPrefix(strings.TrimPrefix(span[1], "go run ./cmd/"), "kring ")
			if !is {
				continue
			}
			seen++
			words := strings.Fields(line)
			for _, last := range strings.Split(words[len(words)-1], "|") { // `kring connections list|close`
				words[len(words)-1] = last
				command, err := commandNamed(kring, words)
				if err != nil {
					t.Errorf("%s, `kring %s`: %v", path, line, err)
					continue
				}
				for _, name := range namedIn(line) {
					if !hasFlag(command, name) && name != "help-all" {
						t.Errorf("%s: kring %s has no --%s", path, command.Path(), name)
					}
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found", seen)
	}
}
