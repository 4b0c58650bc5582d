package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd is `kring completion`.
type completionCmd struct {
	Shell string `arg:"" enum:"bash, zsh, fish" help:"${enum}."`
}

// Help says how it is used.
func (completionCmd) Help() string {
	return `For this shell only, or in the file that the shell reads:

    source <(kring completion bash)
    kring completion bash > /usr/share/bash-completion/completions/kring
    kring completion zsh > "${fpath[1]}/_kring"
    kring completion fish > ~/.config/fish/completions/kring.fish`
}

// Run prints the completion of every command and flag.
func (c completionCmd) Run(p process) error {
	all := commandsOf(p.command.Model.Node, "kring")
	write := map[string]func(io.Writer, []shellCommand) error{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	return write[c.Shell](p.stdout, all)
}

// shellCommand is a command as shells complete it.
type shellCommand struct {
	path     string // "kring config check"
	help     string
	commands []*kong.Node
	flags    []*kong.Flag
	files    bool // it takes files
	values   []string
}

// commandsOf are the commands below n, and n itself, whose path that is.
func commandsOf(n *kong.Node, path string) (all []shellCommand) {
	c := shellCommand{path: path, help: n.Help}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			if !f.Hidden {
				c.flags = append(c.flags, f)
			}
		}
	}
	for _, arg := range n.Positional {
		if arg.Enum != "" {
			c.values = append(c.values, enumOf(arg)...)
		} else {
			c.files = true
		}
	}
	all = append(all, c)
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			all[0].commands = append(all[0].commands, child)
			all = append(all, commandsOf(child, path+" "+child.Name)...)
		}
	}
	return all
}

// words are what may follow a command: commands, flags, values.
func (c *shellCommand) words() (all []string) {
	for _, child := range c.commands {
		all = append(all, child.Name)
	}
	all = append(all, c.values...)
	for _, f := range c.flags {
		all = append(all, "--"+f.Name)
	}
	return all
}

func enumOf(v *kong.Value) (all []string) {
	for one := range strings.SplitSeq(v.Enum, ",") {
		all = append(all, strings.TrimSpace(one))
	}
	return all
}

var namesFile = regexp.MustCompile(`FILE|DIR|PATH`)

// takes says what the value of a flag may be: some words, a file, or anything. A flag that is
// on or off has none.
func takes(f *kong.Flag) (values []string, file, any bool) {
	switch {
	case f.IsBool():
		return nil, false, false
	case f.Enum != "":
		return enumOf(f.Value), false, false
	case namesFile.MatchString(f.PlaceHolder):
		return nil, true, false
	}
	return nil, false, true
}

// brief is the first sentence of a help text.
func brief(help string) string {
	help, _, _ = strings.Cut(help, ". ")
	return strings.TrimSuffix(strings.Join(strings.Fields(help), " "), ".")
}

