package acl

import (
	"net/netip"
	"slices"
	"sync/atomic"
)

// Kind is what a rule does.
type Kind uint8

// The kinds of rules.
const (
	// Allow allows what no Deny denies.
	Allow Kind = iota
	// Deny denies, whatever is allowed.
	Deny
	// Super allows everything, whatever is denied.
	Super
	// Open lets everybody do everything with resources that no allow and no deny is about,
	// whomever these are for (Apache Kafka: allow.everyone.if.no.acl.found). It is a rule of
	// the program, without principals and resources: a file has no word for it.
	Open
)

// String is the word that begins such a rule.
func (k Kind) String() string { return [...]string{"allow", "deny", "super", "open"}[k] }

// Everybody is the principal that all have.
const Everybody = "User:*"

// Rule is one line of a rules file.
type Rule struct {
	Line int // where it stands; 0: it was not read from a file
	Kind Kind
	// Principals are whom it is for: type and name, or Everybody.
	Principals []string
	Operations []Operation // none for Super
	Resources  []Resource  // none for Super
	// Listeners, Clients and APIs bound it; empty means each of them.
	Listeners []string
	Clients   []netip.Prefix
	Unix      bool    // clients of Unix domain sockets are among Clients
	APIs      []int16 // by key
}

// Resource names resources of a type.
type Resource struct {
	Type ResourceType
	Name string
	// Prefix means all whose name begins with Name; every one if that is empty.
	Prefix bool
}

// Rules are compiled rules, which never change. They are an Authorizer.
type Rules struct {
	listed  []Rule
	supers  []scope
	open    bool
	tables  [resourceTypes]table
	version uint64
}

// versions counts the Rules that were made, so that each has a version of its own.
var versions atomic.Uint64

// New compiles rules.
func New(rules []Rule) *Rules {
	r := &Rules{listed: slices.Clone(rules), version: versions.Add(1)}
	for i := range rules {
		if rules[i].Kind == Open {
			r.open = true
			continue
		}
		s := newScope(&rules[i])
		if rules[i].Kind == Super {
			r.supers = append(r.supers, s)
			continue
		}
		for _, on := range rules[i].Resources {
			t := &r.tables[on.Type]
			if rules[i].Kind == Deny {
				t.deny.add(on, s)
			} else {
				t.allow.add(on, s)
			}
		}
	}
	for i := range r.tables {
		r.tables[i].allow.done()
		r.tables[i].deny.done()
	}
	return r
}

// List returns the rules as they were given; the caller must not change them.
func (r *Rules) List() []Rule { return r.listed }

// Version is another one for all that New makes.
func (r *Rules) Version() uint64 { return r.version }

// Allowed reports whether c may do a: it is a super user, or a rule allows it and none
// denies it, or no rule is about the resource and there is an Open. It does not allocate.
func (r *Rules) Allowed(c Client, a Action) bool {
	t, super := r.ask(&c, &a)
	return super || t != nil && !t.deny.covers(&c, &a) && (t.allow.covers(&c, &a) || r.open && !t.isAbout(a.Name))
}

// ask gives the rules on a resource, nil where there can't be any, and says that c needs
// none.
func (r *Rules) ask(c *Client, a *Action) (t *table, super bool) {
	if a.Resource < 0 || a.Resource >= resourceTypes {
		return nil, false
	}
	c.Address = c.Address.Unmap()
	return &r.tables[a.Resource], r.super(c, a.API)
}

// AllowedAny reports whether an allow for a.Operation is not denied as a whole: a
// resource that it names is left. With Open there may be one that no rule is about.
func (r *Rules) AllowedAny(c Client, a Action) bool {
	t, super := r.ask(&c, &a)
	if super || t == nil {
		return super
	}
	for name, scopes := range t.allow.literal {
		if a.Name = name; anyHolds(scopes, &c, &a) && !t.deny.covers(&c, &a) {
			return true
		}
	}
	for prefix, scopes := range t.allow.prefix {
		// A deny of a literal name leaves others of the prefix.
		if a.Name = prefix; anyHolds(scopes, &c, &a) && !t.deny.prefixCovers(&c, &a) {
			return true
		}
	}
	return r.open && t.leaves(a.Resource)
}

func (r *Rules) super(c *Client, api int16) bool {
	for i := range r.supers {
		if r.supers[i].isFor(c, api) {
			return true
		}
	}
	return false
}

