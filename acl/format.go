package acl

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// String is the rule as Parse reads it.
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString(r.Kind.String())
	write(&b, " ", r.Principals, principalText)
	write(&b, " ", r.Operations, Operation.String)
	write(&b, " ", r.Resources, Resource.String)
	write(&b, " on ", r.Listeners, quote)
	var from []string
	for _, p := range r.Clients {
		from = append(from, p.String())
	}
	if r.Unix {
		from = append(from, "unix")
	}
	write(&b, " from ", from, func(s string) string { return s })
	write(&b, " using ", r.APIs, kmsg.NameForKey)
	return b.String()
}

// String is the resource as Parse reads it.
func (r Resource) String() string {
	switch {
	case r.Type == Cluster:
		return r.Type.String()
	case r.Prefix && r.Name == "":
		return r.Type.String() + ":*"
	case r.Prefix:
		return r.Type.String() + ":" + quote(r.Name) + "*"
	}
	return r.Type.String() + ":" + quote(r.Name)
}

func principalText(p string) string {
	if p == Everybody {
		return p
	}
	return quote(p)
}

// quote puts a word in quotes if it has anything that means something else without.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t,\"*#\\") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func write[T any](b *strings.Builder, before string, list []T, text func(T) string) {
	for i, v := range list {
		if i > 0 {
			before = ","
		}
		b.WriteString(before)
		b.WriteString(text(v))
	}
}
