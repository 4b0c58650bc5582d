package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestAJAASStringIsReadAsJavaDoes: quotes, escapes and comments of StreamTokenizer, with the
// settings of Kafka's JaasConfig.
func TestAJAASStringIsReadAsJavaDoes(t *testing.T) {
	for text, want := range map[string]string{
		`org.apache.PlainLoginModule required;`:                          "PlainLoginModule",
		`A$B REQUIRED user_a-b=c.d user_x='y"z' q="it's";`:               "A$B|user_a-b=c.d|user_x=y\"z|q=it's",
		"A required\n\tuser_a \n= \"b;=c\" ; ":                           "A|user_a=b;=c",
		`A optional a="\"\\\a\b\f\n\r\t\v\q";`:                           "A|a=\"\\\a\b\f\n\r\t\vq",
		`A optional a="\101\1019\78\3777\400";`:                          "A|a=AA9\a8\u00ff7 0",
		"A required // a comment; x=\"y\"\n/* another ; */ a=b /c=d;\n;": "A|a=b",
		`A required "user_a b"=c user_ä="ö";`:                            "A|user_a b=c|user_ä=ö",
		`A required port=9092 f="";`:                                     "A|port=9092|f=",
	} {
		e, err := parseJAAS(text)
		got := e.module
		for _, o := range e.options {
			got += "|" + o.name + "=" + o.value.reveal()
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
		if shown := fmt.Sprintf("%v %+v %#v", e, e, e.options); strings.Contains(shown, "b;=c") {
			t.Errorf("a value is in %s", shown)
		}
	}
}

// TestAJAASStringThatIsNoneSaysWhyAndShowsNoValue.
func TestAJAASStringThatIsNoneSaysWhyAndShowsNoValue(t *testing.T) {
	for text, says := range map[string]string{
		"": "no JAAS string", "=": "no JAAS string", "hunter2": "followed by no flag", "A always;": "followed by no flag",
		"A required": "not ended by a ;", `A required user_a="hunter2"`: "not ended by a ;", `A required user_a "hunter2";`: `the option "user_a" has no value`,
		`A required user_a=;`: `the option "user_a" has no value`, `A required user_a="hunter2;`: "does not end", "A required user_a=\"hunter\n2\";": "does not end on its line",
		`A required user_a="hunter2\`: "does not end", `A required user_a="hunter2" user_a="x";`: `"user_a" is there twice`, `A required ="hunter2";`: "option 1 has no name",
		`A required; B required user_a="hunter2";`: "something behind the ;", `A required /* hunter2`: "a comment",
		`A required ` + strings.Repeat("x", jaasBytesMax): "more than", "A required " + manyOptions(jaasOptionsMax+1) + ";": "more than 2000 options",
	} {
		_, err := parseJAAS(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%.60q: %v, want %q", text, err, says)
		}
	}
}

func manyOptions(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "o%d=x ", i)
	}
	return b.String()
}

// TestAccountsOfAConfigurationLogIn: PLAIN goes by the accounts of its listener, and the
// others by the users file; no listing shows a password.
//
// Apache Kafka does so in JaasContext.loadServerContext and PlainServerCallbackHandler.
func TestAccountsOfAConfigurationLogIn(t *testing.T) {
	const text = "listeners=SASL_PLAINTEXT://127.0.0.1:0\nsasl.enabled.mechanisms=PLAIN\n" +
		"listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n" +
		"  username=\"admin\" password=\"hunter0\" user_alice=\"hunter2\" user_bob='hunter\\\\\"3';\n" +
		"listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
	path := filepath.Join(t.TempDir(), "server.properties")
	writeFile(t, path, []byte(text))
	c := serveOf(t, "--config", path)
	of := c.saslOf("SASL_PLAINTEXT")
	if of.needsUsers() {
		t.Error("it needs a users file")
	}
	accounts, err := accountsOf(of.accounts)
	if err != nil {
		t.Fatal(err)
	}
	for user, password := range map[string]string{"alice": "hunter2", "bob": `hunter"3`} {
		if ok, _ := accounts.CheckPassword(context.Background(), user, []byte(password)); !ok {
			t.Errorf("%s can't log in", user)
		}
	}
	if ok, _ := accounts.CheckPassword(context.Background(), "admin", []byte("hunter0")); ok {
		t.Error("the broker's own account is none of clients")
	}
	for _, args := range [][]string{{"config", "show", "--config", path}, {"config", "show", "--format", "json", "--config", path}, {"config", "check", path}} {
		status, stdout, stderr := command(t, args...)
		if status != 0 || strings.Contains(stdout+stderr, "hunter") {
			t.Errorf("%q: %d\n%s%s", args, status, stdout, stderr)
		}
	}
}

// TestAccountsThatNobodyCouldUseAreRefused.
func TestAccountsThatNobodyCouldUseAreRefused(t *testing.T) {
	const accounts = "SASL_PLAINTEXT.plain-users=A.PlainLoginModule required user_a=\"hunter2\";"
	for says, args := range map[string][]string{
		"PLAIN is none of its mechanisms": {"--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "SCRAM-SHA-256", "--users", "f", "--listener", accounts},
		"no accounts":                     {"--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "PLAIN", "--listener", "SASL_PLAINTEXT.plain-users=A.PlainLoginModule required;"},
		"module PlainLoginModule":         {"--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "PLAIN", "--listener", "SASL_PLAINTEXT.plain-users=A.B required user_a=\"hunter2\";"},
	} {
		status, stdout, stderr := command(t, append([]string{"config", "show"}, args...)...)
		if status == 0 || !strings.Contains(stderr, says) || strings.Contains(stdout+stderr, "hunter2") {
			t.Errorf("%s: %d %s", says, status, stderr)
		}
	}
}
