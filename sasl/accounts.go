package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// Accounts are users of PLAIN whose passwords a configuration has as they are. They keep no
// password, but its HMAC-SHA-256 by a key that only this process has: to hash them slowly
// would protect nothing that is not in the configuration already. They never change after
// the last Add, and then any goroutine may use them.
type Accounts struct {
	key    [32]byte
	byName map[string][sha256.Size]byte
}

// AccountsMax is how many Accounts may have; more belong into a users file.
const AccountsMax = 1000

// NewAccounts makes Accounts without any.
func NewAccounts() *Accounts {
	a := &Accounts{byName: make(map[string][sha256.Size]byte)}
	_, _ = rand.Read(a.key[:]) // never fails, since Go 1.24
	return a
}

// Add adds a user. Its errors have no password in them.
func (a *Accounts) Add(user, password string) error {
	if err := checkUserName(user); err != nil {
		return err
	}
	_, twice := a.byName[user]
	switch {
	case twice:
		return fmt.Errorf("sasl: the user %s is there twice; leave one out", user)
	case password == "":
		return fmt.Errorf("sasl: the user %s has no password; give one", user)
	case len(password) > tokenBytesMax:
		return fmt.Errorf("sasl: the password of the user %s has %d bytes; give at most %d", user, len(password), tokenBytesMax)
	case len(a.byName) == AccountsMax:
		return fmt.Errorf("sasl: there are more than %d accounts; keep them in a users file (kring user add)", AccountsMax)
	}
	a.byName[user] = a.mark(user, []byte(password))
	return nil
}

// Len is how many there are.
func (a *Accounts) Len() int { return len(a.byName) }

// CheckPassword says whether a password is user's.
func (a *Accounts) CheckPassword(_ context.Context, user string, password []byte) (bool, error) {
	right, known := a.byName[user]
	now := a.mark(user, password) // of a user that there is not as well: it takes as long
	return hmac.Equal(now[:], right[:]) && known, nil
}

func (a *Accounts) mark(user string, password []byte) (mark [sha256.Size]byte) {
	m := hmac.New(sha256.New, a.key[:])
	m.Write([]byte(user))
	m.Write([]byte{0}) // no name has it
	m.Write(password)
	m.Sum(mark[:0])
	return mark
}
