package kafka

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"kring"
	"kring/internal/fairqueue"
	"kring/reqchan"
	"kring/sasl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	keyDescribeSCRAM = 50
	keyAlterSCRAM    = 51
)

// SCRAMUsers are users whom clients may describe and change; *sasl.Users are. Any goroutine
// may use it.
type SCRAMUsers interface {
	// List is what there is now; nobody changes it.
	List() *sasl.UserList
	// Edit changes what there is, so that it is there after a restart; with an error nothing
	// is changed. It may wait for a disk.
	Edit(func(*sasl.UserList) error) error
}

const (
	// userChangesMax bounds how many requests to change users wait.
	userChangesMax = 256
	// usersChangedMax bounds what one of them changes: the others wait for it, and readers of
	// the file.
	usersChangedMax = 1000
)

// mechanismsOf are SCRAM's, by their numbers in the protocol, which begin with 1.
var mechanismsOf = []string{sasl.SCRAMSHA256, sasl.SCRAMSHA512}

// serveUsers answers requests about SCRAM users. It says whether r is one.
func (d *Filter) serveUsers(r APIRequest) bool {
	if r.Header.Key != keyDescribeSCRAM && r.Header.Key != keyAlterSCRAM {
		return false
	}
	if d.AuthorizeLater { // it does not come to who would call this
		passed := false
		if r, passed = d.Authorize(r); !passed {
			return true
		}
	}
	req, err := r.Decode()
	if err != nil {
		r.CloseConnection(reqchan.BodyMalformed)
		return true
	}
	switch req := req.(type) {
	case *kmsg.DescribeUserSCRAMCredentialsRequest:
		r.Respond(describeUsers(d.SCRAMUsers.List(), req))
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		if n := len(req.Deletions) + len(req.Upsertions); n > usersChangedMax {
			r.Respond(new(alteration).refuse(req, codePolicyViolation, fmt.Sprintf("one request may name %d, and this one names %d: ask in parts", usersChangedMax, n)))
			return true
		}
		refuse := func() {
			r.Respond(new(alteration).refuse(req, codeRequestTimedOut, "too many changes of users are waiting; try again"))
		}
		change := work{
			run:    func() { r.Respond(alterUsers(d.SCRAMUsers, req)) },
			drop:   refuse,
			failed: func() { r.CloseConnection(reqchan.HandlerPanicked) }, // the embedder's SCRAMUsers has
		}
		if !d.usersLine.start(fairqueue.KeyOf(addrOf(r.Raw)), change) {
			refuse()
		}
	}
	return true
}

// addrOf is the address of a request's client; none for one that was made by hand.
func addrOf(r kring.Request) netip.Addr {
	if c := r.Conn(); c != nil {
		return c.ClientAddr()
	}
	return netip.Addr{}
}

// describeUsers says which SCRAM credentials users have; nobody named means all (ScramImage).
func describeUsers(users *sasl.UserList, req *kmsg.DescribeUserSCRAMCredentialsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	var names []string
	times := map[string]int{}
	for _, u := range req.Users {
		if times[u.Name]++; times[u.Name] == 1 {
			names = append(names, u.Name)
		}
	}
	if len(req.Users) == 0 {
		for _, u := range users.All() {
			if len(u.SCRAM) > 0 {
				names = append(names, u.Name)
			}
		}
	}
	for _, name := range names {
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.User, r.CredentialInfos = name, []kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo{}
		user := users.Find(name)
		switch {
		case times[name] > 1:
			r.ErrorCode = codeDuplicateResource
			r.ErrorMessage = kmsg.StringPtr("Cannot describe SCRAM credentials for the same user twice in a single request: " + name)
		case user == nil || len(user.SCRAM) == 0:
			r.ErrorCode = codeResourceNotFound
			r.ErrorMessage = kmsg.StringPtr("Attempt to describe a user credential that does not exist: " + name)
		default:
			for i, m := range mechanismsOf {
				if c, ok := user.SCRAM[m]; ok {
					info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
					info.Mechanism, info.Iterations = int8(i+1), int32(c.Iterations)
					r.CredentialInfos = append(r.CredentialInfos, info)
				}
			}
		}
		resp.Results = append(resp.Results, r)
	}
	return resp
}

// alteration is what one request changes: of each user one credential, or an error
// (ScramControlManager).
type alteration struct {
	names  []string        // in the order of the request
	known  map[string]bool // those of names
	faults map[string]userFault
	remove map[string]string // user to mechanism
	set    map[string]newCredential
}

type userFault struct {
	code int16
	text string
}

type newCredential struct {
	mechanism string
	sasl.SCRAMCredential
}

