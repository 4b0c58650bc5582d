package acl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
)

// File is an Authorizer that reads its rules from a file, again whenever Reload is
// called.
//
// Concurrency: any goroutine.
type File struct {
	path  string
	more  []Rule
	rules atomic.Pointer[Rules] // replaced whole
}

// Load reads a file of rules; more are added to those of the file, whenever it is read.
func Load(path string, more ...Rule) (*File, error) {
	f := &File{path: path, more: more}
	return f, f.Reload()
}

// Check reads the file without taking its rules.
func (f *File) Check() (*Rules, error) {
	rules, err := readFile(f.path)
	if err != nil {
		return nil, err
	}
	return New(append(rules, f.more...)), nil
}

func readFile(path string) ([]Rule, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file; name one, which may be empty (then only super users may do anything)", path)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Parse(path, file)
}

// Reload reads the file anew. The rules of a file that is wrong are not taken: those
// before stay, and the error names every fault.
func (f *File) Reload() error {
	rules, err := f.Check()
	if err != nil {
		return err
	}
	f.Take(rules)
	return nil
}

// Take takes what Check returned. Rules that mean the same as those before are not
// taken, so that sessions go on.
func (f *File) Take(rules *Rules) {
	if was := f.rules.Load(); was == nil || !same(was.listed, rules.listed) {
		f.rules.Store(rules)
	}
}

// Path is where the rules come from.
func (f *File) Path() string { return f.path }

// Rules are those that hold now.
func (f *File) Rules() *Rules { return f.rules.Load() }

// List returns the rules that hold now; the caller must not change them.
func (f *File) List() []Rule { return f.rules.Load().List() }

// Allowed is Rules.Allowed.
func (f *File) Allowed(c Client, a Action) bool { return f.rules.Load().Allowed(c, a) }

// AllowedAny is Rules.AllowedAny.
func (f *File) AllowedAny(c Client, a Action) bool { return f.rules.Load().AllowedAny(c, a) }

// Version is that of the rules that hold now.
func (f *File) Version() uint64 { return f.rules.Load().Version() }

// ParsePrincipals reads principals that semicolons separate (super.users).
func ParsePrincipals(s string) (all []string, err error) {
	for part := range strings.SplitSeq(s, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		kind, name, ok := strings.Cut(part, ":")
		if !ok || kind == "" || name == "" {
			return nil, fmt.Errorf("%q is no principal; give type and name, such as User:%s", part, strings.Trim(part, ":"))
		}
		all = append(all, part)
	}
	return all, nil
}

// same says that two files mean the same, line by line.
func same(a, b []Rule) bool {
	return slices.EqualFunc(a, b, func(a, b Rule) bool {
		return a.Kind == b.Kind && a.Unix == b.Unix &&
			slices.Equal(a.Principals, b.Principals) && slices.Equal(a.Operations, b.Operations) &&
			slices.Equal(a.Resources, b.Resources) && slices.Equal(a.Listeners, b.Listeners) &&
			slices.Equal(a.Clients, b.Clients) && slices.Equal(a.APIs, b.APIs)
	})
}
