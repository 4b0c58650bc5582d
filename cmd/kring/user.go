package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"kring/sasl"
)

// userCmd is `kring user`.
type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add a user, or give one another password."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user."`
	List   userListCmd   `cmd:"" help:"List users and the mechanisms that they can use."`
}

// Help is the text above the commands.
func (userCmd) Help() string {
	return `A users file has no passwords, but what they are checked by: SCRAM's keys and, for PLAIN, PBKDF2. Whoever reads it can still guess weak passwords: it is made for its owner alone (mode 0600). It is replaced as a whole by each change; a running kring reads it again within seconds. Several changes at the same time are made one after the other, with a lock file beside it (FILE.lock).`
}

type userAddCmd struct {
	Name         string   `arg:"" help:"Name of the user."`
	Users        string   `required:"" placeholder:"FILE" help:"The users file. It is made if there is none."`
	PasswordFile string   `placeholder:"FILE" help:"Read the password from a file, without the end of its line; - is standard input. Default: ask for it, or read standard input if that is no terminal. A password is never an argument: others could see it."`
	Mechanisms   []string `placeholder:"MECHANISM,…" default:"PLAIN,SCRAM-SHA-256,SCRAM-SHA-512" help:"Mechanisms that the user can log in by with this password; those that the user has already stay. Default: ${default}."`
	Iterations   int      `placeholder:"N" default:"8192" help:"Iterations of SCRAM, 4096 to 16384. More make passwords harder to guess from the file, and each login slower for the client. Default: ${default}."`
}

// Validate checks the flags; kong calls it.
func (c *userAddCmd) Validate() error {
	if c.Iterations < sasl.SCRAMIterationsMin || c.Iterations > sasl.SCRAMIterationsMax {
		return fmt.Errorf("--iterations %d: give %d to %d", c.Iterations, sasl.SCRAMIterationsMin, sasl.SCRAMIterationsMax)
	}
	for _, m := range c.Mechanisms {
		if m == sasl.OAuthBearer {
			return errors.New("--mechanisms: OAUTHBEARER has no users here, but tokens; leave it out")
		}
	}
	if err := knownMechanisms(c.Mechanisms); err != nil {
		return fmt.Errorf("--mechanisms: %w", err)
	}
	return nil
}

// Run adds a user.
func (c *userAddCmd) Run(p process) error {
	password, err := readPassword(p, c.PasswordFile)
	if err != nil {
		return err
	}
	defer clear(password)
	fresh := new(sasl.User) // before the lock: it takes a tenth of a second
	if err := fresh.SetPassword(password, c.Mechanisms, c.Iterations); err != nil {
		return err
	}
	had := false
	err = sasl.EditUsers(c.Users, func(l *sasl.UserList) error {
		had = l.Find(c.Name) != nil
		u, err := l.Add(c.Name)
		if err != nil {
			return err
		}
		if fresh.Plain != nil {
			u.Plain = fresh.Plain
		}
		for m, of := range fresh.SCRAM {
			u.SetSCRAM(m, of)
		}
		return nil
	})
	if err != nil {
		return err
	}
	what := "added"
	if had {
		what = "changed"
	}
	_, err = fmt.Fprintf(p.stdout, "%s %s: %s\n", what, oneLine(c.Name), strings.Join(c.Mechanisms, ", "))
	return err
}

type userRemoveCmd struct {
	Name  string `arg:"" help:"Name of the user."`
	Users string `required:"" placeholder:"FILE" help:"The users file."`
}

// Run removes a user.
func (c *userRemoveCmd) Run(p process) error {
	if _, err := os.Stat(c.Users); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("users file: %w", err) // and none is made
	}
	err := sasl.EditUsers(c.Users, func(l *sasl.UserList) error {
		if !l.Remove(c.Name) {
			return fmt.Errorf("there is no user %q in %s; kring user list shows those that there are", c.Name, c.Users)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "removed %s; connections of this user stay until they end or authenticate again\n", oneLine(c.Name))
	return err
}

type userListCmd struct {
	Users string `required:"" placeholder:"FILE" help:"The users file."`
}

// Run lists users.
func (c *userListCmd) Run(p process) error {
	users, err := sasl.OpenUsers(c.Users)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, u := range users.List().All() {
		fmt.Fprintf(w, "%s\t%s\n", oneLine(u.Name), strings.Join(u.Mechanisms(), ", "))
	}
	return w.Flush()
}

// readPassword reads a password from a file, standard input, or a person.
func readPassword(p process, file string) ([]byte, error) {
	switch {
	case file == "" && isTerminal(os.Stdin):
		return askPassword(p)
	case file == "" || file == "-":
		return onePassword(os.Stdin, "standard input")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--password-file: %w", err)
	}
	defer func() { _ = f.Close() }() // read only
	return onePassword(f, "--password-file "+file)
}

// onePassword reads a single line.
func onePassword(r io.Reader, from string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, sasl.PasswordBytesMax+3))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	switch {
	case len(text) == 0:
		return nil, fmt.Errorf("%s: there is no password in it; give one line", from)
	case bytes.ContainsAny(text, "\r\n"):
		return nil, fmt.Errorf("%s: there is more than one line in it; give the password alone", from)
	}
	return text, nil
}

// askPassword asks a person twice, without showing what is typed.
func askPassword(p process) ([]byte, error) {
	fmt.Fprint(p.stderr, "password: ")
	first, err := readHidden(os.Stdin)
	fmt.Fprint(p.stderr, "\nthe same again: ")
	if err != nil {
		return nil, err
	}
	second, err := readHidden(os.Stdin)
	fmt.Fprintln(p.stderr)
	defer clear(second)
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(first, second):
		return nil, errors.New("the two passwords differ; try again")
	case len(first) == 0:
		return nil, errors.New("the password is empty; give one")
	}
	return first, nil
}
