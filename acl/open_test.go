package acl

import (
	"strings"
	"testing"
)

// TestWhatNoRuleIsAboutIsOpenToEverybody with Open, and nothing else is: a rule about a
// resource closes it for all whom it does not allow, whomever it is for.
//
// Apache Kafka does so in StandardAuthorizerData (allow.everyone.if.no.acl.found).
func TestWhatNoRuleIsAboutIsOpenToEverybody(t *testing.T) {
	rules, err := Parse("rules", strings.NewReader(`
allow User:alice read topic:orders, topic:bills
allow User:alice write topic:shop-*
deny  User:mallory write topic:public
allow User:alice read topic:far from 10.0.0.0/8 on SASL_SSL using Fetch
allow User:alice read group:*
super User:root
`))
	if err != nil {
		t.Fatal(err)
	}
	closed, open := New(rules), New(append(rules, Rule{Kind: Open}))
	alice, bob, mallory, root := Client{Principal: "User:alice"}, Client{Principal: "User:bob"}, Client{Principal: "User:mallory"}, Client{Principal: "User:root"}
	for _, c := range []struct {
		c             Client
		op            Operation
		on            ResourceType
		name          string
		without, with bool
	}{
		{bob, Read, Topic, "free", false, true},
		{bob, Delete, Topic, "free", false, true},
		{mallory, Write, Topic, "free", false, true},
		{alice, Read, Topic, "orders", true, true},
		{alice, Write, Topic, "orders", false, false},
		{bob, Read, Topic, "orders", false, false},
		{bob, Read, Topic, "bills", false, false}, // the second of a list
		{bob, Read, Topic, "order", false, true},
		{bob, Read, Topic, "orders2", false, true},
		{bob, Write, Topic, "shop-1", false, false}, // a prefix
		{bob, Write, Topic, "shop-", false, false},
		{bob, Write, Topic, "shop", false, true},
		{alice, Read, Topic, "shop-1", false, false},
		{mallory, Write, Topic, "public", false, false},
		{bob, Write, Topic, "public", false, false}, // a deny for another is a rule about it
		{bob, Read, Topic, "far", false, false},     // one for other clients, listeners and APIs as well
		{bob, Read, Group, "g", false, false},       // all groups
		{bob, Describe, TransactionalID, "x", false, true},
		{bob, Create, Cluster, ClusterName, false, true},
		{root, Write, Topic, "public", true, true},
		{bob, Read, ResourceType(99), "x", false, false},
	} {
		a := Action{API: APINone, Operation: c.op, Resource: c.on, Name: c.name}
		if got := closed.Allowed(c.c, a); got != c.without {
			t.Errorf("without Open: %s %s %s %s: %v", c.c.Principal, c.op, c.on, c.name, got)
		}
		if got := open.Allowed(c.c, a); got != c.with {
			t.Errorf("with Open: %s %s %s %s: %v", c.c.Principal, c.op, c.on, c.name, got)
		}
	}
	for _, c := range []struct {
		c    Client
		on   ResourceType
		want bool
	}{{bob, Topic, true}, {bob, Group, false}, {alice, Group, true}, {bob, TransactionalID, true}, {bob, Cluster, true}, {bob, ResourceType(-1), false}} {
		if got := open.AllowedAny(c.c, Action{API: APINone, Operation: Read, Resource: c.on}); got != c.want {
			t.Errorf("any %s for %s: %v", c.on, c.c.Principal, got)
		}
	}
	about := New([]Rule{{Kind: Open}, {Kind: Deny, Principals: []string{"User:x"}, Operations: []Operation{All}, Resources: []Resource{{Type: Cluster, Name: ClusterName}}}})
	if about.AllowedAny(bob, Action{API: APINone, Operation: Alter, Resource: Cluster}) || !about.AllowedAny(bob, Action{API: APINone, Operation: Write, Resource: Topic}) {
		t.Error("there is one cluster, and a rule is about it")
	}
}
