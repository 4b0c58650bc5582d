package embedded

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/quota"
)

// kfake keeps the quotas that clients ask for and describes them, over a restart
// too, but measures nobody. They are handed to our own quotas, and what those
// can't do is refused.

// quotaKinds is what may be limited, by Kafka's names.
var quotaKinds = map[string]quota.Kind{
	"producer_byte_rate": quota.BytesIn,
	"consumer_byte_rate": quota.BytesOut,
	"request_percentage": quota.HandlerTime,
}

// quotaNotDone is what Apache Kafka limits besides.
var quotaNotDone = map[string]string{
	"controller_mutation_rate": "changes of topics are not measured",
	"connection_creation_rate": "start kring with --ip-limit",
}

// clientQuotasMax is how many entities may have quotas.
const clientQuotasMax = 10_000

// clientQuotas is the quotas that clients have asked for.
type clientQuotas struct {
	// alter is held from the change of kfake's to that of ours.
	alter sync.Mutex
	to    *quota.Quotas
}

// load hands our quotas what kfake keeps. entities are those that have some.
func (q *clientQuotas) load(ask asker) (entities map[quota.Entity]bool, err error) {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Version = 1
	resp, err := ask(req)
	if err != nil {
		return nil, err
	}
	entities = make(map[quota.Entity]bool)
	var limits []quota.Limit
	for _, e := range resp.(*kmsg.DescribeClientQuotasResponse).Entries {
		var whom quota.Entity
		for _, part := range e.Entity {
			setPart(&whom, part.Type, part.Name)
		}
		entities[whom] = true
		for _, v := range e.Values {
			if kind, is := quotaKinds[v.Key]; is && whom.IP == "" && whom != (quota.Entity{}) {
				limits = append(limits, quota.Limit{Entity: whom, Kind: kind, PerSecond: v.Value})
			}
		}
	}
	return entities, q.to.SetByClients(limits)
}

// dropNotDone takes away what an older version of kring had kfake keep though
// nobody enforces it, and says so to log.
func (q *clientQuotas) dropNotDone(ask asker, log *slog.Logger) error {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Version = 1
	resp, err := ask(req)
	if err != nil {
		return err
	}
	for _, kept := range resp.(*kmsg.DescribeClientQuotasResponse).Entries {
		e := kmsg.NewAlterClientQuotasRequestEntry()
		for _, part := range kept.Entity {
			named := kmsg.NewAlterClientQuotasRequestEntryEntity()
			named.Type, named.Name = part.Type, part.Name
			e.Entity = append(e.Entity, named)
		}
		for _, v := range kept.Values {
			instead, notDone := quotaNotDone[v.Key]
			if !notDone {
				continue
			}
			op := kmsg.NewAlterClientQuotasRequestEntryOp()
			op.Key, op.Remove = v.Key, true
			e.Ops = append(e.Ops, op)
			log.Warn("embedded: a quota is dropped", "quota", v.Key, "why", instead)
		}
		if len(e.Ops) == 0 {
			continue
		}
		if fault := q.keep(ask, e); fault != nil {
			return fault
		}
	}
	return nil
}

// setPart names a part of an entity; a nil name is everybody's default.
func setPart(e *quota.Entity, kind string, name *string) {
	value := quota.Default
	if name != nil {
		value = *name
	}
	switch kind {
	case "user":
		e.User = value
	case "client-id":
		e.ClientID = value
	case "ip":
		e.IP = value
	}
}

// alterClientQuotas shows kfake the quotas that can be enforced, and enforces
// what it keeps of them.
func alterClientQuotas(x *exchange, req *kmsg.AlterClientQuotasRequest) kmsg.Response {
	q := &x.cluster().clientQuotas
	q.alter.Lock()
	defer q.alter.Unlock()
	resp := x.response().(*kmsg.AlterClientQuotasResponse)
	entities, err := q.load(x.ask)
	for i := range req.Entries {
		e := &req.Entries[i]
		fault := quotaFault(e)
		var whom quota.Entity
		for _, part := range e.Entity {
			setPart(&whom, part.Type, part.Name)
		}
		switch {
		case fault != nil:
		case err != nil:
			fault = refuse(kerr.UnknownServerError.Code, "")
		case len(entities) >= clientQuotasMax && !entities[whom] && slices.ContainsFunc(e.Ops, sets):
			fault = refuse(kerr.PolicyViolation.Code, fmt.Sprintf("%d entities have quotas; at most %d may.", len(entities), clientQuotasMax))
		case !req.ValidateOnly:
			if fault = q.keep(x.ask, *e); fault == nil && slices.ContainsFunc(e.Ops, sets) {
				entities[whom] = true
			}
		}
		answer := kmsg.NewAlterClientQuotasResponseEntry()
		answer.ErrorCode, answer.ErrorMessage = fault.answer()
		for _, part := range e.Entity {
			named := kmsg.NewAlterClientQuotasResponseEntryEntity()
			named.Type, named.Name = part.Type, part.Name
			answer.Entity = append(answer.Entity, named)
		}
		resp.Entries = append(resp.Entries, answer)
	}
	if _, err := q.load(x.ask); err != nil {
		x.cluster().log.Error("embedded: quotas that clients asked for do not hold", "error", err)
	}
	return resp
}

func sets(op kmsg.AlterClientQuotasRequestEntryOp) bool { return !op.Remove }

