package sasl

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/xdg-go/scram"
)

// SCRAMStore has the credentials of users. Any goroutine may use it.
type SCRAMStore interface {
	// SCRAM returns user's credential for the mechanism, SCRAM-SHA-256 or -512; false: it
	// has none. An error says that nobody can say; it must have no secret in it.
	SCRAM(ctx context.Context, mechanism, user string) (SCRAMCredential, bool, error)
	// SCRAMDecoy is the credential that a user without one seems to have. It must be the
	// same for the same name at any time, and take as long for names with a credential:
	// it is asked for these too. Nobody can log in by it.
	SCRAMDecoy(mechanism, user string) SCRAMCredential
}

// DecoyOf makes a decoy for SCRAMStore.SCRAMDecoy: of a secret that stays the same, and of
// how many iterations a credential may have. The caller has at least one of these.
func DecoyOf(secret []byte, mechanism, user string, iterations []int) SCRAMCredential {
	h := hashOf(mechanism)
	random := mac(h, secret, "salt\x00"+mechanism+"\x00"+user)
	return SCRAMCredential{
		Salt:       random[:saltBytes],
		StoredKey:  mac(h, secret, "stored\x00"+mechanism+"\x00"+user),
		ServerKey:  mac(h, secret, "server\x00"+mechanism+"\x00"+user),
		Iterations: iterations[binary.BigEndian.Uint32(random[saltBytes:])%uint32(len(iterations))],
	}
}

// NewSCRAM makes the mechanism SCRAM-SHA-256 or SCRAM-SHA-512 (RFC 5802, RFC 7677), without
// channel binding, as Apache Kafka has it.
func NewSCRAM(mechanism string, store SCRAMStore) (Mechanism, error) {
	h := hashOf(mechanism)
	if h == nil {
		return nil, errNotSCRAM(mechanism)
	}
	return scramMechanism{name: mechanism, hash: h, store: store}, nil
}

type scramMechanism struct {
	name  string
	hash  scram.HashGeneratorFcn
	store SCRAMStore
}

func (m scramMechanism) Name() string    { return m.name }
func (m scramMechanism) Begin() Exchange { return &scramExchange{mechanism: m} }

type scramExchange struct {
	mechanism    scramMechanism
	conversation *scram.ServerConversation // nil before the first token
	doubled      string                    // the nonce that old versions of librdkafka answer with
	known        bool                      // the user has a credential, and the client may use it
	over         bool
}

// errSCRAMNonce: what it says is of the client, and not of the user.
var errSCRAMNonce = &Failure{
	Told:   "Invalid client nonce in the final client message; librdkafka before 2.6.1 sends one: use a newer one",
	Reason: "a nonce that has the client's part twice, as librdkafka before 2.6.1 sends it: have the client use a newer one",
}

var errSCRAM = &Failure{Reason: "wrong user or password, or a token that is none of SCRAM"}

// Next takes the two messages of a client. A user without a credential gets the same
// exchange as one with another password: it fails at the end, and not before.
func (s *scramExchange) Next(ctx context.Context, token []byte) (Step, error) {
	switch {
	case s.over:
		return Step{}, errOver
	case len(token) > tokenBytesMax:
		s.over = true
		return Step{}, errTokenBytes
	case s.conversation == nil:
		return s.first(ctx, string(token))
	}
	s.over = true
	if nonceOf(string(token)) == s.doubled {
		return Step{}, errSCRAMNonce
	}
	answer, err := s.conversation.Step(string(token))
	if err != nil || !s.conversation.Valid() || !s.known {
		return Step{}, errSCRAM // what the library says has parts of the token in it
	}
	return Step{Answer: []byte(answer), Done: true, Identity: Identity{User: s.conversation.Username()}}, nil
}

func (s *scramExchange) first(ctx context.Context, token string) (Step, error) {
	var failed error
	server, err := s.mechanism.hash.NewServer(func(user string) (scram.StoredCredentials, error) {
		m := s.mechanism
		c := m.store.SCRAMDecoy(m.name, user) // for everybody, so that it takes as long
		found, ok, err := m.store.SCRAM(ctx, m.name, user)
		if err != nil {
			failed = errNobodySays
			return scram.StoredCredentials{}, errNobodySays
		}
		// Delegation tokens are users of their own, which nobody has here.
		if ok && !wantsToken(token) {
			c, s.known = found, true
		}
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(c.Salt), Iters: c.Iterations}, StoredKey: c.StoredKey, ServerKey: c.ServerKey,
		}, nil
	})
	if err != nil {
		s.over = true
		return Step{}, errSCRAM
	}
	s.conversation = server.NewConversation()
	answer, err := s.conversation.Step(token)
	if other := s.conversation.AuthzID(); err == nil && other != "" && other != s.conversation.Username() {
		failed = errOtherUser
	}
	switch {
	case failed != nil:
		s.over = true
		return Step{}, failed
	case err != nil:
		s.over = true
		return Step{}, errSCRAM
	}
	s.doubled = nonceOf(token) + nonceOf(answer)
	return Step{Answer: []byte(answer)}, nil
}

// nonceOf is the nonce of a message.
func nonceOf(message string) string {
	for field := range strings.SplitSeq(message, ",") {
		if nonce, is := strings.CutPrefix(field, "r="); is {
			return nonce
		}
	}
	return ""
}

// wantsToken says that the client wants to authenticate by a delegation token (KIP-48).
func wantsToken(first string) bool {
	for _, field := range strings.Split(first, ",")[2:] { // it has four, or it would not be asked
		if strings.EqualFold(field, "tokenauth=true") {
			return true
		}
	}
	return false
}