// quoted is a word of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// bashCompletion needs no bash-completion package.
func bashCompletion(w io.Writer, all []shellCommand) error {
	var b strings.Builder
	b.WriteString("# bash completion of kring; made by: kring completion bash\n\n_kring() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=kring i\n")
	b.WriteString("\tif [[ $cur == = ]]; then cur=; else [[ $prev != = ]] || prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n")
	b.WriteString("\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase \"$cmd ${COMP_WORDS[i]}\" in\n")
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "\t\t%s) cmd=%[1]s ;;\n", quoted(c.path))
	}
	b.WriteString("\t\tesac\n\tdone\n\tcase \"$cmd $prev\" in\n")
	for _, c := range all {
		for _, f := range c.flags {
			values, file, any := takes(f)
			of := quoted(c.path + " --" + f.Name)
			switch {
			case len(values) > 0:
				fmt.Fprintf(&b, "\t%s) mapfile -t COMPREPLY < <(compgen -W %s -- \"$cur\"); return ;;\n", of, quoted(strings.Join(values, " ")))
			case file:
				fmt.Fprintf(&b, "\t%s) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n", of)
			case any:
				fmt.Fprintf(&b, "\t%s) COMPREPLY=(); return ;;\n", of)
			}
		}
	}
	b.WriteString("\tesac\n\tcase \"$cmd\" in\n")
	for _, c := range all {
		action := ""
		if c.files {
			action = "-f "
		}
		fmt.Fprintf(&b, "\t%s) mapfile -t COMPREPLY < <(compgen %s-W %s -- \"$cur\") ;;\n", quoted(c.path), action, quoted(strings.Join(c.words(), " ")))
	}
	b.WriteString("\tesac\n}\n\ncomplete -o filenames -F _kring kring\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func zshCompletion(w io.Writer, all []shellCommand) error {
	var b strings.Builder
	b.WriteString("#compdef kring\n# made by: kring completion zsh\n\n_kring() {\n\tlocal cmd=kring word\n\tlocal -a items\n\tfor word in \"${(@)words[2,CURRENT-1]}\"; do\n\t\tcase \"$cmd $word\" in\n")
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "\t\t%s) cmd=%[1]s ;;\n", quoted(c.path))
	}
	b.WriteString("\t\tesac\n\tdone\n\tcase \"$cmd ${words[CURRENT-1]}\" in\n")
	for _, c := range all {
		for _, f := range c.flags {
			values, file, any := takes(f)
			of := quoted(c.path + " --" + f.Name)
			switch {
			case len(values) > 0:
				fmt.Fprintf(&b, "\t%s) compadd -- %s; return ;;\n", of, strings.Join(values, " "))
			case file:
				fmt.Fprintf(&b, "\t%s) _files; return ;;\n", of)
			case any:
				fmt.Fprintf(&b, "\t%s) return ;;\n", of)
			}
		}
	}
	item := func(name, help string) {
		fmt.Fprintf(&b, " %s", quoted(strings.ReplaceAll(name, ":", `\:`)+":"+strings.ReplaceAll(brief(help), ":", `\:`)))
	}
	b.WriteString("\tesac\n\tcase $cmd in\n")
	for _, c := range all {
		fmt.Fprintf(&b, "\t%s) items=(", quoted(c.path))
		for _, child := range c.commands {
			item(child.Name, child.Help)
		}
		for _, v := range c.values {
			item(v, "")
		}
		for _, f := range c.flags {
			item("--"+f.Name, f.Help)
		}
		b.WriteString(" )")
		if c.files {
			b.WriteString("; _files")
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString("\tesac\n\t_describe kring items\n}\n\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then _kring \"$@\"; else compdef _kring kring; fi\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func fishCompletion(w io.Writer, all []shellCommand) error {
	var b strings.Builder
	b.WriteString("# fish completion of kring; made by: kring completion fish\n\ncomplete -c kring -f\n")
	b.WriteString("function __kring_at\n\tset -l path kring\n\tfor word in (commandline -opc)[2..]\n\t\tswitch \"$path $word\"\n\t\tcase")
	var paths []string
	for _, c := range all[1:] {
		paths = append(paths, quoted(c.path))
	}
	fmt.Fprintf(&b, " %s\n\t\t\tset path \"$path $word\"\n\t\tend\n\tend\n\ttest \"$path\" = \"$argv\"\nend\n\n", strings.Join(paths, " "))
	for _, c := range all {
		at := quoted("__kring_at " + c.path)
		for _, child := range c.commands {
			fmt.Fprintf(&b, "complete -c kring -n %s -a %s -d %s\n", at, quoted(child.Name), quoted(brief(child.Help)))
		}
		if len(c.values) > 0 {
			fmt.Fprintf(&b, "complete -c kring -n %s -a %s\n", at, quoted(strings.Join(c.values, " ")))
		}
		if c.files {
			fmt.Fprintf(&b, "complete -c kring -n %s -F\n", at)
		}
		for _, f := range c.flags {
			values, file, any := takes(f)
			more := ""
			switch {
			case len(values) > 0:
				more = " -x -a " + quoted(strings.Join(values, " "))
			case file:
				more = " -r -F"
			case any:
				more = " -x"
			}
			fmt.Fprintf(&b, "complete -c kring -n %s -l %s%s -d %s\n", at, f.Name, more, quoted(brief(f.Help)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
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
