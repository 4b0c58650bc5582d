package sasl

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
)

// Users are those of a users file: a PasswordStore and a SCRAMStore. Any goroutine may use
// it. The file has nothing that a client could log in with: of SCRAM what RFC 5802 keeps, of
// PLAIN the password's PBKDF2. Whoever reads it can guess passwords, so it is its owner's
// alone (mode 0600).
//
// A password that PLAIN found right is remembered, as HMAC-SHA-256 by a key that only this
// process has, so that its next check costs microseconds instead of a tenth of a second. A
// wrong one, and one of a user that there is not, cost the whole each time.
type Users struct {
	path string
	now  atomic.Pointer[userTable]
	key  [32]byte // of what is remembered; never changes

	reads  atomic.Uint64 // how often the file was begun to be read
	mu     sync.Mutex
	latest uint64 // guarded by mu; which of reads now is of
}

// userTable never changes, but for what is remembered.
type userTable struct {
	list   *UserList
	byName map[string]*knownUser
	decoys map[string][]int // by mechanism: the iterations that credentials have
}

type knownUser struct {
	*User
	right atomic.Pointer[[sha256.Size]byte] // of the password that was right last
}

// OpenUsers reads a users file, which must be there. Its errors name the file and have
// nothing secret in them.
func OpenUsers(path string) (*Users, error) {
	u := &Users{path: path}
	_, _ = rand.Read(u.key[:]) // never fails, since Go 1.24
	u.now.Store(newUserTable(&UserList{}, nil))
	if err := u.Reload(); err != nil {
		return nil, err
	}
	return u, nil
}

// Path is where the file is.
func (u *Users) Path() string { return u.path }

// Reload reads the file again, whole or not at all: with an error the users stay as they
// were. Who is authenticated stays so; a user that is removed can't authenticate again.
func (u *Users) Reload() error {
	apply, err := u.Prepare()
	if err == nil {
		apply()
	}
	return err
}

// Prepare is the first half of Reload: it reads and checks, and changes nothing. The second
// half is apply, which can't fail.
func (u *Users) Prepare() (apply func(), err error) {
	read := u.reads.Add(1)
	list, err := readUsers(u.path)
	if err != nil {
		return nil, fmt.Errorf("sasl: users file: %w", err)
	}
	return func() { u.apply(read, list) }, nil
}

// apply does nothing when the file was read again meanwhile: what was read earlier is older.
func (u *Users) apply(read uint64, list *UserList) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if read > u.latest {
		u.latest = read
		u.now.Store(newUserTable(list, u.now.Load()))
	}
}

// Len is how many users there are.
func (u *Users) Len() int { return len(u.now.Load().byName) }

// List is what the file had when it was read last. It must not be changed.
func (u *Users) List() *UserList { return u.now.Load().list }

func newUserTable(list *UserList, before *userTable) *userTable {
	t := &userTable{list: list, byName: make(map[string]*knownUser, len(list.users)), decoys: make(map[string][]int)}
	for _, user := range list.users {
		known := &knownUser{User: user}
		t.byName[user.Name] = known
		for m, c := range user.SCRAM {
			t.seem(m, c.Iterations)
		}
		if user.Plain != nil {
			t.seem(Plain, user.Plain.Iterations)
		}
		if before == nil || user.Plain == nil {
			continue
		}
		if old := before.byName[user.Name]; old != nil && old.Plain != nil && bytes.Equal(old.Plain.Key, user.Plain.Key) {
			known.right.Store(old.right.Load())
		}
	}
	for m, iterations := range map[string]int{SCRAMSHA256: SCRAMIterationsDefault, SCRAMSHA512: SCRAMIterationsDefault, Plain: passwordIterationsDefault} {
		if len(t.decoys[m]) == 0 {
			t.decoys[m] = []int{iterations}
		}
		slices.Sort(t.decoys[m]) // by the users, not by the order in which they were read
	}
	return t
}

// seem has users that there are not seem to have so many iterations, some of them.
func (t *userTable) seem(mechanism string, iterations int) {
	if !slices.Contains(t.decoys[mechanism], iterations) {
		t.decoys[mechanism] = append(t.decoys[mechanism], iterations)
	}
}

// plainDecoy is what a password is checked by of a user that there is not, for the time that
// it takes.
func (t *userTable) plainDecoy(user string) PasswordCredential {
	of := DecoyOf(t.list.decoy, SCRAMSHA512, user, t.decoys[Plain])
	return PasswordCredential{Salt: of.Salt, Key: of.StoredKey, Iterations: of.Iterations}
}

