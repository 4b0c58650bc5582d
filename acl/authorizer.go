package acl

import (
	"net/netip"
	"strings"
)

// Authorizer decides what clients may do. Its methods are called by any goroutine, the
// processors' too: they must be cheap, and must not block.
type Authorizer interface {
	// Allowed reports whether c may do a.
	Allowed(c Client, a Action) bool
	// AllowedAny reports whether there is any resource of type a.Resource that c may do
	// a.Operation on. It ignores a.Name. (Apache Kafka: authorizeByResourceType.)
	AllowedAny(c Client, a Action) bool
	// Version changes whenever an answer may have changed. What was authorized once for
	// many requests, such as a fetch session, is authorized anew then. An Authorizer
	// that can't tell returns another number each time: then no client has a session.
	Version() uint64
}

// Client is who asks.
type Client struct {
	Principal string     // type and name, such as User:alice
	Listener  string     // the name of the listener that it came by
	Address   netip.Addr // the zero Addr for a Unix domain socket
}

// Action is what a client wants to do.
type Action struct {
	API       int16 // the key of the API that it is for; APINone for none
	Operation Operation
	Resource  ResourceType
	Name      string // of the resource; ClusterName for the cluster
}

// APINone is the API of a question that is for no request: what may a client do at all?
const APINone int16 = -1

// ClusterName is the name of the one resource of type Cluster.
const ClusterName = "kafka-cluster"

// Operation is what is done to a resource, by Kafka's codes.
type Operation int8

// The operations. Read, Write, Delete and Alter imply Describe; AlterConfigs implies
// DescribeConfigs. A rule that denies them denies no more than it names.
const (
	All             Operation = 2  // every operation
	Read            Operation = 3  // fetch records, commit offsets, join groups
	Write           Operation = 4  // produce, use a transactional id
	Create          Operation = 5  // create topics
	Delete          Operation = 6  // delete topics, records, groups, offsets
	Alter           Operation = 7  // add partitions; for the cluster: change replicas, users, features
	Describe        Operation = 8  // see that it exists
	ClusterAction   Operation = 9  // what brokers ask each other
	DescribeConfigs Operation = 10 // see settings
	AlterConfigs    Operation = 11 // change settings
	IdempotentWrite Operation = 12 // be an idempotent producer; to write any topic is enough too
	CreateTokens    Operation = 13 // create delegation tokens for a user
	DescribeTokens  Operation = 14 // see a user's delegation tokens
)

var operationNames = [...]string{
	All: "all", Read: "read", Write: "write", Create: "create", Delete: "delete", Alter: "alter", Describe: "describe",
	ClusterAction: "cluster-action", DescribeConfigs: "describe-configs", AlterConfigs: "alter-configs",
	IdempotentWrite: "idempotent-write", CreateTokens: "create-tokens", DescribeTokens: "describe-tokens",
}

// String is the name that rules have.
func (o Operation) String() string { return nameIn(operationNames[:], int(o)) }

// ResourceType is what something is done to, by Kafka's codes.
type ResourceType int8

// The types of resources.
const (
	Topic           ResourceType = 2 // a topic, by name
	Group           ResourceType = 3 // a group of any kind, by id
	Cluster         ResourceType = 4 // the cluster, by ClusterName
	TransactionalID ResourceType = 5 // a transactional id
	DelegationToken ResourceType = 6 // a delegation token, by id
	User            ResourceType = 7 // a user, by principal

	resourceTypes = 8 // codes are below
)

var resourceNames = [...]string{
	Topic: "topic", Group: "group", Cluster: "cluster", TransactionalID: "transactional-id",
	DelegationToken: "delegation-token", User: "user",
}

// String is the name that rules have.
func (t ResourceType) String() string { return nameIn(resourceNames[:], int(t)) }

func nameIn(names []string, i int) string {
	if i < 0 || i >= len(names) || names[i] == "" {
		return "unknown"
	}
	return names[i]
}

// Operations are those that mean something for a type of resource, in the order of
// their codes (AclEntry.supportedOperations, and Delete for the cluster, which deletes
// any topic).
func (t ResourceType) Operations() []Operation {
	switch t {
	case Topic:
		return []Operation{Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs}
	case Group:
		return []Operation{Read, Delete, Describe, DescribeConfigs, AlterConfigs}
	case Cluster:
		return []Operation{Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite}
	case TransactionalID:
		return []Operation{Write, Describe}
	case DelegationToken:
		return []Operation{Describe}
	case User:
		return []Operation{CreateTokens, DescribeTokens}
	}
	return nil
}

// ParseOperation reads the name of an operation. Case does not matter, and _ is as good
// as -.
func ParseOperation(s string) (Operation, bool) {
	i, ok := indexIn(operationNames[:], s)
	return Operation(i), ok
}

// ParseResourceType reads the name of a type of resource.
func ParseResourceType(s string) (ResourceType, bool) {
	i, ok := indexIn(resourceNames[:], s)
	return ResourceType(i), ok
}

func indexIn(names []string, s string) (int, bool) {
	s = strings.ReplaceAll(s, "_", "-")
	for i, name := range names {
		if name != "" && strings.EqualFold(name, s) {
			return i, true
		}
	}
	return 0, false
}
