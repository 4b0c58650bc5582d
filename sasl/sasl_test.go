package sasl

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"kring/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// canary is in no text that anybody sees.
const canary = "canary-7f3a"

// usersWith makes users that have all mechanisms, at little cost, and the password canary
// and the name.
func usersWith(t testing.TB, names ...string) *Users {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	err := EditUsers(path, func(l *UserList) error {
		for _, name := range names {
			u, err := l.Add(name)
			if err != nil {
				return err
			}
			cheap, err := NewPasswordCredential([]byte(canary+name), passwordIterationsMin)
			if err != nil {
				return err
			}
			u.Plain = &cheap
			if err := u.SetPassword([]byte(canary+name), []string{SCRAMSHA256, SCRAMSHA512}, SCRAMIterationsMin); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := OpenUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// hides demands that nobody learns a secret from an error.
func hides(t testing.TB, err error) {
	t.Helper()
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v %s", err, err, err, toldOf(err)), canary) {
		t.Errorf("a secret in %v", err)
	}
}

func toldOf(err error) string {
	if f := (*Failure)(nil); errors.As(err, &f) {
		return f.Told
	}
	return ""
}

func TestPlainTakesTheRightPasswordOnly(t *testing.T) {
	m := NewPlain(usersWith(t, "alice", "bob"))
	for token, told := range map[string]string{
		"\x00alice\x00" + canary + "alice":          "",
		"alice\x00alice\x00" + canary + "alice":     "",
		"bob\x00alice\x00" + canary + "alice":       errOtherUser.Told,
		"\x00alice\x00" + canary + "bob":            errPlainInvalid.Told,
		"\x00nobody\x00" + canary + "alice":         errPlainInvalid.Told,
		"\x00\x00" + canary:                         errPlainUser.Told,
		"\x00alice\x00":                             errPlainPassword.Told,
		"alice\x00" + canary:                        errPlainTokens.Told,
		"":                                          errPlainTokens.Told,
		"\x00alice\x00" + canary + "alice\x00more":  errPlainTokens.Told,
		"\x00alice\x00" + strings.Repeat("x", 5000): errTokenBytes.Told,
	} {
		for range 2 { // the second time a right password is remembered
			x := m.Begin()
			step, err := x.Next(t.Context(), []byte(token))
			hides(t, err)
			if good := err == nil; good != step.Done || good && step.Identity != (Identity{User: "alice"}) || toldOf(err) != told || good != (told == "" && len(token) < 100) {
				t.Errorf("%.60q: %+v, %v", token, step, err)
			}
			if _, err := x.Next(t.Context(), []byte(token)); !errors.Is(err, errOver) {
				t.Errorf("%.60q: a second token: %v", token, err)
			}
		}
	}
}

// talk has a client of xdg-go authenticate.
func talk(t testing.TB, m Mechanism, h scram.HashGeneratorFcn, user, password, authzid string) (Step, int, error) {
	t.Helper()
	client, err := h.NewClientUnprepped(user, password, authzid)
	if err != nil {
		t.Fatal(err)
	}
	c, x, answer := client.NewConversation(), m.Begin(), ""
	for steps := 1; ; steps++ {
		said, err := c.Step(answer)
		if err != nil {
			t.Fatalf("the client: %v", err)
		}
		step, err := x.Next(t.Context(), []byte(said))
		hides(t, err)
		if err != nil || step.Done {
			if err == nil {
				if _, err := c.Step(string(step.Answer)); err != nil {
					t.Errorf("the client does not believe the server: %v", err)
				}
			}
			return step, steps, err
		}
		answer = string(step.Answer)
	}
}

func TestSCRAMAuthenticatesUsersWithAnyName(t *testing.T) {
	names := []string{"alice", "a,b=c", "=2C", "=3D2C", "ü ñ", "a=", ","}
	users := usersWith(t, names...)
	for name, h := range map[string]scram.HashGeneratorFcn{SCRAMSHA256: scram.SHA256, SCRAMSHA512: scram.SHA512} {
		m, err := NewSCRAM(name, users)
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range names {
			if step, _, err := talk(t, m, h, user, canary+user, ""); err != nil || step.Identity != (Identity{User: user}) {
				t.Errorf("%s: %q: %+v, %v", name, user, step, err)
			}
			if _, steps, err := talk(t, m, h, user, canary, ""); err == nil || steps != 2 {
				t.Errorf("%s: %q: a wrong password: %v after %d steps", name, user, err, steps)
			}
		}
		if step, _, err := talk(t, m, h, "alice", canary+"alice", "alice"); err != nil || step.Identity.User != "alice" {
			t.Errorf("%s: as oneself: %v", name, err)
		}
		for _, user := range []string{"alice", "nobody"} { // no word on whether there is one
			if _, steps, err := talk(t, m, h, user, canary+user, "bob"); toldOf(err) != errOtherUser.Told || steps != 1 {
				t.Errorf("%s: as another: %v after %d steps", name, err, steps)
			}
		}
	}
}

func TestAUserThatThereIsNotSeemsToBeOne(t *testing.T) {
	users := usersWith(t, "alice")
	m, err := NewSCRAM(SCRAMSHA256, users)
	if err != nil {
		t.Fatal(err)
	}
	first := func(user string) string {
		step, err := m.Begin().Next(t.Context(), []byte("n,,n="+user+",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(step.Answer), ",")
		return rest
	}
	alice, nobody := first("alice"), first("nobody")
	if len(alice) != len(nobody) || nobody != first("nobody") || nobody == first("noone") || !strings.HasSuffix(nobody, "i=4096") {
		t.Errorf("%q, %q, then %q", alice, nobody, first("nobody"))
	}
	again, err := OpenUsers(users.Path()) // a restart
	if err != nil {
		t.Fatal(err)
	}
	if was, is := users.SCRAMDecoy(SCRAMSHA512, "nobody"), again.SCRAMDecoy(SCRAMSHA512, "nobody"); string(was.Salt) != string(is.Salt) {
		t.Error("after a restart nobody has another salt")
	}
	if _, steps, err := talk(t, m, scram.SHA256, "nobody", canary, ""); !errors.Is(err, errSCRAM) || steps != 2 {
		t.Errorf("nobody: %v after %d steps", err, steps)
	}
	if _, steps, err := talk(t, m, scram.SHA256, "alice", canary, ""); !errors.Is(err, errSCRAM) || steps != 2 {
		t.Errorf("alice: %v after %d steps", err, steps)
	}
}

func TestSCRAMRefusesWhatItDoesNotHave(t *testing.T) {
	m, err := NewSCRAM(SCRAMSHA256, usersWith(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{
		"", "n", "n,,", "n,,n=alice", "n,,n=al=ice,r=x", "n,,n=alice=2", "p=tls-unique,,n=alice,r=x", "n,,m=ext,n=alice,r=x",
		"n,,x=alice,r=x", "n,a=al=ice,n=alice,r=x", strings.Repeat("n", 5000), canary,
	} {
		x := m.Begin()
		step, err := x.Next(t.Context(), []byte(token))
		hides(t, err)
		if err == nil || step.Done || len(step.Answer) > 0 {
			t.Errorf("%.40q: %+v, %v", token, step, err)
		}
		if _, err := x.Next(t.Context(), []byte(token)); err == nil {
			t.Errorf("%.40q: goes on", token)
		}
	}
	x := m.Begin() // a delegation token is no user
	step, err := x.Next(t.Context(), []byte("n,,n=alice,r=abc,tokenauth=true"))
	if err != nil || x.(*scramExchange).known {
		t.Errorf("a token: %q, %v", step.Answer, err)
	}
	for _, final := range []string{"", "c=biws,r=abc,p=AAAA", canary, "c=biws,r=" + strings.Repeat("x", 10) + ",p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))} {
		x := m.Begin()
		if _, err := x.Next(t.Context(), []byte("n,,n=alice,r=abc")); err != nil {
			t.Fatal(err)
		}
		_, err := x.Next(t.Context(), []byte(final))
		hides(t, err)
		if !errors.Is(err, errSCRAM) {
			t.Errorf("%q: %v", final, err)
		}
	}
}

// A client of librdkafka before 2.6.1 is told what is wrong with it, whoever it says it is.
func TestAnOldLibrdkafkaIsToldOfItsNonce(t *testing.T) {
	m, err := NewSCRAM(SCRAMSHA256, usersWith(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"alice", "nobody"} {
		x := m.Begin()
		step, err := x.Next(t.Context(), []byte("n,,n="+user+",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		proof := base64.StdEncoding.EncodeToString(make([]byte, 32))
		_, err = x.Next(t.Context(), []byte("c=biws,r=abc"+nonceOf(string(step.Answer))+",p="+proof))
		if told := toldOf(err); !errors.Is(err, errSCRAMNonce) || !strings.Contains(told, "2.6.1") {
			t.Errorf("%s: %v, told %q", user, err, told)
		}
	}
}

// failing is a store that can't say.
type failing struct{}

func (failing) CheckPassword(context.Context, string, []byte) (bool, error) {
	return false, errors.New("the directory is down: " + canary)
}

func (failing) SCRAM(context.Context, string, string) (SCRAMCredential, bool, error) {
	return SCRAMCredential{}, false, errors.New("the directory is down: " + canary)
}

func (failing) SCRAMDecoy(mechanism, user string) SCRAMCredential {
	return DecoyOf(nil, mechanism, user, []int{4096})
}

func TestAStoreThatFailsLetsNobodyIn(t *testing.T) {
	m, err := NewSCRAM(SCRAMSHA256, failing{})
	if err != nil {
		t.Fatal(err)
	}
	for token, m := range map[string]Mechanism{"\x00alice\x00" + canary: NewPlain(failing{}), "n,,n=alice,r=abc": m} {
		_, err := m.Begin().Next(t.Context(), []byte(token))
		hides(t, err)
		if !errors.Is(err, errNobodySays) {
			t.Errorf("%s: %v", m.Name(), err)
		}
	}
}

func TestCredentialsAreNotPrinted(t *testing.T) {
	users := usersWith(t, "alice")
	u := users.List().Find("alice")
	for _, c := range []any{u.SCRAM[SCRAMSHA256], u.Plain, *u.Plain, u.SCRAM} {
		if text := fmt.Sprintf("%v %+v %#v %s %x", c, c, c, c, c); strings.Contains(text, "Salt") || !strings.Contains(text, hidden) {
			t.Errorf("printed as %s", text)
		}
	}
	b, err := os.ReadFile(users.Path())
	if err != nil || strings.Contains(string(b), canary) {
		t.Errorf("a password in the file, or %v", err)
	}
}