// keep has kfake keep one entity's quotas.
func (q *clientQuotas) keep(ask asker, e kmsg.AlterClientQuotasRequestEntry) *refusal {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Version, req.Entries = 1, []kmsg.AlterClientQuotasRequestEntry{e}
	resp, err := ask(req)
	if err != nil {
		return refused(err)
	}
	for _, done := range resp.(*kmsg.AlterClientQuotasResponse).Entries {
		if done.ErrorCode != 0 {
			return refuse(done.ErrorCode, "")
		}
	}
	return nil
}

// quotaFault says what is wrong with the quotas that are asked for, in the words
// of Apache Kafka (ClientQuotaControlManager).
func quotaFault(e *kmsg.AlterClientQuotasRequestEntry) *refusal {
	invalid := func(format string, args ...any) *refusal {
		return refuse(kerr.InvalidRequest.Code, fmt.Sprintf(format, args...))
	}
	if len(e.Entity) == 0 {
		return invalid("Invalid empty client quota entity")
	}
	var kinds []string
	for _, part := range e.Entity {
		switch {
		case part.Type != "user" && part.Type != "client-id" && part.Type != "ip":
			return invalid("Unhandled client quota entity type: %s", part.Type)
		case slices.Contains(kinds, part.Type):
			return invalid("Entity type %s is named twice", part.Type)
		case part.Name != nil && *part.Name == "":
			return invalid("Empty %s not supported", part.Type)
		case part.Name != nil && (*part.Name == quota.Default || *part.Name == "<default>"):
			return invalid("%s can't be named %q: it stands for everybody else", part.Type, *part.Name)
		}
		kinds = append(kinds, part.Type)
	}
	if slices.Contains(kinds, "ip") && len(kinds) > 1 {
		return invalid("Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId")
	}
	return quotaOpsFault(e, kinds[0] == "ip", invalid)
}

func quotaOpsFault(e *kmsg.AlterClientQuotasRequestEntry, ofIP bool, invalid func(string, ...any) *refusal) *refusal {
	named := make(map[string]bool, len(e.Ops))
	for _, op := range e.Ops {
		if named[op.Key] {
			return invalid("Quota %s is named twice", op.Key)
		}
		named[op.Key] = true
		_, known := quotaKinds[op.Key]
		instead, notDone := quotaNotDone[op.Key]
		switch {
		case op.Remove:
		case notDone && ofIP == (op.Key == "connection_creation_rate"):
			return invalid("Quota %s is not enforced by the embedded cluster: %s", op.Key, instead)
		case !known || ofIP:
			return invalid("Invalid configuration key %s", op.Key)
		case !(op.Value > 0) || math.IsInf(op.Value, 0):
			return invalid("Quota %s must be greater than 0", op.Key)
		case op.Key != "request_percentage" && op.Value != math.Trunc(op.Value):
			return invalid("%s cannot be a fractional value.", op.Key)
		}
	}
	return nil
}

// validateDescribeQuotas refuses filters that nothing can pass, for which kfake finds
// nothing, and answers with a list where there is nothing: Java's admin client
// fails on null.
func validateDescribeQuotas(x *exchange, req *kmsg.DescribeClientQuotasRequest) kmsg.Response {
	var fault *refusal
	seen := make(map[string]bool)
	for _, c := range req.Components {
		switch {
		case c.EntityType != "user" && c.EntityType != "client-id" && c.EntityType != "ip":
			fault = refuse(kerr.UnsupportedVersion.Code, "Custom entity type "+c.EntityType+" not supported")
		case seen[c.EntityType]:
			fault = refuse(kerr.InvalidRequest.Code, "Duplicate "+c.EntityType+" filter component entity type")
		case c.MatchType < 0 || c.MatchType > quotaMatchAny:
			fault = refuse(kerr.InvalidRequest.Code, fmt.Sprintf("Unexpected match type: %d", c.MatchType))
		}
		seen[c.EntityType] = true
	}
	if seen["ip"] && (seen["user"] || seen["client-id"]) {
		fault = refuse(kerr.InvalidRequest.Code, "Invalid entity filter component combination, IP filter component should not be "+
			"used with user or clientId filter component.")
	}
	if fault == nil {
		anyOf(x, req)
		then(x, func(resp *kmsg.DescribeClientQuotasResponse) {
			if resp.Entries == nil {
				resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
			}
		})
		return nil
	}
	resp := x.response().(*kmsg.DescribeClientQuotasResponse)
	resp.ErrorCode, resp.ErrorMessage = fault.answer()
	return resp
}

// quotaMatchAny is how a filter matches a name and the default as well. It is the
// last of the ways: exactly, the default, any.
const quotaMatchAny = 2

// anyOf finds the entities of which a filter wants any of a kind: kfake leaves
// out the defaults.
func anyOf(x *exchange, req *kmsg.DescribeClientQuotasRequest) {
	kinds, named := make(map[string]bool), make(map[string]bool)
	exact := req.Components[:0:0]
	for _, c := range req.Components {
		named[c.EntityType] = true
		if c.MatchType == quotaMatchAny {
			kinds[c.EntityType] = true
		} else {
			exact = append(exact, c)
		}
	}
	if len(kinds) == 0 {
		return
	}
	strict := req.Strict
	req.Components, req.Strict, x.changed = exact, false, true
	then(x, func(resp *kmsg.DescribeClientQuotasResponse) {
		resp.Entries = slices.DeleteFunc(resp.Entries, func(e kmsg.DescribeClientQuotasResponseEntry) bool {
			found, others := 0, false
			for _, part := range e.Entity {
				if kinds[part.Type] {
					found++
				}
				others = others || !named[part.Type]
			}
			return found < len(kinds) || strict && others
		})
	})
}
