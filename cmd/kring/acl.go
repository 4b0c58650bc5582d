package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/acl"
	"kring/kafka"
)

// aclFlags are who may do what.
type aclFlags struct {
	ACL        string `group:"security" name:"acl" placeholder:"FILE" help:"A file with rules: who may do what, one rule on a line, such as allow User:alice read,write topic:orders-*. What no rule allows is denied. docs/acl.md explains them; kring acl check FILE checks them. SIGHUP rereads the file, and so does a change of it: it is taken as a whole, or refused with every fault in the log, and then the rules stay as they were. Default: everybody may do everything."`
	SuperUsers string `group:"security" placeholder:"PRINCIPAL;…" help:"Principals that may do everything, whatever the rules say [super.users], such as User:admin;User:CN=ops,O=Example. For the clients of one listener: --listener NAME.super-users=. Needs --acl."`
	ACLOpen    bool   `group:"security" name:"acl-open" help:"Everybody may do everything with what no rule of --acl is about: no topic, group or other resource of that name, for nobody [allow.everyone.if.no.acl.found]. Default: only super users may."`
}

const superUsersSetting = "super-users"

func init() { programSettings[superUsersSetting] = arePrincipals }

// arePrincipals checks the value of superUsersSetting.
func arePrincipals(value string) error {
	_, err := acl.ParsePrincipals(value)
	return err
}

