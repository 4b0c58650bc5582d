package gateway

import (
	"errors"
	"fmt"
	"sync"

	"github.com/xdg-go/scram"
)

// Identity is who the gateway is to the brokers: one upstream principal. Connections are
// never shared between two. It must not change, and is known by its address.
type Identity struct {
	// Name is for logs; it may be empty.
	Name string
	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; "": no SASL.
	Mechanism string
	// User and Password are of PLAIN and SCRAM.
	User, Password string
	// Token gives the token of OAUTHBEARER that is valid now. It must not block: whoever
	// fetches tokens does so beforehand.
	Token func() (string, error)
	// TLS names the client certificate, "": the usual one.
	TLS string

	once  sync.Once
	scram *scram.Client // keeps what is derived from the password
	fault error
}

// noIdentity is for upstreams without SASL.
var noIdentity Identity

func (i *Identity) tls() string {
	if i == nil {
		return ""
	}
	return i.TLS
}

// Validate says what is missing.
func (i *Identity) Validate() error {
	switch i.Mechanism {
	case "":
		return nil
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		if i.User == "" || i.Password == "" {
			return fmt.Errorf("gateway: identity %s: %s needs a user and a password", i.Name, i.Mechanism)
		}
		_, err := i.login()
		return err
	case "OAUTHBEARER":
		if i.Token == nil {
			return fmt.Errorf("gateway: identity %s: OAUTHBEARER needs a token", i.Name)
		}
		return nil
	}
	return fmt.Errorf("gateway: identity %s: mechanism %q is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER; a client's own exchange of another can be passed through in dedicated mode", i.Name, i.Mechanism)
}

// login is one SASL exchange, the client's side.
type login struct {
	identity *Identity
	scram    *scram.ClientConversation
	steps    int
	failed   error // OAUTHBEARER: the broker has said why, and gets its last token
}

// errAuthentication says that the broker does not accept the gateway's credentials.
var errAuthentication = errors.New("gateway: the upstream does not accept the gateway's credentials")

func (i *Identity) login() (*login, error) {
	l := &login{identity: i}
	if i.Mechanism != "SCRAM-SHA-256" && i.Mechanism != "SCRAM-SHA-512" {
		return l, nil
	}
	i.once.Do(func() {
		hash := scram.SHA256
		if i.Mechanism == "SCRAM-SHA-512" {
			hash = scram.SHA512
		}
		i.scram, i.fault = hash.NewClient(i.User, i.Password, "")
		if i.fault == nil {
			i.scram = i.scram.WithMinIterations(scramIterationsMin)
		}
	})
	if i.fault != nil {
		return nil, fmt.Errorf("gateway: identity %s: %w", i.Name, i.fault)
	}
	l.scram = i.scram.NewConversation()
	return l, nil
}

const (
	scramIterationsMin = 4096
	// scramIterationsMax bounds how long deriving a key takes, on the word of a server
	// that has not proved anything yet. Kafka has at most 16384.
	scramIterationsMax = 1 << 17
)

// next is the token to be sent, when challenge was received; done: the exchange is over, and
// the broker must say so, too.
func (l *login) next(challenge []byte) (token []byte, done bool, err error) {
	l.steps++
	if l.steps > 4 {
		return nil, false, fmt.Errorf("%w: its exchange does not end", errAuthentication)
	}
	switch {
	case l.scram != nil:
		return l.nextSCRAM(challenge)
	case l.identity.Mechanism == "OAUTHBEARER":
		return l.nextBearer(challenge)
	case l.steps > 1:
		return nil, true, nil
	}
	return []byte("\x00" + l.identity.User + "\x00" + l.identity.Password), false, nil
}

func (l *login) nextSCRAM(challenge []byte) ([]byte, bool, error) {
	if l.steps == 2 && iterationsOf(challenge) > scramIterationsMax {
		return nil, false, fmt.Errorf("%w: it asks for more than %d iterations", errAuthentication, scramIterationsMax)
	}
	answer, err := l.scram.Step(string(challenge))
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", errAuthentication, err)
	}
	if l.scram.Done() {
		if !l.scram.Valid() {
			return nil, false, fmt.Errorf("%w: it does not know the password itself", errAuthentication)
		}
		return nil, true, nil
	}
	return []byte(answer), false, nil
}

// iterationsOf reads i= of a server's first message.
func iterationsOf(challenge []byte) (n int) {
	for at := len(challenge) - 1; at >= 2; at-- {
		if string(challenge[at-2:at+1]) != ",i=" {
			continue
		}
		for _, c := range challenge[at+1:] {
			if c < '0' || c > '9' {
				return n
			}
			if n = n*10 + int(c-'0'); n > scramIterationsMax {
				return n
			}
		}
		return n
	}
	return 0
}

// nextBearer: the token, then nothing, or a JSON text that says why not, which is answered
// by 0x01 (RFC 7628, 3.2.3).
func (l *login) nextBearer(challenge []byte) ([]byte, bool, error) {
	switch {
	case l.failed != nil:
		return nil, false, l.failed
	case l.steps == 1:
		t, err := l.identity.Token()
		if err != nil {
			return nil, false, fmt.Errorf("gateway: identity %s: no token: %w", l.identity.Name, err)
		}
		return []byte("n,,\x01auth=Bearer " + t + "\x01\x01"), false, nil
	case len(challenge) > 0:
		l.failed = fmt.Errorf("%w: %.200q", errAuthentication, challenge)
		return []byte{1}, false, nil
	}
	return nil, true, nil
}
