package sasl

import (
	"bytes"
	"context"
)

// PasswordStore checks passwords. Any goroutine may use it.
type PasswordStore interface {
	// CheckPassword says whether the password is user's. It must take as long for a user
	// that there is not as for a wrong password. password is the caller's again when it
	// returns. An error says that nobody can say; it must have no secret in it.
	CheckPassword(ctx context.Context, user string, password []byte) (bool, error)
}

// RememberingStore is a PasswordStore that remembers which passwords were right.
type RememberingStore interface {
	PasswordStore
	// RemembersPassword says that password was user's when it was checked last, and that
	// nothing has changed since. It must take microseconds, and not block: it may be called
	// on a processor. false says nothing.
	RemembersPassword(user string, password []byte) bool
}

// NewPlain makes the mechanism PLAIN (RFC 4616). The client sends its password as it is, so
// listeners that have it should have TLS.
func NewPlain(store PasswordStore) Mechanism { return plain{store} }

type plain struct{ store PasswordStore }

func (plain) Name() string      { return Plain }
func (p plain) Begin() Exchange { return &plainExchange{store: p.store} }

type plainExchange struct {
	store PasswordStore
	over  bool
}

// Failures of PLAIN, with the texts of Apache Kafka's PlainSaslServer.
var (
	errPlainTokens   = &Failure{"Invalid SASL/PLAIN response: expected 3 tokens", "a PLAIN token that is not authorization id, user and password"}
	errPlainUser     = &Failure{"Authentication failed: username not specified", "PLAIN without a user"}
	errPlainPassword = &Failure{"Authentication failed: password not specified", "PLAIN without a password"}
	errPlainInvalid  = &Failure{"Authentication failed: Invalid username or password", "wrong user or password"}
	errOtherUser     = &Failure{"Authentication failed: Client requested an authorization id that is different from username", "the authorization id is another user's"}
	errNobodySays    = &Failure{"Authentication failed: credentials for user could not be verified", "the credential store failed"}
)

// NextQuickly knows passwords that the store remembers.
func (p *plainExchange) NextQuickly(token []byte) (Step, bool) {
	store, remembers := p.store.(RememberingStore)
	if !remembers || p.over {
		return Step{}, false
	}
	user, password, err := parsePlain(token)
	if err != nil || !store.RemembersPassword(user, password) {
		return Step{}, false
	}
	p.over = true
	return Step{Done: true, Identity: Identity{User: user}}, true
}

// parsePlain parses the only token: [authzid] NUL user NUL password.
func parsePlain(token []byte) (user string, password []byte, err error) {
	if len(token) > tokenBytesMax {
		return "", nil, errTokenBytes
	}
	parts := bytes.SplitN(token, []byte{0}, 4)
	if len(parts) != 3 {
		return "", nil, errPlainTokens
	}
	user, password = string(parts[1]), parts[2]
	switch {
	case user == "":
		return "", nil, errPlainUser
	case len(password) == 0:
		return "", nil, errPlainPassword
	case len(parts[0]) > 0 && string(parts[0]) != user:
		return "", nil, errOtherUser // before the password is looked at: it tells nothing of it
	}
	return user, password, nil
}

// Next takes the only token.
func (p *plainExchange) Next(ctx context.Context, token []byte) (Step, error) {
	if p.over {
		return Step{}, errOver
	}
	p.over = true
	user, password, err := parsePlain(token)
	if err != nil {
		return Step{}, err
	}
	ok, err := p.store.CheckPassword(ctx, user, password)
	switch {
	case err != nil:
		return Step{}, errNobodySays
	case !ok:
		return Step{}, errPlainInvalid
	}
	return Step{Done: true, Identity: Identity{User: user}}, nil
}
