package sasl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	usersFileVersion  = 1
	usersFileBytesMax = 64 << 20
	usersMax          = 100_000
	userNameBytesMax  = 255
	decoyBytes        = 32
)

// User is one of a users file.
type User struct {
	Name string
	// SCRAM has the credentials by mechanism; Plain is nil where PLAIN can't be used.
	SCRAM map[string]SCRAMCredential
	Plain *PasswordCredential
}

// Mechanisms are those that the user has credentials for.
func (u *User) Mechanisms() (names []string) {
	if u.Plain != nil {
		names = append(names, Plain)
	}
	for _, m := range []string{SCRAMSHA256, SCRAMSHA512} {
		if _, ok := u.SCRAM[m]; ok {
			names = append(names, m)
		}
	}
	return names
}

// SetPassword gives the user credentials for the mechanisms, new or instead of old ones;
// those of other mechanisms are left as they are. iterations are SCRAM's; 0 means
// SCRAMIterationsDefault.
func (u *User) SetPassword(password []byte, mechanisms []string, iterations int) error {
	for _, m := range mechanisms {
		if m == Plain {
			c, err := NewPasswordCredential(password, 0)
			if err != nil {
				return err
			}
			u.Plain = &c
			continue
		}
		c, err := NewSCRAMCredential(m, password, iterations)
		if err != nil {
			return err
		}
		u.SetSCRAM(m, c)
	}
	return nil
}

// SetSCRAM gives the user a credential, new or instead of an old one.
func (u *User) SetSCRAM(mechanism string, c SCRAMCredential) {
	if u.SCRAM == nil {
		u.SCRAM = make(map[string]SCRAMCredential)
	}
	u.SCRAM[mechanism] = c
}

// UserList is what a users file has.
type UserList struct {
	users []*User // by name
	// decoy is what false credentials are made of. It is in the file because they must be
	// the same after a restart: a salt that changes would tell that there is no such user.
	decoy []byte
}

// All are the users, by name. They are the list's: changing one changes it.
func (l *UserList) All() []*User { return slices.Clone(l.users) }

// Find returns a user, nil if there is none.
func (l *UserList) Find(name string) *User {
	if at, ok := l.at(name); ok {
		return l.users[at]
	}
	return nil
}

// Add returns a user, a new one if there is none.
func (l *UserList) Add(name string) (*User, error) {
	at, ok := l.at(name)
	if ok {
		return l.users[at], nil
	}
	if err := checkUserName(name); err != nil {
		return nil, err
	}
	if len(l.users) >= usersMax {
		return nil, fmt.Errorf("sasl: there are %d users, which is the most that a users file may have; remove one", len(l.users))
	}
	u := &User{Name: name}
	l.users = slices.Insert(l.users, at, u)
	return u, nil
}

// Remove removes a user; false: there is none.
func (l *UserList) Remove(name string) bool {
	at, ok := l.at(name)
	if ok {
		l.users = slices.Delete(l.users, at, at+1)
	}
	return ok
}

func (l *UserList) at(name string) (int, bool) {
	return slices.BinarySearchFunc(l.users, name, func(u *User, name string) int { return strings.Compare(u.Name, name) })
}

// checkUserName: a name goes into principals, rules and logs, so it has no characters that
// nobody sees.
func checkUserName(name string) error {
	switch {
	case name == "":
		return errors.New("sasl: a user without a name; give one")
	case len(name) > userNameBytesMax:
		return fmt.Errorf("sasl: a user's name of %d bytes; give at most %d", len(name), userNameBytesMax)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("sasl: the user's name %q has characters that can't be printed; leave them out", name)
	}
	return nil
}

// What a users file has, as JSON.
type (
	usersJSON struct {
		Version int        `json:"version"`
		Decoy   []byte     `json:"decoy"`
		Users   []userJSON `json:"users"`
	}
	userJSON struct {
		Name   string     `json:"name"`
		Plain  *plainJSON `json:"plain,omitempty"`
		SHA256 *scramJSON `json:"scram-sha-256,omitempty"`
		SHA512 *scramJSON `json:"scram-sha-512,omitempty"`
	}
	scramJSON struct {
		Salt       []byte `json:"salt"`
		StoredKey  []byte `json:"stored-key"`
		ServerKey  []byte `json:"server-key"`
		Iterations int    `json:"iterations"`
	}
	plainJSON struct {
		Hash       string `json:"hash"`
		Salt       []byte `json:"salt"`
		Key        []byte `json:"key"`
		Iterations int    `json:"iterations"`
	}
)

