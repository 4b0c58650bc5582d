package sasl

import (
	"context"
	"errors"
	"time"
)

// Names of mechanisms.
const (
	// Plain sends the password as it is (RFC 4616).
	Plain = "PLAIN"
	// SCRAMSHA256 proves the password, and does not send it (RFC 7677).
	SCRAMSHA256 = "SCRAM-SHA-256"
	// SCRAMSHA512 is the same with another hash.
	SCRAMSHA512 = "SCRAM-SHA-512"
	// OAuthBearer sends a token that somebody else signed (RFC 7628).
	OAuthBearer = "OAUTHBEARER"
)

// Mechanism is one way to authenticate. Any goroutine may use it.
type Mechanism interface {
	// Name is how clients ask for it, such as SCRAM-SHA-256.
	Name() string
	// Begin begins the authentication of one client.
	Begin() Exchange
}

// Exchange is one authentication of one client. One goroutine at a time may use it.
type Exchange interface {
	// Next takes the client's next token. It may take milliseconds of CPU time, and wait as
	// long as its store does, until ctx ends: so it must not run on a processor. token is the
	// caller's again when it returns. After an error, or a Step that is Done, the Exchange is
	// over. The error is a *Failure where the client may be told more than that it failed.
	Next(ctx context.Context, token []byte) (Step, error)
}

// QuickExchange is an Exchange that can tell some good tokens at once, in microseconds and
// without waiting: it does not have to stand in line for that.
type QuickExchange interface {
	Exchange
	// NextQuickly is Next for a token that it can tell to be good; false: only Next can judge
	// token, and nothing has changed. It may be called on a processor.
	NextQuickly(token []byte) (Step, bool)
}

// Step is the answer to a token.
type Step struct {
	// Answer is what the client is sent, which may be empty.
	Answer []byte
	// Done: the client is authenticated, as Identity.
	Done     bool
	Identity Identity
}

// Identity is who a client has proved to be.
type Identity struct {
	// User is the name, without a principal's type.
	User string
	// Expires is when what proved it ends; the zero Time: never.
	Expires time.Time
}

// Failure is why an authentication failed. Neither of its texts has anything secret in it, or
// tells whether a user exists.
type Failure struct {
	// Told is what the client is told; empty: that its credentials are invalid.
	Told string
	// Reason is for the operator.
	Reason string
}

func (f *Failure) Error() string { return "sasl: " + f.Reason }

var (
	errOver       = errors.New("sasl: a token behind the end of the exchange")
	errTokenBytes = &Failure{Reason: "a token is longer than its mechanism allows"}
)

// Tokens longer than this fail before they are read. Passwords and names have no use for
// more; a signed token carries claims.
const (
	tokenBytesMax       = 4 << 10
	bearerTokenBytesMax = 64 << 10
)
