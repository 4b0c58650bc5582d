// Command authenticator lets clients in by SASL PLAIN, against a store of its own. In plain
// text a password can be read on the way: give the listener a TLS configuration where others
// share the network.
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"kring"
	"kring/embedded"
	"kring/kafka"
	"kring/sasl"
)

// directory is the store: a database, LDAP, a service. It may take its time, for it runs
// beside the processors.
type directory map[string]string

// CheckPassword takes as long for a user that there is not as for a wrong password.
func (d directory) CheckPassword(_ context.Context, user string, password []byte) (bool, error) {
	right, known := d[user]
	same := subtle.ConstantTimeCompare([]byte(right), password) == 1
	return known && same, nil
}

func start(users directory) (*kring.Server, error) {
	door, err := kafka.NewSASL(kafka.SASLConfig{Mechanisms: []sasl.Mechanism{sasl.NewPlain(users)}})
	if err != nil {
		return nil, err
	}
	cluster, err := embedded.Open(embedded.Config{SASL: map[string]*kafka.SASL{"CLIENTS": door}})
	if err != nil {
		return nil, err
	}
	listener := kring.ListenerConfig{Name: "CLIENTS", Address: "127.0.0.1:0"}
	server, err := kring.New(kring.Config{Listeners: []kring.ListenerConfig{listener}}, cluster)
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	at := server.Addrs()[0]
	cluster.Advertise(at.Addr().String(), at.Port())
	return server, nil
}

// ask asks the broker who it is.
func ask(ctx context.Context, server *kring.Server, user, password string) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(server.Addrs()[0].String()),
		kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

func run(ctx context.Context) error {
	server, err := start(directory{"alice": "open sesame"})
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Println("right password:", ask(ctx, server, "alice", "open sesame"))
	wrong := ask(ctx, server, "alice", "open barley")
	fmt.Println("wrong password is refused:", errors.Is(wrong, kerr.SaslAuthenticationFailed))
	return nil
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
