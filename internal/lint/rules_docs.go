package lint

import (
	"regexp"
	"strings"
)

// typed is how lines begin that a reader would type.
var typed = regexp.MustCompile(`^\s*(\$ |scripts/|\.ci/run|(kring|go|git|cd|cp|kill|curl|kcat|openssl|docker|systemctl|aws|promtool|kafka-[a-z-]+\.sh) \S)`)

// notRun is what stands above a block whose commands scripts/docs.sh does not run.
var notRun = regexp.MustCompile(`^<!-- not run: \S.* -->$`)

// ranPage reports whether scripts/docs.sh runs the commands of a page.
func ranPage(path string) bool {
	dir, name := "", path
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		dir, name = path[:at], path[at+1:]
	}
	switch dir {
	case "":
		return name == "README.md" || name == "CONTRIBUTING.md"
	case "docs":
		return strings.HasSuffix(name, ".md")
	}
	return path == "examples/README.md"
}

// documents: scripts/docs.sh runs every command of a page, or the page says why not.
func documents(t *Tree) (found []Finding) {
	for _, f := range t.Files {
		if ranPage(f.Path) {
			found = append(found, commandsNotRun(f)...)
		}
	}
	return found
}

// commandsNotRun are the commands of a page that nobody runs.
func commandsNotRun(f *File) (found []Finding) {
	above, kind, inside, excused, said := "", "", false, false, false
	for i, line := range strings.Split(string(f.Source), "\n") {
		say := func(text string) { found = append(found, Finding{f.Path, i + 1, text}) }
		switch {
		case !inside && strings.HasPrefix(line, "```"):
			inside, said, kind = true, false, strings.TrimPrefix(line, "```")
			excused = notRun.MatchString(above)
			if excused && kind == "sh" {
				say("a ```sh block is run: make it ```shell, or remove its comment \"not run\"")
			}
		case inside && line == "```":
			inside, above = false, ""
		case inside && kind == "sh" && strings.HasPrefix(line, "$ "):
			say("a ```sh block has commands only: leave the prompt out, and put what they print into a ```text block")
		case inside && kind != "sh" && kind != "go" && !excused && !said && typed.MatchString(line):
			said = true // once for a block
			say("nobody runs this command: make it a ```sh block, which scripts/docs.sh runs, or write <!-- not run: REASON --> above")
		case !inside && strings.HasPrefix(line, "    ") && typed.MatchString(line):
			say("nobody runs this command: put it into a ```sh block, which scripts/docs.sh runs")
		}
		if !inside && !strings.HasPrefix(line, "```") {
			above = line
		}
	}
	return found
}
