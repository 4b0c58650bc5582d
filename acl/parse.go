package acl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FileBytesMax is how large a rules file may be.
const FileBytesMax = 8 << 20

// faultsMax is how many faults of a file are named.
const faultsMax = 20

// Parse reads rules, one a line:
//
//	allow|deny PRINCIPAL,… OPERATION,… RESOURCE,… [on LISTENER,…] [from ADDRESS,…] [using API,…]
//	super PRINCIPAL,… [on …] [from …] [using …]
//
// docs/acl.md explains them. name is the file's, for the errors: each names the file,
// the line, the word that is wrong, and what to write instead. All faults are reported,
// up to 20.
func Parse(name string, text io.Reader) ([]Rule, error) {
	b, err := io.ReadAll(io.LimitReader(text, FileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > FileBytesMax {
		return nil, fmt.Errorf("%s: it has more than %d bytes; use prefixes, such as topic:orders-*, instead of so many names", name, FileBytesMax)
	}
	var rules []Rule
	var faults []error
	number := 0
	for line := range bytes.Lines(b) {
		number++
		rule, err := parseRule(string(bytes.TrimRight(line, "\r\n")))
		switch {
		case err != nil && len(faults) == faultsMax:
			return nil, errors.Join(append(faults, fmt.Errorf("%s:%d: there are more faults", name, number))...)
		case err != nil:
			faults = append(faults, fmt.Errorf("%s:%d: %w", name, number, err))
		case rule != nil:
			rule.Line = number
			rules = append(rules, *rule)
		}
	}
	return rules, errors.Join(faults...)
}

// parseRule reads one line; nil if there is no rule on it.
func parseRule(line string) (*Rule, error) {
	words, err := split(line)
	if err != nil || len(words) == 0 {
		return nil, err
	}
	p := parser{words: words}
	r := &Rule{}
	switch verb := p.next(); strings.ToLower(verb.text) {
	case "allow":
	case "deny":
		r.Kind = Deny
	case "super":
		r.Kind = Super
	default:
		return nil, fmt.Errorf("%q begins no rule; begin it with allow, deny or super%s", verb.text, nearest(verb.text, "allow", "deny", "super"))
	}
	if err := list(&p, "a principal, such as User:alice or User:*", &r.Principals, principal); err != nil {
		return nil, err
	}
	if r.Kind != Super {
		if err := list(&p, "an operation, such as read", &r.Operations, operation); err != nil {
			return nil, err
		}
		if err := list(&p, "a resource, such as topic:orders-*", &r.Resources, resource); err != nil {
			return nil, err
		}
		if err := fits(r); err != nil {
			return nil, err
		}
	}
	return r, bounds(&p, r)
}

// bounds reads what may follow a rule: on, from, using.
func bounds(p *parser, r *Rule) error {
	seen := map[string]bool{}
	for len(p.words) > 0 {
		w := p.next()
		if w.comma {
			return errors.New(`"," has nothing before it; remove it`)
		}
		key := strings.ToLower(w.text)
		if seen[key] {
			return fmt.Errorf("%q stands twice; write one list, separated by commas", w.text)
		}
		seen[key] = true
		var err error
		switch key {
		case "on":
			err = list(p, "the name of a listener, such as SASL_SSL", &r.Listeners, plain("the name of a listener"))
		case "from":
			err = list(p, "an address, such as 10.0.0.0/8", &r.Clients, r.client)
			r.Clients = withoutZero(r.Clients)
		case "using":
			err = list(p, "an API, such as Produce", &r.APIs, api)
		default:
			return fmt.Errorf("%q is not expected here; a rule goes on with on LISTENER, from ADDRESS or using API%s (separate the words of a list by commas)",
				w.text, nearest(w.text, "on", "from", "using"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fits finds operations and resources that have nothing to do with each other.
func fits(r *Rule) error {
	meant := func(o Operation, t ResourceType) bool {
		for _, has := range t.Operations() {
			if o == All || o == has {
				return true
			}
		}
		return false
	}
	for _, o := range r.Operations {
		any := false
		for _, on := range r.Resources {
			any = any || meant(o, on.Type)
		}
		if on := r.Resources[0].Type; !any {
			return fmt.Errorf("%q means nothing for a %s, which has %s", o, on, operationList(on.Operations()))
		}
	}
	for _, on := range r.Resources {
		any := false
		for _, o := range r.Operations {
			any = any || meant(o, on.Type)
		}
		if !any {
			return fmt.Errorf("none of these operations means anything for a %s, which has %s", on.Type, operationList(on.Type.Operations()))
		}
	}
	return nil
}

func operationList(all []Operation) string {
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.String()
	}
	return strings.Join(names, ", ")
}

func principal(w word) (string, error) {
	kind, name, ok := strings.Cut(w.text, ":")
	switch {
	case !ok || kind == "" || name == "":
		return "", fmt.Errorf("%q is no principal; give type and name, such as User:%s", w.text, strings.Trim(w.text, ":"))
	case w.star && w.text != Everybody:
		return "", fmt.Errorf("%q: a principal is one or everybody (User:*); list them, or put the name in quotes if the * is part of it", w.text)
	}
	return w.text, nil
}

func operation(w word) (Operation, error) {
	o, ok := ParseOperation(w.text)
	if !ok {
		known := operationNames[All:]
		return 0, fmt.Errorf("%q is no operation; give one of %s%s", w.text, strings.Join(known, ", "), nearest(w.text, known...))
	}
	return o, nil
}

func resource(w word) (r Resource, err error) {
	kind, name, named := strings.Cut(w.text, ":")
	t, ok := ParseResourceType(kind)
	switch {
	case strings.EqualFold(kind, "txn"):
		t, ok = TransactionalID, true
	case !ok:
		return r, fmt.Errorf("%q is no resource; give topic:NAME, group:NAME, transactional-id:NAME or cluster%s", w.text, nearest(kind, resourceNames[Topic:]...))
	}
	if t == Cluster {
		if named && name != ClusterName && !(name == "*" && w.star) {
			return r, fmt.Errorf("%q: there is one cluster, and its name is %s; give cluster", w.text, ClusterName)
		}
		return Resource{Type: Cluster, Name: ClusterName}, nil
	}
	if name == "" {
		return r, fmt.Errorf("%q: the name is missing; give %s:NAME, %s:PREFIX* or %s:*", w.text, t, t, t)
	}
	if w.star {
		return Resource{Type: t, Name: name[:len(name)-1], Prefix: true}, nil
	}
	return Resource{Type: t, Name: name}, nil
}

func plain(what string) func(w word) (string, error) {
	return func(w word) (string, error) {
		if w.star || w.text == "" {
			return "", fmt.Errorf("%q is not %s; leave the list out to mean all", w.text, what)
		}
		return w.text, nil
	}
}

// client reads an address, a network, or the word unix.
func (r *Rule) client(w word) (netip.Prefix, error) {
	if strings.EqualFold(w.text, "unix") {
		r.Unix = true
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(w.text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(w.text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is no address; give an address, a network such as 10.0.0.0/8, or unix for Unix domain sockets", w.text)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("%q has bits set behind the prefix; give %s", w.text, p.Masked())
	}
	return p, nil
}

func withoutZero(all []netip.Prefix) (rest []netip.Prefix) {
	for _, p := range all {
		if p.IsValid() {
			rest = append(rest, p)
		}
	}
	return rest
}

// apiNames are the names of the APIs, by key.
var apiNames = func() (names []string) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		names = append(names, kmsg.NameForKey(key))
	}
	return names
}()

func api(w word) (int16, error) {
	if n, err := strconv.ParseInt(w.text, 10, 16); err == nil && n >= 0 && int(n) < len(apiNames) {
		return int16(n), nil
	}
	for key, name := range apiNames {
		if strings.EqualFold(name, w.text) && kmsg.RequestForKey(int16(key)) != nil {
			return int16(key), nil
		}
	}
	return 0, fmt.Errorf("%q is no API; give a name such as Produce, or a key such as 0%s", w.text, nearest(w.text, apiNames...))
}
