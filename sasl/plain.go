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

// Next takes the only token: [authzid] NUL user NUL password.
func (p *plainExchange) Next(ctx context.Context, token []byte) (Step, error) {
	switch {
	case p.over:
		return Step{}, errOver
	case len(token) > tokenBytesMax:
		p.over = true
		return Step{}, errTokenBytes
	}
	p.over = true
	parts := bytes.SplitN(token, []byte{0}, 4)
	if len(parts) != 3 {
		return Step{}, errPlainTokens
	}
	user, password := string(parts[1]), parts[2]
	switch {
	case user == "":
		return Step{}, errPlainUser
	case len(password) == 0:
		return Step{}, errPlainPassword
	case len(parts[0]) > 0 && string(parts[0]) != user:
		return Step{}, errOtherUser // before the password is looked at: it tells nothing of it
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
