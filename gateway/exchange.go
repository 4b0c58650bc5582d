package gateway

import "context"

// Login authenticates as i, the client's side of SASL: ask sends a token in a SaslAuthenticate
// request and returns what the server answers. It may take a while, and is for whoever waits: a
// Gateway authenticates without.
func (i *Identity) Login(ask func(token []byte) (challenge []byte, err error)) error {
	l, err := i.login()
	if err != nil {
		return err
	}
	var challenge []byte
	for {
		token, done, err := l.nextBeside(context.Background(), challenge)
		if err != nil || done {
			return err
		}
		if challenge, err = ask(token); err != nil {
			return err
		}
	}
}
