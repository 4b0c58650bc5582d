package main

import (
	"fmt"
	"io"
	"regexp"
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
	node     *kong.Node
	commands []*kong.Node
	flags    []*kong.Flag
	files    bool // it takes files
	values   []string
}

// commandsOf are the commands below n, and n itself, whose path that is.
func commandsOf(n *kong.Node, path string) (all []shellCommand) {
	c := shellCommand{path: path, node: n}
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

// valueActions are what a shell does to complete the value of a flag.
type valueActions struct {
	words func([]string) string // one of some words
	file  string                // the name of a file
	other string                // anything else
}

// of is what is done for a flag; "" if it is on or off, and has no value.
func (a *valueActions) of(f *kong.Flag) string {
	switch {
	case f.IsBool():
		return ""
	case f.Enum != "":
		return a.words(enumOf(f.Value))
	case namesFile.MatchString(f.PlaceHolder):
		return a.file
	}
	return a.other
}

// commandCases writes the cases of bash and zsh that find out which command is typed.
func commandCases(b *strings.Builder, all []shellCommand) {
	for _, c := range all[1:] {
		fmt.Fprintf(b, "\t\t%s) cmd=%[1]s ;;\n", quoted(c.path))
	}
}

// flagCases writes the cases of bash and zsh for what stands behind a flag.
func flagCases(b *strings.Builder, all []shellCommand, do valueActions) {
	for _, c := range all {
		for _, f := range c.flags {
			if action := do.of(f); action != "" {
				fmt.Fprintf(b, "\t%s) %s ;;\n", quoted(c.path+" --"+f.Name), action)
			}
		}
	}
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
	commandCases(&b, all)
	b.WriteString("\t\tesac\n\tdone\n\tcase \"$cmd $prev\" in\n")
	flagCases(&b, all, valueActions{
		words: func(values []string) string {
			return "mapfile -t COMPREPLY < <(compgen -W " + quoted(strings.Join(values, " ")) + ` -- "$cur"); return`
		},
		file: `mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return`, other: "COMPREPLY=(); return",
	})
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
	commandCases(&b, all)
	b.WriteString("\t\tesac\n\tdone\n\tcase \"$cmd ${words[CURRENT-1]}\" in\n")
	flagCases(&b, all, valueActions{
		words: func(values []string) string { return "compadd -- " + strings.Join(values, " ") + "; return" },
		file:  "_files; return", other: "return",
	})
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
	do := valueActions{
		words: func(values []string) string { return " -x -a " + quoted(strings.Join(values, " ")) },
		file:  " -r -F", other: " -x",
	}
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
			fmt.Fprintf(&b, "complete -c kring -n %s -l %s%s -d %s\n", at, f.Name, do.of(f), quoted(brief(f.Help)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
