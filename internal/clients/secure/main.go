// Command secure connects with the clients that are Go modules as the cases say, for
// scripts/secure.sh: each writes and reads a few records, or is refused as it should be.
//
// usage: secure CLIENT CASES
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// testCase is a line of the file of cases, separated by tabs; - is nothing.
type testCase struct {
	name, addr     string
	ca, cert, key  string // ca: TLS
	mechanism      string
	user, password string // of OAUTHBEARER the password is the token
	want           string // ok, tls or sasl: who refuses
}

const records = 20

// patience is how long a case may take on a busy machine.
const patience = 2 * time.Minute

// try writes and reads records of a topic of its own.
type try func(ctx context.Context, c testCase, topic string) error

// clients are the clients, and what each calls a refusal.
var clients = map[string]struct {
	try       try
	tls, sasl *regexp.Regexp
}{
	"franz-go":  {tryFranz, refusedTLS, regexp.MustCompile(`SASL_AUTHENTICATION_FAILED|unexpected data in oauth response`)},
	"confluent": {tryConfluent, regexp.MustCompile(`(?i)certificate verify failed|alert (certificate required|unknown ca)`), regexp.MustCompile(`(?i)authentication (fail|error)`)},
	"sarama":    {trySarama, refusedTLS, regexp.MustCompile(`(?i)SASL Authentication failed`)},
	"kafka-go":  {trySegment, refusedTLS, regexp.MustCompile(`(?i)SASL Authentication Failed`)},
}

var refusedTLS = regexp.MustCompile(`tls: (failed to verify|certificate required|unknown certificate authority)`)

// alertsOfKafka are Apache Kafka's, whatever is wrong with a certificate.
var alertsOfKafka = regexp.MustCompile(`(?i)(alert|tls:) (bad certificate|unknown certificate|certificate unknown)`)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: secure CLIENT CASES")
		os.Exit(2)
	}
	client, known := clients[os.Args[1]]
	cases, err := read(os.Args[2])
	if err != nil || !known {
		fmt.Fprintln(os.Stderr, "secure:", os.Args[1], err)
		os.Exit(2)
	}
	var all sync.WaitGroup
	for _, c := range cases {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			err := client.try(ctx, c, fmt.Sprintf("secure-%s-%s", os.Args[1], c.name))
			fmt.Printf("result\t%s\t%s\t%s\n", os.Args[1], c.name, verdict(c, err, map[string][]*regexp.Regexp{
				"tls": {client.tls}, "tls-kafka": {client.tls, alertsOfKafka}, "sasl": {client.sasl},
			}))
		})
	}
	all.Wait()
}

func verdict(c testCase, err error, refusals map[string][]*regexp.Regexp) string {
	refused := func(by *regexp.Regexp) bool { return err != nil && by.MatchString(err.Error()) }
	switch {
	case c.want == "ok" && err == nil, slices.ContainsFunc(refusals[c.want], refused):
		return "ok"
	case err == nil:
		return "FAIL let in"
	}
	return "FAIL " + strings.Join(strings.Fields(err.Error()), " ")
}

func read(path string) (all []testCase, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 9 {
			return nil, fmt.Errorf("a case of %d fields", len(fields))
		}
		for i, s := range fields {
			if s == "-" {
				fields[i] = ""
			}
		}
		all = append(all, testCase{fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6], fields[7], fields[8]})
	}
	return all, nil
}

// tls is the configuration of the client; nil without TLS.
func (c testCase) tls() (*tls.Config, error) {
	if c.ca == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AppendCertsFromPEM(pem)
	if c.cert == "" {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	// Also where the server does not ask for its authority.
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return cfg, err
}

func value(i int) string { return fmt.Sprintf("record %d", i) }