// validateACL checks the flags of the rules, and the file as it is now.
func (c *serveCmd) validateACL() (faults []error) {
	if c.Rules.SuperUsers != "" && c.Rules.ACL == "" {
		faults = append(faults, errors.New("--super-users: without --acl everybody may do everything; give --acl, or leave it out"))
	}
	for _, l := range c.listeners() {
		if _, set := c.ownSetting(l.Name, superUsersSetting); set && c.Rules.ACL == "" {
			faults = append(faults, fmt.Errorf("--listener %s.%s: without --acl everybody may do everything; give --acl, or leave it out", l.Name, superUsersSetting))
		}
	}
	if c.Rules.ACL == "" {
		return faults
	}
	if c.Handler == handlerEcho {
		return append(faults, errors.New("--acl: rules are for Kafka's requests, and --handler echo has none; leave one of the two out"))
	}
	if _, err := c.authorizer(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// authorizer has the rules of --acl; nil without it.
func (c *serveCmd) authorizer() (*acl.File, error) {
	if c.Rules.ACL == "" {
		return nil, nil
	}
	supers, err := c.superUsers()
	if err != nil {
		return nil, err
	}
	f, err := acl.Load(c.Rules.ACL, supers...)
	if err == nil {
		err = c.listenersOf(f.Rules())
	}
	if err != nil {
		return nil, fmt.Errorf("--acl %w", err)
	}
	return f, nil
}

// superUsers are rules for --super-users and its setting of single listeners, and for --acl-open.
func (c *serveCmd) superUsers() (rules []acl.Rule, err error) {
	all, err := acl.ParsePrincipals(c.Rules.SuperUsers)
	if err != nil {
		return nil, fmt.Errorf("--super-users: %w", err)
	}
	if len(all) > 0 {
		rules = append(rules, acl.Rule{Kind: acl.Super, Principals: all})
	}
	if c.Rules.ACLOpen {
		rules = append(rules, acl.Rule{Kind: acl.Open})
	}
	for _, l := range c.listeners() {
		if value, set := c.ownSetting(l.Name, superUsersSetting); set {
			if own, _ := acl.ParsePrincipals(value); len(own) > 0 { // checked by UnmarshalText
				rules = append(rules, acl.Rule{Kind: acl.Super, Principals: own, Listeners: []string{l.Name}})
			}
		}
	}
	return rules, nil
}

// listenersOf finds rules for listeners that there are none of: a deny for one would deny
// nothing.
func (c *serveCmd) listenersOf(rules *acl.Rules) (err error) {
	var names []string
	for _, l := range c.listeners() {
		names = append(names, l.Name)
	}
	for _, r := range rules.List() {
		for _, name := range r.Listeners {
			if !slices.Contains(names, name) {
				err = errors.Join(err, fmt.Errorf("%s:%d: %q is no listener; those of --listen are %s", c.Rules.ACL, r.Line, name, strings.Join(names, ", ")))
			}
		}
	}
	return err
}

// rereadACL has the rules of --acl be read again, with the super users and for the listeners
// that settings has. They are in *of when it starts.
func rereadACL(of **acl.File, settings func() *serveCmd) reloadable {
	return reloadable{
		again: "the rules of --acl were read again", kept: "the rules of --acl stay as they were",
		says:    func() []any { return []any{"file", (*of).Path(), "rules", len((*of).List())} },
		watched: []string{settings().Rules.ACL},
		prepare: func() (func() error, error) {
			next, err := settings().authorizer()
			if err != nil {
				return nil, err
			}
			return func() error { (*of).Take(next.Rules()); return nil }, nil
		},
	}
}

// denials logs what clients are denied: one line at once, then at most one in each
// denialsEvery, with how many there were. The log does not wait for its reader.
type denials struct {
	log *slog.Logger

	mu     sync.Mutex
	unsaid int       // guarded by mu
	next   time.Time // guarded by mu; no line before it
}

const denialsEvery = 10 * time.Second

func (d *denials) add(c *kring.Conn, h kafka.Header, a acl.Action) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unsaid++; now.Before(d.next) {
		return
	}
	d.log.Info("a client is denied what no rule allows",
		"principal", c.Principal(), "listener", c.Listener, "client", c.Remote.String(), "api", kmsg.NameForKey(h.Key),
		"operation", a.Operation.String(), "resource", acl.Resource{Type: a.Resource, Name: a.Name}.String(), "denied_since_last_line", d.unsaid)
	d.unsaid, d.next = 0, now.Add(denialsEvery)
}

// aclCmd is `kring acl`.
type aclCmd struct {
	Check aclCheckCmd `cmd:"" help:"Check a file of rules."`
	Test  aclTestCmd  `cmd:"" help:"Say whether rules allow something. Exit status 0: allowed, 1: denied."`
}

// aclCheckCmd is `kring acl check`.
type aclCheckCmd struct {
	File string `arg:"" help:"The file of --acl."`
}

// Run says what is wrong with the rules, or what they are.
func (c *aclCheckCmd) Run(p process) error {
	f, err := acl.Load(c.File)
	if err != nil {
		return faultsError{err}
	}
	for _, r := range f.List() {
		fmt.Fprintf(p.stdout, "%d: %s\n", r.Line, r)
	}
	_, err = fmt.Fprintf(p.stdout, "%s: fine, with %d rules\n", c.File, len(f.List()))
	return err
}

// aclTestCmd is `kring acl test`.
type aclTestCmd struct {
	File      string `arg:"" help:"The file of --acl."`
	Principal string `required:"" placeholder:"TYPE:NAME" help:"Who asks, such as User:alice."`
	Operation string `required:"" placeholder:"NAME" help:"What it wants to do, such as read."`
	Resource  string `required:"" placeholder:"TYPE:NAME" help:"What with, such as topic:orders or cluster."`
	Listener  string `placeholder:"NAME" help:"The listener that it comes by. Default: ${default}." default:"PLAINTEXT"`
	Address   string `placeholder:"IP" help:"The address that it comes from. Default: none, as by a Unix domain socket."`
	API       string `name:"api" placeholder:"NAME" help:"The API that it uses, such as Produce. Default: none, for which rules with using do not hold."`
}

// Run prints allowed or denied.
func (c *aclTestCmd) Run(p process) error {
	f, err := acl.Load(c.File)
	if err != nil {
		return faultsError{err}
	}
	// One rule in the words of the file says what is asked about, with the file's errors.
	question := fmt.Sprintf("allow %q %s %s", c.Principal, c.Operation, c.Resource)
	if c.API != "" {
		question += " using " + c.API
	}
	asked, err := acl.Parse("acl test", strings.NewReader(question))
	if err != nil {
		return usageError{err}
	}
	who := acl.Client{Principal: c.Principal, Listener: c.Listener}
	if c.Address != "" {
		if who.Address, err = netip.ParseAddr(c.Address); err != nil {
			return usageError{fmt.Errorf("--address %q: give an IP address", c.Address)}
		}
	}
	a := acl.Action{API: acl.APINone, Operation: asked[0].Operations[0], Resource: asked[0].Resources[0].Type, Name: asked[0].Resources[0].Name}
	if len(asked[0].APIs) > 0 {
		a.API = asked[0].APIs[0]
	}
	if !f.Allowed(who, a) {
		fmt.Fprintln(p.stdout, "denied")
		return statusError(exitFailure)
	}
	_, err = fmt.Fprintln(p.stdout, "allowed")
	return err
}
