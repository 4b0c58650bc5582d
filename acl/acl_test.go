package acl

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func mustParse(t testing.TB, text string) *Rules {
	t.Helper()
	rules, err := Parse("rules", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return New(rules)
}

const example = `
# the shop
allow User:alice read,write topic:orders-*, group:shop  on SASL_SSL from 10.0.0.0/8,fd00::/8
deny  User:alice write topic:orders-audit
allow User:* describe topic:public
allow "User:CN=bob,OU=ops, O=Shop" all topic:*, group:*, txn:*, cluster
deny  "User:CN=bob,OU=ops, O=Shop" delete topic:* using DeleteTopics
allow User:ops alter-configs cluster from unix, 127.0.0.1
super User:root on INTERNAL
allow User:quoted read group:"a*"
`

func TestRulesAllowWhatTheySayAndNoMore(t *testing.T) {
	r := mustParse(t, example)
	at := func(principal, listener, address string) Client {
		a, _ := netip.ParseAddr(address)
		return Client{principal, listener, a}
	}
	alice, bob := at("User:alice", "SASL_SSL", "10.1.2.3"), at("User:CN=bob,OU=ops, O=Shop", "X", "::1")
	cases := []struct {
		c    Client
		api  int16
		op   Operation
		on   ResourceType
		name string
		want bool
	}{
		{alice, 0, Read, Topic, "orders-1", true},
		{alice, 0, Write, Topic, "orders-", true},
		{alice, 0, Describe, Topic, "orders-1", true}, // implied
		{alice, 0, DescribeConfigs, Topic, "orders-1", false},
		{alice, 0, Delete, Topic, "orders-1", false},
		{alice, 0, Read, Topic, "orders", false},
		{alice, 0, Read, Topic, "xorders-1", false},
		{alice, 0, Write, Topic, "orders-audit", false}, // denied
		{alice, 0, Read, Topic, "orders-audit", true},
		{alice, 0, Describe, Topic, "orders-audit", true}, // a deny implies nothing
		{alice, 0, Read, Group, "shop", true},
		{alice, 0, Read, Group, "shop2", false},
		{alice, 0, Read, TransactionalID, "orders-1", false},
		{at("User:alice", "SASL_SSL", "::ffff:10.1.2.3"), 0, Read, Topic, "orders-1", true},
		{at("User:alice", "SASL_SSL", "fd00::1"), 0, Read, Topic, "orders-1", true},
		{at("User:alice", "SASL_SSL", "11.1.2.3"), 0, Read, Topic, "orders-1", false},
		{at("User:alice", "SASL_SSL", ""), 0, Read, Topic, "orders-1", false},
		{at("User:alice", "PLAINTEXT", "10.1.2.3"), 0, Read, Topic, "orders-1", false},
		{at("User:ALICE", "SASL_SSL", "10.1.2.3"), 0, Read, Topic, "orders-1", false},
		{at("User:anybody", "", ""), 3, Describe, Topic, "public", true},
		{at("User:anybody", "", ""), 3, Read, Topic, "public", false},
		{bob, 1, Read, Topic, "anything", true},
		{bob, 19, Create, Cluster, ClusterName, true},
		{bob, 20, Delete, Topic, "anything", false},
		{bob, 21, Delete, Topic, "anything", true}, // another API
		{bob, APINone, Delete, Topic, "anything", true},
		{at("User:ops", "X", ""), 44, AlterConfigs, Cluster, ClusterName, true},
		{at("User:ops", "X", "127.0.0.1"), 32, DescribeConfigs, Cluster, ClusterName, true},
		{at("User:ops", "X", "127.0.0.2"), 32, DescribeConfigs, Cluster, ClusterName, false},
		{at("User:root", "INTERNAL", ""), 0, ClusterAction, Cluster, ClusterName, true},
		{at("User:root", "PLAINTEXT", ""), 0, ClusterAction, Cluster, ClusterName, false},
		{at("User:quoted", "", ""), 0, Read, Group, "a*", true},
		{at("User:quoted", "", ""), 0, Read, Group, "ab", false},
		{alice, 0, Read, 77, "x", false},
		{alice, 0, Read, -1, "x", false},
	}
	for _, k := range cases {
		if got := r.Allowed(k.c, Action{k.api, k.op, k.on, k.name}); got != k.want {
			t.Errorf("%+v %v %v:%s in API %d: %v", k.c, k.op, k.on, k.name, k.api, got)
		}
	}
}

func TestAnyResourceIsAllowedUnlessAllOfItIsDenied(t *testing.T) {
	for _, k := range []struct {
		rules string
		want  bool
	}{
		{"", false},
		{"allow User:a write topic:x", true},
		{"allow User:b write topic:x", false},
		{"allow User:a read topic:x", false},
		{"allow User:a write topic:x\ndeny User:a write topic:x", false},
		{"allow User:a write topic:x\ndeny User:* write topic:*", false},
		{"allow User:a write topic:x-*\ndeny User:a write topic:x*", false},
		{"allow User:a write topic:x-*\ndeny User:a write topic:x-y", true},
		{"allow User:a write topic:*\ndeny User:a write topic:x*", true},
		{"super User:a\ndeny User:a write topic:*", true},
	} {
		r := mustParse(t, k.rules)
		if got := r.AllowedAny(Client{Principal: "User:a"}, Action{Operation: Write, Resource: Topic}); got != k.want {
			t.Errorf("%q: %v", k.rules, got)
		}
	}
}

func TestAFaultIsNamedWithItsFileItsLineItsWordAndARemedy(t *testing.T) {
	for line, want := range map[string][]string{
		"alow User:a read topic:x":                          {`"alow"`, "did you mean allow?"},
		"allow alice read topic:x":                          {`"alice"`, "User:alice"},
		"allow User:a* read topic:x":                        {`"User:a*"`, "in quotes"},
		"allow User:a raed topic:x":                         {`"raed"`, "did you mean read?"},
		"allow User:a read topik:x":                         {`"topik:x"`, "did you mean topic?"},
		"allow User:a read topic:":                          {`"topic:"`, "topic:NAME"},
		"allow User:a read topic:a*b":                       {`"topic:a*b"`, "in quotes"},
		"allow User:a write group:g":                        {`"write"`, "a group, which has read, delete"},
		"allow User:a read,write topic:x,cluster":           {"for a cluster, which has create"},
		"allow User:a read cluster:mine":                    {`"cluster:mine"`, "give cluster"},
		"allow User:a read":                                 {"ends early", "add a resource"},
		"allow User:a read,":                                {"ends early", "add an operation"},
		"allow ,User:a read topic:x":                        {`","`, "remove it"},
		"allow User:a read topic:x group:y":                 {`"group:y"`, "by commas"},
		"allow User:a read topic:x on":                      {"ends early", "SASL_SSL"},
		"allow User:a read topic:x on A on B":               {`"on" stands twice`},
		"allow User:a read topic:x from 10.0.0.1/8":         {`"10.0.0.1/8"`, "give 10.0.0.0/8"},
		"allow User:a read topic:x from host":               {`"host"`, "10.0.0.0/8"},
		"allow User:a read topic:x using Prodce":            {`"Prodce"`, "did you mean Produce?"},
		`allow "User:a read topic:x`:                        {"quotes are not closed"},
		`allow "User:\a" read topic:x`:                      {`\\ for itself`},
		"allow User:a\x01 read topic:x":                     {"control character"},
		"super User:a read topic:x":                         {`"read"`, "not expected here"},
		"allow User:a read topic:x from ::ffff:1.2.3.0/120": {"is no address"},
	} {
		_, err := Parse("dir/rules", strings.NewReader("# first\n"+line+"\n"))
		if err == nil {
			t.Errorf("%s: no error", line)
			continue
		}
		for _, part := range append(want, "dir/rules:2: ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is missing in %q", line, part, err)
			}
		}
	}
}

