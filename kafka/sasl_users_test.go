package kafka

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"kring/reqchan"
	"kring/sasl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func usersFilter(t *testing.T, users SCRAMUsers) *client {
	t.Helper()
	v, err := NewVersions(VersionRange{18, 0, 3}, VersionRange{50, 0, 0}, VersionRange{51, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	d := NewFilter(v, &recorder{})
	d.SCRAMUsers = users
	return newClient(t, d)
}

func emptyUsers(t *testing.T) *sasl.Users {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := sasl.EditUsers(path, func(*sasl.UserList) error { return nil }); err != nil {
		t.Fatal(err)
	}
	users, err := sasl.OpenUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	return users
}

func upsertion(user string, mechanism int8, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
	u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	u.Name, u.Mechanism, u.Iterations, u.Salt = user, mechanism, iterations, []byte("a salt of some bytes")
	u.SaltedPassword, _ = pbkdf2.Key(sha256.New, "password", u.Salt, 4096, 32)
	return u
}

func deletion(user string, mechanism int8) kmsg.AlterUserSCRAMCredentialsRequestDeletion {
	d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
	d.Name, d.Mechanism = user, mechanism
	return d
}

// alter asks for changes, and returns the error codes by user.
func alter(t *testing.T, c *client, deletions []kmsg.AlterUserSCRAMCredentialsRequestDeletion, upsertions ...kmsg.AlterUserSCRAMCredentialsRequestUpsertion) map[string]int16 {
	t.Helper()
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	req.Deletions, req.Upsertions = deletions, upsertions
	codes := map[string]int16{}
	for _, r := range ask[*kmsg.AlterUserSCRAMCredentialsResponse](c, req, 0).Results {
		if _, twice := codes[r.User]; twice {
			t.Errorf("%q is answered twice", r.User)
		}
		if codes[r.User] = r.ErrorCode; (r.ErrorCode == 0) != (r.ErrorMessage == nil) {
			t.Errorf("%q: error %d, %v", r.User, r.ErrorCode, r.ErrorMessage)
		}
	}
	return codes
}

// Kafka: ScramControlManagerTest.
func TestClientsChangeTheUsersThatLogIn(t *testing.T) {
	users := emptyUsers(t)
	c := usersFilter(t, users)
	got := alter(t, c, nil, upsertion("alice", 1, 4096), upsertion("alice2", 1, 16384), upsertion("bob", 1, 4096), upsertion("few", 1, 4095),
		upsertion("many", 1, 16385), upsertion("", 1, 4096), upsertion("other", 3, 4096), upsertion("none", 0, 4096), upsertion("twice", 1, 4096), upsertion("twice", 2, 4096))
	for user, code := range map[string]int16{"alice": 0, "alice2": 0, "bob": 0, "few": 93, "many": 93, "": 93, "other": 33, "none": 33, "twice": 92} {
		if got[user] != code {
			t.Errorf("%q: error %d, want %d", user, got[user], code)
		}
	}
	again, err := sasl.OpenUsers(users.Path()) // it is in the file
	if err != nil || again.Len() != 3 {
		t.Fatalf("%d users, %v", again.Len(), err)
	}
	credential, ok, err := again.SCRAM(t.Context(), sasl.SCRAMSHA256, "alice")
	salted, _ := pbkdf2.Key(sha256.New, "password", []byte("a salt of some bytes"), 4096, 32)
	want, err2 := sasl.SCRAMCredentialOf(sasl.SCRAMSHA256, salted, []byte("a salt of some bytes"), 4096)
	if !ok || err != nil || err2 != nil || !slices.Equal(credential.StoredKey, want.StoredKey) || !slices.Equal(credential.ServerKey, want.ServerKey) {
		t.Errorf("alice's password is another: %v, %v", err, err2)
	}
	got = alter(t, c, []kmsg.AlterUserSCRAMCredentialsRequestDeletion{deletion("alice", 1), deletion("bob", 2), deletion("nobody", 1), deletion("alice2", 1)}, upsertion("alice2", 1, 4096))
	for user, code := range map[string]int16{"alice": 0, "bob": 91, "nobody": 91, "alice2": 92} {
		if got[user] != code {
			t.Errorf("%q: error %d, want %d", user, got[user], code)
		}
	}
	if users.List().Find("alice") != nil || users.Len() != 2 {
		t.Errorf("%d users are left", users.Len())
	}
}

func TestClientsDescribeTheUsersThatLogIn(t *testing.T) {
	users := emptyUsers(t)
	c := usersFilter(t, users)
	alter(t, c, nil, upsertion("alice", 1, 4096), upsertion("bob", 2, 8192))
	alter(t, c, nil, upsertion("alice", 2, 5000))
	describe := func(names ...string) (results []kmsg.DescribeUserSCRAMCredentialsResponseResult) {
		req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		for _, name := range names {
			req.Users = append(req.Users, kmsg.DescribeUserSCRAMCredentialsRequestUser{Name: name})
		}
		return ask[*kmsg.DescribeUserSCRAMCredentialsResponse](c, req, 0).Results
	}
	all := describe()
	if len(all) != 2 || all[0].User != "alice" || len(all[0].CredentialInfos) != 2 || all[0].CredentialInfos[1].Iterations != 5000 || all[1].CredentialInfos[0].Mechanism != 2 {
		t.Errorf("%+v", all)
	}
	some := describe("bob", "nobody", "alice", "alice")
	if len(some) != 3 || some[0].ErrorCode != 0 || some[1].ErrorCode != 91 || some[2].ErrorCode != 92 {
		t.Errorf("%+v", some)
	}
}

// fullDisk keeps nothing.
type fullDisk struct{ SCRAMUsers }

func (fullDisk) Edit(edit func(*sasl.UserList) error) error {
	return errors.Join(edit(&sasl.UserList{}), errors.New("no space left on device"))
}

func TestUsersThatCantBeKeptAreRefused(t *testing.T) {
	users := emptyUsers(t)
	if got := alter(t, usersFilter(t, fullDisk{users}), nil, upsertion("alice", 1, 4096)); got["alice"] != codeStorageError || users.Len() != 0 {
		t.Errorf("error %d, %d users", got["alice"], users.Len())
	}
}

// strange are an embedder's users, whose Edit does something else.
type strange struct {
	SCRAMUsers
	edit func()
}

func (s strange) Edit(edit func(*sasl.UserList) error) error {
	s.edit()
	return s.SCRAMUsers.Edit(edit)
}

// TestAnEmbeddersUsersMayFail: one Edit that panics, or ends its goroutine, closes its
// connection, and the next change is made.
func TestAnEmbeddersUsersMayFail(t *testing.T) {
	faults := []func(){func() { panic("with a password") }, runtime.Goexit, func() {}}
	edits := make(chan func(), len(faults))
	c := usersFilter(t, strange{emptyUsers(t), func() { (<-edits)() }})
	for _, f := range faults {
		edits <- f
	}
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	req.Upsertions = append(req.Upsertions, upsertion("alice", 1, 4096))
	for range 2 {
		if kind, _, why := c.send(framePayload(req, 1, "")); kind != reqchan.AnswerClose || why != reqchan.HandlerPanicked {
			t.Errorf("%v, %v", kind, why)
		}
	}
	if got := alter(t, c, nil, upsertion("alice", 1, 4096)); got["alice"] != 0 {
		t.Errorf("error %d", got["alice"])
	}
}

// TestUsersAreChangedByWhomTheRulesAllow: also where the APIHandler asks the Authorizer, to
// whom these requests do not come.
func TestUsersAreChangedByWhomTheRulesAllow(t *testing.T) {
	for _, later := range []bool{false, true} {
		users := emptyUsers(t)
		c := usersFilter(t, users)
		d := c.handler.(*Filter)
		d.AuthorizeLater = later
		d.Authorizer = rulesOf(t, "allow User:ANONYMOUS describe cluster")
		if got := alter(t, c, nil, upsertion("alice", 1, 4096)); got["alice"] != codeClusterAuthorization || users.Len() != 0 {
			t.Errorf("later %v: error %d, %d users", later, got["alice"], users.Len())
		}
		d.Authorizer = rulesOf(t, "allow User:ANONYMOUS alter cluster")
		if got := alter(t, c, nil, upsertion("alice", 1, 4096)); got["alice"] != 0 || users.Len() != 1 {
			t.Errorf("later %v: error %d, %d users", later, got["alice"], users.Len())
		}
	}
}

// TestOneRequestChangesABoundedNumberOfUsers: the others wait for it meanwhile.
func TestOneRequestChangesABoundedNumberOfUsers(t *testing.T) {
	users := emptyUsers(t)
	c := usersFilter(t, users)
	named := func(n int) (all []kmsg.AlterUserSCRAMCredentialsRequestDeletion) {
		for i := range n {
			all = append(all, deletion(fmt.Sprint("u", i), 1))
		}
		return all
	}
	for n, want := range map[int]int16{usersChangedMax - 1: codeResourceNotFound, usersChangedMax: codePolicyViolation} {
		codes := alter(t, c, named(n), upsertion("more", 1, 4096))
		if len(codes) != n+1 || codes["u0"] != want || codes["u7"] != want {
			t.Errorf("%d users: %d are answered, the first with %d, want %d", n+1, len(codes), codes["u0"], want)
		}
		if want == codePolicyViolation && codes["more"] != want {
			t.Errorf("the last of too many is answered with %d", codes["more"])
		}
	}
}