// alterUsers makes the changes that can be made, all at once, and says of each what became
// of it.
func alterUsers(users SCRAMUsers, req *kmsg.AlterUserSCRAMCredentialsRequest) kmsg.Response {
	var a *alteration
	err := users.Edit(func(list *sasl.UserList) error {
		a = newAlteration(list, req) // of what is in the file at this moment
		if len(a.remove)+len(a.set) == 0 {
			return errNothingToDo
		}
		return a.apply(list)
	})
	switch {
	case a == nil || err != nil && !errors.Is(err, errNothingToDo):
		return new(alteration).refuse(req, codeStorageError, "the users could not be kept, and are as they were")
	}
	return a.answer(req)
}

var errNothingToDo = errors.New("kafka: nothing of it can be changed")

func newAlteration(list *sasl.UserList, req *kmsg.AlterUserSCRAMCredentialsRequest) *alteration {
	a := &alteration{known: map[string]bool{}, faults: map[string]userFault{}, remove: map[string]string{}, set: map[string]newCredential{}}
	for _, d := range req.Deletions {
		if m, ok := a.begin(d.Name, d.Mechanism); ok {
			user := list.Find(d.Name)
			if user == nil || !hasSCRAM(user, m) {
				a.faults[d.Name] = userFault{codeResourceNotFound, "Attempt to delete a user credential that does not exist"}
				continue
			}
			a.remove[d.Name] = m
		}
	}
	for _, u := range req.Upsertions {
		if m, ok := a.begin(u.Name, u.Mechanism); ok {
			a.upsert(m, u)
		}
	}
	return a
}

func hasSCRAM(u *sasl.User, mechanism string) bool {
	_, ok := u.SCRAM[mechanism]
	return ok
}

// begin looks at a user's name and mechanism, and whether the request has changed the user
// before. false: there is an error.
func (a *alteration) begin(name string, mechanism int8) (string, bool) {
	if !a.known[name] {
		a.known[name] = true
		a.names = append(a.names, name)
	}
	if _, failed := a.faults[name]; failed {
		return "", false
	}
	_, removed := a.remove[name]
	_, set := a.set[name]
	switch {
	case removed || set:
		delete(a.remove, name)
		delete(a.set, name)
		a.faults[name] = userFault{codeDuplicateResource, "A user credential cannot be altered twice in the same request"}
	case name == "":
		a.faults[name] = userFault{codeUnacceptableCredential, "Username must not be empty"}
	case mechanism < 1 || int(mechanism) > len(mechanismsOf):
		a.faults[name] = userFault{codeUnsupportedSASLMechanism, "Unknown SCRAM mechanism"}
	default:
		return mechanismsOf[mechanism-1], true
	}
	return "", false
}

func (a *alteration) upsert(mechanism string, u kmsg.AlterUserSCRAMCredentialsRequestUpsertion) {
	switch {
	case u.Iterations < sasl.SCRAMIterationsMin:
		a.faults[u.Name] = userFault{codeUnacceptableCredential, "Too few iterations"}
		return
	case u.Iterations > sasl.SCRAMIterationsMax:
		a.faults[u.Name] = userFault{codeUnacceptableCredential, "Too many iterations"}
		return
	}
	salt := slices.Clone(u.Salt) // it lies in the request
	defer clear(u.SaltedPassword)
	c, err := sasl.SCRAMCredentialOf(mechanism, u.SaltedPassword, salt, int(u.Iterations))
	if err != nil {
		a.faults[u.Name] = userFault{codeUnacceptableCredential, "The salt must have 1 to 128 bytes"}
		return
	}
	a.set[u.Name] = newCredential{mechanism, c}
}

// apply changes the list. A user whose last credential goes, goes with it.
func (a *alteration) apply(list *sasl.UserList) error {
	for name, mechanism := range a.remove {
		user := list.Find(name)
		delete(user.SCRAM, mechanism)
		if len(user.Mechanisms()) == 0 {
			list.Remove(name)
		}
	}
	for name, c := range a.set {
		user, err := list.Add(name)
		if err != nil { // the name can't be one, or there are too many
			a.faults[name] = userFault{codeUnacceptableCredential, err.Error()}
			continue
		}
		user.SetSCRAM(c.mechanism, c.SCRAMCredential)
	}
	return nil
}

func (a *alteration) answer(req *kmsg.AlterUserSCRAMCredentialsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	for _, name := range a.names {
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		r.User = name
		if f, failed := a.faults[name]; failed {
			r.ErrorCode, r.ErrorMessage = f.code, kmsg.StringPtr(f.text)
		}
		resp.Results = append(resp.Results, r)
	}
	return resp
}

// refuse answers that nothing of it was done.
func (a *alteration) refuse(req *kmsg.AlterUserSCRAMCredentialsRequest, code int16, why string) kmsg.Response {
	a.faults = map[string]userFault{}
	note := func(name string) {
		if _, known := a.faults[name]; !known {
			a.names, a.faults[name] = append(a.names, name), userFault{code, why}
		}
	}
	for _, d := range req.Deletions {
		note(d.Name)
	}
	for _, u := range req.Upsertions {
		note(u.Name)
	}
	return a.answer(req)
}
