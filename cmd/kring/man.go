package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd is `kring man`.
type manCmd struct{}

// Help says how it is used.
func (manCmd) Help() string {
	return `    kring man | man -l -
    kring man > /usr/local/share/man/man1/kring.1`
}

// Run prints the manual page: every command with its flags.
func (manCmd) Run(p process) error {
	model := p.command.Model
	var b strings.Builder
	fmt.Fprintf(&b, ".TH KRING 1 \"\" \"kring %s\" \"User Commands\"\n", roff(programVersion()))
	fmt.Fprintf(&b, ".SH NAME\nkring \\- the network layer of a Kafka\\-style broker on io_uring\n.SH SYNOPSIS\n.B kring\n.I COMMAND\n[\\fIFLAGS\\fR]\n.SH DESCRIPTION\n%s", paragraphs(model.Help))
	all := commandsOf(model.Node, "kring")
	for _, c := range all[1:] {
		node := c.node
		fmt.Fprintf(&b, ".SH %s\n%s", strings.ToUpper(roff(c.path)), paragraphs(node.Help))
		if len(c.commands) == 0 {
			fmt.Fprintf(&b, ".PP\n.B %s\n%s\n", roff(c.path), roff(arguments(node)))
			manFlags(&b, &c)
		}
		if node.Detail != "" {
			detail := paragraphs(node.Detail)
			if !strings.HasPrefix(detail, ".PP") {
				detail = ".PP\n" + detail
			}
			b.WriteString(detail)
		}
	}
	b.WriteString(".SH \"EXIT STATUS\"\n0 after a signal, or success; 1 for a failure at run time or a second signal; 2 for a wrong flag, value or setting; 3 (doctor) if io_uring can't serve and another engine can.\n")
	b.WriteString(".SH SIGNALS\nSIGINT, SIGTERM: finish what is in flight, and end. SIGHUP: read the files of the settings again. SIGUSR1: log the state. SIGUSR2: start the process that takes over (\\-\\-upgrade\\-socket).\n")
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

func arguments(n *kong.Node) string {
	var all []string
	for _, arg := range n.Positional {
		all = append(all, arg.Summary())
	}
	return strings.Join(append(all, "[flags]"), " ")
}

func manFlags(b *strings.Builder, c *shellCommand) {
	titles, flags := groupsOf(c)
	for _, title := range titles {
		fmt.Fprintf(b, ".SS %q\n", roff(strings.TrimSuffix(title, ":")))
		for _, f := range flags[title] {
			fmt.Fprintf(b, ".TP\n\\fB\\-\\-%s\\fR", roff(f.Name))
			if !f.IsBool() {
				fmt.Fprintf(b, "=\\fI%s\\fR", roff(f.FormatPlaceHolder()))
			}
			fmt.Fprintf(b, "\n%s\n", roff(oneParagraph(f.Help)))
		}
	}
}

// groupsOf are a command's flags by their groups, in the order of the help.
func groupsOf(c *shellCommand) (titles []string, flags map[string][]*kong.Flag) {
	flags = map[string][]*kong.Flag{}
	for _, f := range c.flags {
		title := "Flags:"
		if f.Group != nil {
			title = f.Group.Title
		}
		if !slices.Contains(titles, title) {
			titles = append(titles, title)
		}
		flags[title] = append(flags[title], f)
	}
	return titles, flags
}

func oneParagraph(s string) string { return strings.Join(strings.Fields(s), " ") }

// paragraphs has indented lines stay as they are, as in the help.
func paragraphs(s string) string {
	var b strings.Builder
	literal, gap := false, false
	for line := range strings.Lines(strings.Trim(s, "\n")) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			gap = true
			continue
		}
		code := strings.HasPrefix(line, "    ")
		switch {
		case literal && !code:
			b.WriteString(".fi\n.PP\n")
		case code && !literal:
			b.WriteString(".PP\n.nf\n")
		case gap && code:
			b.WriteString("\n")
		case gap:
			b.WriteString(".PP\n")
		}
		literal, gap = code, false
		b.WriteString(roff(line) + "\n")
	}
	if literal {
		b.WriteString(".fi\n")
	}
	return b.String()
}

// roff escapes text.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "·", `\(pc`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