// SCRAM returns a user's credential.
func (u *Users) SCRAM(_ context.Context, mechanism, user string) (SCRAMCredential, bool, error) {
	known := u.now.Load().byName[user]
	if known == nil {
		return SCRAMCredential{}, false, nil
	}
	c, ok := known.User.SCRAM[mechanism]
	return c, ok, nil
}

// SCRAMDecoy returns the credential that a user seems to have that there is not. Its
// iterations are one of those that others have.
func (u *Users) SCRAMDecoy(mechanism, user string) SCRAMCredential {
	t := u.now.Load()
	return DecoyOf(t.list.decoy, mechanism, user, t.decoys[mechanism])
}

// CheckPassword says whether a password is user's.
func (u *Users) CheckPassword(_ context.Context, user string, password []byte) (bool, error) {
	t := u.now.Load()
	known := t.byName[user]
	if known == nil || known.Plain == nil {
		t.plainDecoy(user).holds(password)
		return false, nil
	}
	now := u.mark(known, password)
	if known.was(now) {
		return true, nil
	}
	if !known.Plain.holds(password) {
		return false, nil
	}
	known.right.Store(&now)
	return true, nil
}

// RemembersPassword says that password was user's when CheckPassword saw it last.
func (u *Users) RemembersPassword(user string, password []byte) bool {
	known := u.now.Load().byName[user]
	return known != nil && known.Plain != nil && known.right.Load() != nil && known.was(u.mark(known, password))
}

// mark is what is remembered of a right password.
func (u *Users) mark(known *knownUser, password []byte) (mark [sha256.Size]byte) {
	m := hmac.New(sha256.New, u.key[:])
	m.Write(known.Plain.Key)
	m.Write(password)
	m.Sum(mark[:0])
	return mark
}

// was says that mark is of the password that was right last.
func (k *knownUser) was(mark [sha256.Size]byte) bool {
	right := k.right.Load()
	return right != nil && hmac.Equal(right[:], mark[:])
}

// Edit changes the file by a function, and goes by what it has then; see EditUsers. With an
// error the file and the users are as they were.
func (u *Users) Edit(edit func(*UserList) error) error {
	list, err := editUsers(u.path, edit, func() uint64 { return u.reads.Add(1) })
	if err != nil {
		return err
	}
	u.apply(list.read, list.UserList)
	return nil
}

// EditUsers changes the users file at path by a function, which gets what it has at that
// moment: two changes at the same time, of two processes as well, are made one after the
// other, and neither is lost. A file that is not there is made. If edit returns an error, or
// makes users that could not be read again, nothing is changed. Beside the file there is then
// another with .lock at its end.
func EditUsers(path string, edit func(*UserList) error) error {
	_, err := editUsers(path, edit, func() uint64 { return 0 })
	return err
}

// written is what a file has since, and the number of that.
type written struct {
	*UserList
	read uint64
}

// editUsers is EditUsers. number is called when the file is written, and still locked: who
// reads it and has a later number has read that.
func editUsers(path string, edit func(*UserList) error, number func() uint64) (written, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a link stays one
	}
	unlock, err := lockUsers(path)
	if err != nil {
		return written{}, fmt.Errorf("sasl: users file: %w", err)
	}
	defer unlock()
	list, err := readUsers(path)
	if errors.Is(err, fs.ErrNotExist) {
		list, err = &UserList{decoy: make([]byte, decoyBytes)}, nil
		_, _ = rand.Read(list.decoy) // never fails, since Go 1.24
	}
	if err != nil {
		return written{}, fmt.Errorf("sasl: users file: %w", err)
	}
	if err := edit(list); err != nil {
		return written{}, err
	}
	again, err := list.write(path)
	if err != nil {
		return written{}, fmt.Errorf("sasl: users file %s: %w", path, err)
	}
	return written{again, number()}, nil
}

// write writes the file, if it can be read again, and gives what is read then.
func (l *UserList) write(path string) (*UserList, error) {
	text, err := l.text()
	if err != nil {
		return nil, err
	}
	if len(text) > usersFileBytesMax {
		return nil, fmt.Errorf("it would have %d bytes, and may have %d", len(text), usersFileBytesMax)
	}
	again, err := parseUsers(text)
	if err != nil {
		return nil, fmt.Errorf("nothing was written, because it could not be read again: %w", err)
	}
	return again, writeFile(path, text)
}
