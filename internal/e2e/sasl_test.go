package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"kring"
	"kring/embedded"
	"kring/kafka"
	"kring/sasl"
)

// startGuarded is start with SASL on its listener, and alice as its only user.
func startGuarded(t *testing.T, p path) (*node, *sasl.Users) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	err := sasl.EditUsers(file, func(l *sasl.UserList) error {
		u, err := l.Add("alice")
		if err != nil {
			return err
		}
		return u.SetPassword([]byte("alice's"), []string{sasl.SCRAMSHA256, sasl.SCRAMSHA512}, 4096)
	})
	if err != nil {
		t.Fatal(err)
	}
	users, err := sasl.OpenUsers(file)
	if err != nil {
		t.Fatal(err)
	}
	mechanism, err := sasl.NewSCRAM(sasl.SCRAMSHA256, users)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := kafka.NewSASL(kafka.SASLConfig{Mechanisms: []sasl.Mechanism{mechanism}, SessionMax: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, p, embedded.Config{SASL: map[string]*kafka.SASL{"SAFE": guard}, SCRAMUsers: users},
		kring.ListenerConfig{Name: "SAFE", Address: "127.0.0.1:0", Limits: kring.LimitsConfig{FrameBytesMaxUnauthenticated: 512 << 10}}), users
}

// TestUsersOfTheEmbeddedClusterProduceAndMakeUsers: who has authenticated is served, and a
// user that is made by Kafka's API logs in and is in the file.
func TestUsersOfTheEmbeddedClusterProduceAndMakeUsers(t *testing.T) {
	all := paths()
	for i := 0; i < len(all); i += 2 {
		p := all[i+(i/2)%2]
		t.Run(p.String(), func(t *testing.T) {
			n, users := startGuarded(t, p)
			as := func(user, password string) *kgo.Client {
				return n.client(kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()))
			}
			alice := as("alice", "alice's")
			record := &kgo.Record{Topic: "guarded", Value: []byte("said by alice")}
			if err := alice.ProduceSync(n.context(), record).FirstErr(); err != nil {
				t.Fatal(err)
			}
			made, err := kadm.NewClient(alice).AlterUserSCRAMs(n.context(), nil, []kadm.UpsertSCRAM{{User: "bob", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "bob's"}})
			if err != nil || made.Error() != nil {
				t.Fatalf("%v, %v", err, made.Error())
			}
			bob := as("bob", "bob's")
			bob.AddConsumeTopics("guarded")
			fetched := bob.PollFetches(n.context())
			if err := fetched.Err(); err != nil || fetched.NumRecords() != 1 {
				t.Errorf("%d records, %v", fetched.NumRecords(), err)
			}
			again, err := sasl.OpenUsers(users.Path())
			if err != nil || again.Len() != 2 {
				t.Errorf("%v; the file has not both users", err)
			}
			described, err := kadm.NewClient(bob).DescribeUserSCRAMs(n.context())
			if err != nil || len(described) != 2 || len(described["alice"].CredInfos) != 2 {
				t.Errorf("%v, %v", described, err)
			}
			if err := as("bob", "alice's").Ping(n.context()); err == nil {
				t.Error("bob logs in by alice's password")
			}
		})
	}
}
