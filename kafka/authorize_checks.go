package kafka

import (
	"slices"

	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// check asks about a request, and says in the screening what is to be done.
type check func(*screening)

// inOrder makes checks one after the other, until one answers the request.
func inOrder(checks ...check) check {
	return func(s *screening) {
		for _, c := range checks {
			if c(s); s.answer != nil || s.closed {
				return
			}
		}
	}
}

// cluster refuses the whole request unless one of the operations on the cluster is allowed.
func cluster(ops ...acl.Operation) check {
	return func(s *screening) {
		for _, op := range ops[:len(ops)-1] {
			if s.sees(op, acl.Cluster, acl.ClusterName) {
				return
			}
		}
		if !s.cluster(ops[len(ops)-1]) {
			s.refuse(codeClusterAuthorization)
		}
	}
}

// group refuses the whole request unless op is allowed on its group.
func group[Q kmsg.Request](op acl.Operation, name func(Q) string) check {
	return func(s *screening) {
		if !s.may(op, acl.Group, name(s.req.(Q))) {
			s.refuse(codeGroupAuthorization)
		}
	}
}

// transaction refuses the whole request unless its transactional id may be written.
func transaction[Q kmsg.Request](name func(Q) string) check {
	return func(s *screening) {
		if !s.may(acl.Write, acl.TransactionalID, name(s.req.(Q))) {
			s.refuse(codeTransactionAuthorization)
		}
	}
}

// subscriptions refuses the whole request unless each topic that it names may be described.
func subscriptions[Q kmsg.Request](names func(Q) []string) check {
	return func(s *screening) {
		for _, name := range names(s.req.(Q)) {
			if !s.may(acl.Describe, acl.Topic, name) {
				s.refuse(codeTopicAuthorization)
				return
			}
		}
	}
}

// verdict is why an element of a request is cut out; 0: it isn't.
type verdict[T any] func(*screening, *T) int16

// topicNamed is the verdict about a topic that has a name.
func topicNamed[T any](op acl.Operation, name func(*T) string) verdict[T] {
	return func(s *screening, t *T) int16 {
		if s.may(op, acl.Topic, name(t)) {
			return 0
		}
		return codeTopicAuthorization
	}
}

// topicFrom is the verdict about a topic that has an id instead from a version on.
func topicFrom[T any](version int16, op acl.Operation, name func(*T) string, id func(*T) [16]byte) verdict[T] {
	return func(s *screening, t *T) int16 {
		if s.header.Version < version {
			return topicNamed(op, name)(s, t)
		}
		return s.topicByID(op, id(t))
	}
}

// topicByID is the verdict about a topic by its id. One that has no name is not known:
// no rule could hold for it, and nothing of it is passed on.
func (s *screening) topicByID(op acl.Operation, id [16]byte) int16 {
	name := s.nameOf(id)
	switch {
	case name == "":
		return codeUnknownTopicID
	case !s.may(op, acl.Topic, name):
		return codeTopicAuthorization
	}
	return 0
}

func (s *screening) nameOf(id [16]byte) string {
	if s.topics == nil {
		return ""
	}
	return s.topics.TopicName(id)
}

func groupNamed(op acl.Operation) verdict[string] {
	return func(s *screening, name *string) int16 {
		if s.may(op, acl.Group, *name) {
			return 0
		}
		return codeGroupAuthorization
	}
}

// elements describes the elements of a request that are asked about one by one: where
// they are, and how the response speaks of one that is denied.
type elements[Q kmsg.Request, A kmsg.Response, T, R any] struct {
	of      func(Q) *[]T
	verdict verdict[T]
	in      func(A) *[]R
	denied  func(t *T, code int16) R
	// evenNone shows the handler a request that has no elements left.
	evenNone bool
}

// each cuts out the elements that are denied, and puts them into the response behind
// the others.
func each[Q kmsg.Request, A kmsg.Response, T, R any](e elements[Q, A, T, R]) check {
	return func(s *screening) {
		list := e.of(s.req.(Q))
		kept, refused := sift(s, *list, e.verdict, e.denied)
		if len(refused) == 0 {
			return
		}
		if len(kept) == 0 && !e.evenNone {
			resp := s.response().(A)
			*e.in(resp) = refused
			s.answer = resp
			return
		}
		*list, s.cut = kept, true
		then(s, func(resp A) {
			in := e.in(resp)
			*in = append(*in, refused...)
		})
	}
}

// sift separates what is let through from what is denied. kept is never nil: null may
// mean all.
func sift[T, R any](s *screening, list []T, v verdict[T], denied func(*T, int16) R) (kept []T, refused []R) {
	kept = make([]T, 0, len(list))
	for i := range list {
		if code := v(s, &list[i]); code != 0 {
			refused = append(refused, denied(&list[i], code))
			continue
		}
		kept = append(kept, list[i])
	}
	return kept, refused
}

// shown leaves out of a response what keep is false for.
func shown[A kmsg.Response, T any](in func(A) *[]T, keep func(*screening, *T) bool) check {
	return func(s *screening) {
		then(s, func(resp A) {
			list := in(resp)
			*list = slices.DeleteFunc(*list, func(t T) bool { return !keep(s, &t) })
		})
	}
}

// operations are the bits of those that the client may do (AuthHelper.authorizedOperations).
func (s *screening) operations(on acl.ResourceType, name string) (bits int32) {
	for _, op := range on.Operations() {
		if on == acl.Cluster && op == acl.Delete {
			continue // ours, not Kafka's
		}
		a := acl.Action{API: acl.APINone, Operation: op, Resource: on, Name: name}
		if s.seen.Allowed(s.client, a) {
			bits |= 1 << op
		}
	}
	return bits
}

// clusterOperations are those of the cluster, 0 for who may not describe it.
func (s *screening) clusterOperations() int32 {
	if !s.cluster(acl.Describe) {
		return 0
	}
	return s.operations(acl.Cluster, acl.ClusterName)
}
