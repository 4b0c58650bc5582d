package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"kring"
)

// Credentials say by which upstream user the requests of a client's principal go. They never
// change; see Succeed.
type Credentials struct {
	// Default is for all whom nothing is said of, and for the gateway's own requests; nil:
	// such clients are refused, and the gateway asks for the brokers as the first of the others.
	Default     *Identity
	byPrincipal map[string]*Identity
	first       string // principal
}

// credentialsMax bounds how many lines are read: each is a pool of connections.
const credentialsMax = 10_000

// ReadCredentials reads lines of PRINCIPAL MECHANISM USER PASSWORD, such as
//
//	User:alice SCRAM-SHA-512 alice s3cret
//
// with white space between. Empty lines, and those that begin with #, are passed over. The
// error names every faulty line by its number, and nothing of what it has.
func ReadCredentials(r io.Reader, byDefault *Identity) (*Credentials, error) {
	c := &Credentials{Default: byDefault, byPrincipal: map[string]*Identity{}}
	var faults []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := c.add(words); err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", n, err))
		}
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, err)
	}
	return c, errors.Join(faults...)
}

func (c *Credentials) add(words []string) error {
	switch {
	case len(words) != 4:
		return fmt.Errorf("there are %d words; give PRINCIPAL MECHANISM USER PASSWORD", len(words))
	case len(c.byPrincipal) == credentialsMax:
		return fmt.Errorf("there are more than %d", credentialsMax)
	case !strings.HasPrefix(words[0], "User:"):
		return errors.New("the principal does not begin with User:")
	case c.byPrincipal[words[0]] != nil:
		return errors.New("the principal is there twice; leave one out")
	case words[1] == "OAUTHBEARER":
		return errors.New("OAUTHBEARER has no password; give PLAIN or SCRAM")
	case words[1] != "PLAIN" && words[1] != "SCRAM-SHA-256" && words[1] != "SCRAM-SHA-512":
		return errors.New("the mechanism, which is the second word, is none of PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512")
	}
	id := &Identity{Name: words[2], Mechanism: words[1], User: words[2], Password: words[3]}
	if id.Validate() != nil { // it names words, and they may have changed places
		return errors.New("the user or the password has a character that SCRAM does not allow")
	}
	if len(c.byPrincipal) == 0 {
		c.first = words[0]
	}
	c.byPrincipal[words[0]] = id
	return nil
}

// Of is the identity of a client, or of the gateway itself (nil); nil: nobody has said. It is a
// Config.IdentityOf. The gateway is the Default, or else whom the first line is for: it has to be
// somebody for brokers that demand SASL. Two principals have different identities, even with the
// same user.
func (c *Credentials) Of(conn *kring.Conn) *Identity {
	if conn != nil {
		if id := c.byPrincipal[conn.Principal()]; id != nil {
			return id
		}
	}
	if conn == nil && c.Default == nil {
		return c.byPrincipal[c.first]
	}
	return c.Default
}

// Succeed has c hold in the place of old: principals that both have keep their identities, and
// so their connections, renewed by what c says. Nobody else may have used c. Any goroutine may
// use old meanwhile.
func (c *Credentials) Succeed(old *Credentials) {
	for principal, next := range c.byPrincipal {
		if is := old.byPrincipal[principal]; is != nil {
			is.Renew(next)
			c.byPrincipal[principal] = is
		}
	}
	if old.Default != nil && c.Default != nil {
		old.Default.Renew(c.Default)
		c.Default = old.Default
	}
}