// table are the rules on one type of resource.
type table struct{ allow, deny index }

// isAbout says that a rule is about a resource, for whomever it is.
func (t *table) isAbout(name string) bool { return t.allow.names(name) || t.deny.names(name) }

// leaves says that there is a resource that no rule is about. Names never end, so only a rule
// about all of them leaves none; but there is only one cluster.
func (t *table) leaves(of ResourceType) bool {
	if of == Cluster {
		return !t.isAbout(ClusterName)
	}
	return len(t.allow.prefix[""])+len(t.deny.prefix[""]) == 0
}

// index finds the scopes of rules by the names of resources.
type index struct {
	literal map[string][]scope
	prefix  map[string][]scope
	lengths []int // of the prefixes, ascending, each once
}

func (x *index) add(on Resource, s scope) {
	to := &x.literal
	if on.Prefix {
		to = &x.prefix
		x.lengths = append(x.lengths, len(on.Name))
	}
	if *to == nil {
		*to = make(map[string][]scope)
	}
	(*to)[on.Name] = append((*to)[on.Name], s)
}

func (x *index) done() {
	slices.Sort(x.lengths)
	x.lengths = slices.Compact(x.lengths)
}

func (x *index) covers(c *Client, a *Action) bool {
	return x.literal != nil && anyHolds(x.literal[a.Name], c, a) || x.prefixCovers(c, a)
}

func (x *index) prefixCovers(c *Client, a *Action) bool {
	for _, n := range x.lengths {
		if n > len(a.Name) {
			return false
		}
		if anyHolds(x.prefix[a.Name[:n]], c, a) {
			return true
		}
	}
	return false
}

// names says that it has name, or a prefix of it.
func (x *index) names(name string) bool {
	if len(x.literal[name]) > 0 {
		return true
	}
	for _, n := range x.lengths {
		if n > len(name) {
			return false
		}
		if len(x.prefix[name[:n]]) > 0 {
			return true
		}
	}
	return false
}

func anyHolds(scopes []scope, c *Client, a *Action) bool {
	for i := range scopes {
		if s := &scopes[i]; s.operations&(1<<a.Operation) != 0 && s.isFor(c, a.API) {
			return true
		}
	}
	return false
}

// scope is what a rule holds for, without its resources.
type scope struct {
	operations uint16 // bits, by code
	everybody  bool
	principals []string
	listeners  []string
	clients    []netip.Prefix
	unix       bool
	someAPIs   bool
	apis       [4]uint64 // bits, by key
}

func newScope(r *Rule) scope {
	s := scope{listeners: r.Listeners, clients: r.Clients, unix: r.Unix, someAPIs: len(r.APIs) > 0}
	for _, p := range r.Principals {
		if p == Everybody {
			s.everybody = true
		}
		s.principals = append(s.principals, p)
	}
	slices.Sort(s.principals)
	for _, o := range r.Operations {
		s.operations |= bits(o, r.Kind)
	}
	for _, key := range r.APIs {
		s.apis[key>>6] |= 1 << (key & 63)
	}
	return s
}

// bits are an operation and, for one that is allowed, what it implies (KIP-253).
func bits(o Operation, k Kind) uint16 {
	b := uint16(1) << o
	switch {
	case o == All:
		return ^uint16(0)
	case k == Deny:
	case o == Read || o == Write || o == Delete || o == Alter:
		b |= 1 << Describe
	case o == AlterConfigs:
		b |= 1 << DescribeConfigs
	}
	return b
}

// isFor reports whether a rule is for c, in a request of api.
func (s *scope) isFor(c *Client, api int16) bool {
	if !s.everybody {
		if _, found := slices.BinarySearch(s.principals, c.Principal); !found {
			return false
		}
	}
	if len(s.listeners) > 0 && !slices.Contains(s.listeners, c.Listener) {
		return false
	}
	if (len(s.clients) > 0 || s.unix) && !s.reaches(c.Address) {
		return false
	}
	return !s.someAPIs || api >= 0 && api < 256 && s.apis[api>>6]&(1<<(api&63)) != 0
}

func (s *scope) reaches(a netip.Addr) bool {
	if !a.IsValid() {
		return s.unix
	}
	for i := range s.clients {
		if s.clients[i].Contains(a) {
			return true
		}
	}
	return false
}
