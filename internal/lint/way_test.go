package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// functionsOnTheWay bounds what a reader has to follow of a frame, from accept to the sent
// response, in a pool or inline, whichever is longer.
const functionsOnTheWay = 65

// TestTheWayOfAFrameIsAsDesignTellsIt: each function of DESIGN.md's list is in the file that
// the list names, and the way is not longer than that.
func TestTheWayOfAFrameIsAsDesignTellsIt(t *testing.T) {
	const root = "../.."
	design, err := os.ReadFile(filepath.Join(root, "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(design), "### A frame's way, function by function")
	_, list, _ = strings.Cut(list, "```\n")
	list, _, _ = strings.Cut(list, "```")
	element := regexp.MustCompile(`^ *(?:([\w/]+\.go) +)?((?:(\w+)\.)?(\w+))`)
	part, file, ways := "", "", map[string]map[string]bool{"pool": {}, "inline": {}}
	for line := range strings.Lines(list) {
		if line[0] != ' ' {
			part = strings.Fields(line)[0]
			continue
		}
		if !strings.Contains(line, ".go ") {
			continue // whose goroutine it is
		}
		for step := range strings.SplitSeq(line, " → ") {
			f := element.FindStringSubmatch(step)
			if f[1] != "" {
				file = f[1]
			}
			if !declares(t, filepath.Join(root, file), f[3], f[4]) {
				t.Errorf("DESIGN.md, the way of a frame: %s is not in %s", f[2], file)
			}
			for way, functions := range ways {
				if part != "close" && part != "pool" && part != "inline" || part == way {
					functions[file+" "+f[2]] = true
				}
			}
		}
	}
	for way, functions := range ways {
		t.Logf("%s: %d functions", way, len(functions))
		if len(functions) > functionsOnTheWay {
			t.Errorf("%d functions are on the way of a frame (%s), more than %d", len(functions), way, functionsOnTheWay)
		}
	}
	if len(ways["pool"]) == 0 {
		t.Error("DESIGN.md has no list of the way of a frame")
	}
}

// declares says that a file has a function of that name, or a method of that type.
func declares(t *testing.T, path, receiver, name string) bool {
	source, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("DESIGN.md, the way of a frame: %v", err)
		return true
	}
	head := `(?m)^func ` + name + `\(`
	if receiver != "" {
		head = `(?m)^func \((?:\w+ )?\*?` + receiver + `\) ` + name + `\(`
	}
	return regexp.MustCompile(head).Match(source)
}
