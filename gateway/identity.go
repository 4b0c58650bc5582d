package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/xdg-go/scram"
)

// Identity is who the gateway is to the brokers: one upstream principal. Connections are
// never shared between two. It is known by its address, and its fields must not change: Renew
// gives it others.
type Identity struct {
	// Name is for logs; it may be empty.
	Name string
	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; "": no SASL.
	Mechanism string
	// User and Password are of PLAIN and SCRAM.
	User, Password string
	// Token gives the token of OAUTHBEARER that is valid now. It may read a file, but does not
	// wait for others: whoever fetches tokens does so beforehand. It is called on a goroutine
	// of its own, once at a time: connections that need a token meanwhile get the same. They wait
	// for it for Config.OpenTimeout; a call that never returns is the only one there is.
	Token func() (string, error)
	// TLS names the client certificate, "": the usual one.
	TLS string

	renewed atomic.Pointer[Identity] // whose fields hold instead; nil: its own

	once  sync.Once
	scram *scram.Client // keeps what is derived from the password
	fault error

	making sync.Mutex // held while a key is derived beside: the first does for all

	asking sync.Mutex
	asked  *tokenCall // guarded by asking; nil: Token is not being called
}

// tokenCall is a call of Token. done is closed when token and err are there.
type tokenCall struct {
	done  chan struct{}
	token string
	err   error
}

// token is what Token gives, unless ctx ends before.
func (i *Identity) token(ctx context.Context) (string, error) {
	i.asking.Lock()
	c := i.asked
	if c == nil {
		c = &tokenCall{done: make(chan struct{})}
		i.asked = c
		go i.ask(c)
	}
	i.asking.Unlock()
	select {
	case <-c.done:
		return c.token, c.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// ask calls Token. A panic there would end the program.
func (i *Identity) ask(c *tokenCall) {
	c.err = errors.New("its source ended the goroutine that asked")
	defer func() {
		if v := recover(); v != nil {
			c.err = fmt.Errorf("panic: %v", v)
		}
		i.asking.Lock()
		i.asked = nil
		i.asking.Unlock()
		close(c.done)
	}()
	c.token, c.err = i.Token()
}

// noIdentity is for upstreams without SASL.
var noIdentity Identity

func (i *Identity) tls() string { return i.latest().TLS }

// Renew has connections that are made from now on go by the fields of next, such as a new
// password; those that there are go on. One whose session ends authenticates again by them, or,
// if the user is another, makes way for a new one. next must be valid, and is not used
// otherwise. Any goroutine.
func (i *Identity) Renew(next *Identity) { i.renewed.Store(next) }

// latest has the fields that hold now.
func (i *Identity) latest() *Identity {
	if next := i.renewed.Load(); next != nil {
		return next
	}
	return i
}

// sameUser says that a broker takes both for the same: nobody else may authenticate again.
func (i *Identity) sameUser(o *Identity) bool { return i.Mechanism == o.Mechanism && i.User == o.User }

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
	bearer   string // OAUTHBEARER: what Token gave
	failed   error  // OAUTHBEARER: the broker has said why, and gets its last token
}

// errAuthentication says that the broker does not accept the gateway's credentials.
var errAuthentication = errors.New("gateway: the upstream does not accept the gateway's credentials")

func (i *Identity) login() (*login, error) {
	i = i.latest()
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

// takesLong says that making the next token takes a while: SCRAM derives a key from the
// password, and OAUTHBEARER asks for its token.
func (l *login) takesLong() bool {
	return l.scram != nil && l.steps == 1 || l.identity.Mechanism == "OAUTHBEARER" && l.steps == 0
}

// nextBeside is next on a goroutine of its own, which may wait until ctx ends, and where a panic
// would end the program.
func (l *login) nextBeside(ctx context.Context, challenge []byte) (token []byte, done bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("gateway: identity %s: no token: panic: %v", l.identity.Name, v)
		}
	}()
	if l.identity.Mechanism == "OAUTHBEARER" && l.steps == 0 {
		if l.bearer, err = l.identity.token(ctx); err != nil {
			return nil, false, fmt.Errorf("gateway: identity %s: no token: %w", l.identity.Name, err)
		}
		return l.next(challenge)
	}
	l.identity.making.Lock()
	defer l.identity.making.Unlock()
	return l.next(challenge)
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
		return []byte("n,,\x01auth=Bearer " + l.bearer + "\x01\x01"), false, nil
	case len(challenge) > 0:
		l.failed = fmt.Errorf("%w: %.200q", errAuthentication, challenge)
		return []byte{1}, false, nil
	}
	return nil, true, nil
}