func TestAllFaultsAreReportedAtOnceUpToABound(t *testing.T) {
	_, err := Parse("f", strings.NewReader(strings.Repeat("nonsense\n", 100)))
	if n := strings.Count(err.Error(), "\n"); n != faultsMax || !strings.Contains(err.Error(), "f:21: there are more") {
		t.Errorf("%d lines: %v", n, err)
	}
}

func TestARuleIsWrittenAsItIsRead(t *testing.T) {
	for _, r := range mustParse(t, example).List() {
		again, err := Parse("f", strings.NewReader(r.String()))
		if err != nil || !same(again, []Rule{r}) {
			t.Errorf("%s: %v, %v", r, again, err)
		}
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	var a Authorizer = mustParse(t, example)
	c := Client{"User:alice", "SASL_SSL", netip.MustParseAddr("10.1.2.3")}
	if n := testing.AllocsPerRun(100, func() {
		if !a.Allowed(c, Action{0, Write, Topic, "orders-17"}) {
			t.Error("denied")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestABadFileKeepsTheRulesThatWere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules")
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	put("allow User:a read topic:x\n")
	f, err := Load(path, Rule{Kind: Super, Principals: []string{"User:root"}})
	if err != nil {
		t.Fatal(err)
	}
	a := Client{Principal: "User:a"}
	x := Action{Operation: Read, Resource: Topic, Name: "x"}
	before := f.Version()
	if !f.Allowed(a, x) || !f.Allowed(Client{Principal: "User:root"}, Action{Operation: Alter, Resource: Cluster, Name: ClusterName}) {
		t.Fatal("denied")
	}
	put("allow User:a read topic:x # the same\n")
	if err := f.Reload(); err != nil || f.Version() != before {
		t.Errorf("%v; version %d after %d", err, f.Version(), before)
	}
	put("deny everything\n")
	if err := f.Reload(); err == nil || !f.Allowed(a, x) || f.Version() != before {
		t.Errorf("a bad file: %v, allowed %v", err, f.Allowed(a, x))
	}
	put("")
	if err := f.Reload(); err != nil || f.Allowed(a, x) || f.Version() == before {
		t.Errorf("an empty file: %v, allowed %v", err, f.Allowed(a, x))
	}
}

func TestRulesAreReplacedWhileManyAsk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte("allow User:a read topic:x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if !f.Allowed(Client{Principal: "User:a"}, Action{Operation: Read, Resource: Topic, Name: "x"}) {
					t.Error("denied by both files")
					return
				}
				f.AllowedAny(Client{Principal: "User:a"}, Action{Operation: Read, Resource: Topic})
			}
		})
	}
	for i := range 50 {
		text := "allow User:a read topic:x\n" + strings.Repeat("allow User:b read topic:y\n", i%2)
		next := path + ".next"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		if err := f.Reload(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestSuperUsersAreSeparatedBySemicolons(t *testing.T) {
	all, err := ParsePrincipals("User:CN=a,OU=b; User:c;")
	if err != nil || len(all) != 2 || all[0] != "User:CN=a,OU=b" || all[1] != "User:c" {
		t.Errorf("%q, %v", all, err)
	}
	if _, err := ParsePrincipals("User:a;bob"); err == nil || !strings.Contains(err.Error(), "User:bob") {
		t.Error(err)
	}
}

func FuzzRules(f *testing.F) {
	for line := range strings.Lines(example) {
		f.Add(line)
	}
	f.Add("allow User:a read topic:\"a\\\"\\\\\"* from ::/0 using 3,Fetch # x")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse("f", strings.NewReader(text))
		if err != nil {
			return
		}
		for i := range rules {
			line := rules[i].String()
			again, err := Parse("f", strings.NewReader(line))
			if err != nil || !same(again, rules[i:i+1]) {
				t.Fatalf("%q is written as %q, which is read as %v, %v", text, line, again, err)
			}
		}
		r := New(rules)
		for i := range rules {
			for _, on := range rules[i].Resources {
				a := Action{APINone, Describe, on.Type, on.Name}
				c := Client{Principal: rules[i].Principals[0]}
				if r.Allowed(c, a) && len(r.supers) == 0 && !r.tables[on.Type].allow.covers(&c, &a) {
					t.Fatalf("%q: allowed by nothing", text)
				}
			}
		}
	})
}