const passwordHash = "PBKDF2-HMAC-SHA-512"

// readUsers reads a users file. Its errors have no part of the file in them but names.
func readUsers(path string) (*UserList, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; make one with: kring user add NAME --users %s", err, path)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(f, usersFileBytesMax+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > usersFileBytesMax:
		return nil, fmt.Errorf("%s: more than %d bytes, which no users file has", path, usersFileBytesMax)
	}
	l, err := parseUsers(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func parseUsers(text []byte) (*UserList, error) {
	var in usersJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, syntaxError(text, err)
	}
	if d.More() {
		return nil, errors.New("there is something behind the users; kring user writes this file")
	}
	if in.Version != usersFileVersion {
		return nil, fmt.Errorf("version %d of users files is unknown; this build reads version %d", in.Version, usersFileVersion)
	}
	if len(in.Decoy) < decoyBytes/2 {
		return nil, fmt.Errorf("decoy: %d bytes; it needs %d, which nobody knows", len(in.Decoy), decoyBytes)
	}
	l := &UserList{decoy: in.Decoy}
	var faults []error
	for i := range in.Users {
		if err := l.take(&in.Users[i]); err != nil {
			faults = append(faults, fmt.Errorf("user %d (%q): %w", i+1, in.Users[i].Name, err))
		}
	}
	return l, errors.Join(faults...)
}

// syntaxError says where, and shows nothing of the text: it may be a file of plain passwords
// that was given by mistake.
func syntaxError(text []byte, err error) error {
	at := len(text)
	if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
		at = int(s.Offset)
	} else if t := (*json.UnmarshalTypeError)(nil); errors.As(err, &t) {
		at = int(t.Offset)
	}
	line := 1 + bytes.Count(text[:min(at, len(text))], []byte("\n"))
	return fmt.Errorf("line %d: this is no users file; kring user add writes one", line)
}

func (l *UserList) take(in *userJSON) error {
	if l.Find(in.Name) != nil {
		return errors.New("it is there twice; remove one")
	}
	u, err := l.Add(in.Name)
	if err != nil {
		return err
	}
	for m, c := range map[string]*scramJSON{SCRAMSHA256: in.SHA256, SCRAMSHA512: in.SHA512} {
		if c == nil {
			continue
		}
		of := SCRAMCredential{c.Salt, c.StoredKey, c.ServerKey, c.Iterations}
		if err := of.check(m); err != nil {
			return err
		}
		u.SetSCRAM(m, of)
	}
	if p := in.Plain; p != nil {
		if p.Hash != passwordHash {
			return fmt.Errorf("PLAIN: the hash %q is unknown; %s is the only one", p.Hash, passwordHash)
		}
		u.Plain = &PasswordCredential{p.Salt, p.Key, p.Iterations}
		return u.Plain.check()
	}
	return nil
}

func (l *UserList) text() ([]byte, error) {
	out := usersJSON{Version: usersFileVersion, Decoy: l.decoy, Users: []userJSON{}}
	for _, u := range l.users {
		j := userJSON{Name: u.Name}
		if c, ok := u.SCRAM[SCRAMSHA256]; ok {
			j.SHA256 = &scramJSON{c.Salt, c.StoredKey, c.ServerKey, c.Iterations}
		}
		if c, ok := u.SCRAM[SCRAMSHA512]; ok {
			j.SHA512 = &scramJSON{c.Salt, c.StoredKey, c.ServerKey, c.Iterations}
		}
		if c := u.Plain; c != nil {
			j.Plain = &plainJSON{passwordHash, c.Salt, c.Key, c.Iterations}
		}
		out.Users = append(out.Users, j)
	}
	text, err := json.MarshalIndent(out, "", "  ")
	return append(text, '\n'), err
}

// writeFile replaces path as a whole: whoever reads it sees the old or the new one, after a
// power cut as well. Only its owner may read it.
func writeFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what failed is told already
		}
	}()
	if old, err := os.Stat(path); err == nil {
		keepOwner(f, old)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		err = nil // not every system has this for folders
	}
	return errors.Join(err, dir.Close())
}
