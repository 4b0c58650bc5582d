package kafka

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kring/acl"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestEveryAPIHasARowOfChecks(t *testing.T) {
	seen := map[int16]bool{}
	for _, g := range guards {
		if seen[g.key] {
			t.Errorf("API %d has two rows", g.key)
		}
		seen[g.key] = true
	}
	// Nobody here serves what is newer: it is refused.
	without := []int16{94}
	for i := range descriptions {
		key := descriptions[i].key
		if !seen[key] && !slices.Contains(without, key) {
			t.Errorf("%s (%d) has no row", descriptions[i].name, key)
		}
	}
}

// rulesOf are rules from lines.
func rulesOf(t testing.TB, lines ...string) *acl.Rules {
	t.Helper()
	rules, err := acl.Parse("rules", strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return acl.New(rules)
}

// someTopics are topics with ids: the first byte of an id is the name's.
type someTopics []string

func (s someTopics) TopicName(id [16]byte) string {
	for _, name := range s {
		if idOf(name) == id {
			return name
		}
	}
	return ""
}
func (s someTopics) TopicExists(name string) bool { return slices.Contains(s, name) }
func (s someTopics) TopicNames() []string         { return slices.Sorted(slices.Values(s)) }

func idOf(name string) (id [16]byte) {
	copy(id[:], name)
	return id
}

func guarded(t *testing.T, a acl.Authorizer, next APIHandler) *client {
	d := NewFilter(everything(t), next)
	d.Authorizer, d.Topics = a, someTopics{"good", "bad"}
	c := newClient(t, d)
	c.conn.Listener = "PLAINTEXT"
	c.conn.Remote = netip.MustParseAddrPort("10.0.0.1:5000")
	return c
}

// open are the APIs that every client may use.
var open = []int16{17, 18, 36, 71, 72}

// Without a rule a client may do nothing, in any version of any API: what it sends is
// answered with an authorization error, or the handler sees nothing of it.
func TestWhoHasNoRulesMayDoNothing(t *testing.T) {
	h := &recorder{}
	c := guarded(t, rulesOf(t, "allow User:other all topic:*,group:*,cluster,txn:*"), h)
	r := rand.New(rand.NewPCG(51, 52))
	everyRequest(r, func(d *description, version int16, req kmsg.Request) {
		h.calls = nil
		kind, payload, _ := c.send(framePayload(req, 4711, "test"))
		switch {
		case slices.Contains(open, d.key):
		case len(h.calls) > 0 && !namesNothing(h.calls[0]):
			t.Errorf("%s v%d: reached the handler as %+v", d.name, version, decoded(t, h.calls[0]))
		case kind == reqchan.AnswerSend:
			decodeResponse[kmsg.Response](t, payload, req)
		}
	})
}

// Each request that names something is answered with an authorization error.
func TestWhatIsDeniedIsAnsweredWithAnAuthorizationError(t *testing.T) {
	h := &recorder{}
	c := guarded(t, rulesOf(t, ""), h)
	// Lists, which are filtered; what all may see of the cluster; Metadata, which answers the
	// rest; share sessions, which go on; and an API whose first header is no client's.
	listed := []int16{3, 7, 16, 60, 66, 78, 79}
	for i := range descriptions {
		d := &descriptions[i]
		for version := int16(0); version <= d.max && !slices.Contains(append(listed, open...), d.key); version++ {
			req := kmsg.RequestForKey(d.key)
			req.SetVersion(version)
			populate(reflect.ValueOf(req).Elem())
			h.calls = nil
			kind, payload, _ := c.send(framePayload(req, 4711, "test"))
			if kind != reqchan.AnswerSend || len(h.calls) > 0 {
				t.Errorf("%s v%d: %v, %d reached the handler", d.name, version, kind, len(h.calls))
				continue
			}
			resp := decodeResponse[kmsg.Response](t, payload, req)
			if code := errorCode(d.key, version, payload); !slices.Contains([]int16{29, 30, 31, 53, 65, 100}, code) && !noPlace(d.key, version) {
				t.Errorf("%s v%d: error %d in %+v", d.name, version, code, resp)
			}
		}
	}
}

// noPlace are versions whose response has no place for this error.
func noPlace(key, version int16) bool {
	switch kmsg.Key(key) {
	case kmsg.DescribeLogDirs: // Apache Kafka answers with no directories
		return version < 3
	}
	return false
}

// populate gives everything in a request one element, named "asked".
func populate(v reflect.Value) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch {
		case name == "UnknownTags" || name == "Version":
		case name == "Acks":
			f.SetInt(1)
		case name == "ReplicaID" || name == "SessionEpoch":
			f.SetInt(-1)
		case f.Kind() == reflect.String:
			f.SetString("asked")
		case f.Type() == reflect.TypeFor[*string]():
			f.Set(reflect.ValueOf(kmsg.StringPtr("asked")))
		case f.Kind() == reflect.Struct:
			populate(f)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.Uint8:
			e := reflect.New(f.Type().Elem()).Elem()
			switch e.Kind() {
			case reflect.Struct:
				populate(e)
			case reflect.String:
				e.SetString("asked")
			}
			f.Set(reflect.Append(f, e))
		}
	}
}

func decoded(t *testing.T, r APIRequest) kmsg.Request {
	req, err := r.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// namesNothing says that a request that reached the handler names no resource.
func namesNothing(r APIRequest) bool {
	req := kmsg.RequestForKey(r.Header.Key)
	req.SetVersion(r.Header.Version)
	if req.ReadFrom(slices.Clone(r.Body)) != nil {
		return false
	}
	return asksNothing(req)
}

func asksNothing(req kmsg.Request) bool {
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		return len(r.Topics) == 0
	case *kmsg.FetchRequest:
		return len(r.Topics) == 0
	case *kmsg.ListOffsetsRequest:
		return len(r.Topics) == 0
	case *kmsg.MetadataRequest:
		return len(r.Topics) == 0 // all, which are filtered
	case *kmsg.FindCoordinatorRequest:
		return len(r.CoordinatorKeys) == 0 && r.Version >= 4
	case *kmsg.DescribeGroupsRequest:
		return len(r.Groups) == 0
	case *kmsg.StreamsGroupDescribeRequest:
		return len(r.Groups) == 0
	case *kmsg.ListGroupsRequest, *kmsg.ListTransactionsRequest, *kmsg.DescribeClusterRequest:
		return true
	case *kmsg.CreateTopicsRequest:
		return len(r.Topics) == 0
	case *kmsg.DeleteTopicsRequest:
		return len(r.Topics)+len(r.TopicNames) == 0
	case *kmsg.DeleteRecordsRequest:
		return len(r.Topics) == 0
	case *kmsg.OffsetForLeaderEpochRequest:
		return len(r.Topics) == 0
	case *kmsg.DescribeConfigsRequest:
		return len(r.Resources) == 0
	case *kmsg.AlterConfigsRequest:
		return len(r.Resources) == 0
	case *kmsg.IncrementalAlterConfigsRequest:
		return len(r.Resources) == 0
	case *kmsg.CreatePartitionsRequest:
		return len(r.Topics) == 0
	case *kmsg.DeleteGroupsRequest:
		return len(r.Groups) == 0
	case *kmsg.DescribeProducersRequest:
		return len(r.Topics) == 0
	case *kmsg.DescribeTransactionsRequest:
		return len(r.TransactionalIDs) == 0
	case *kmsg.ConsumerGroupDescribeRequest:
		return len(r.Groups) == 0
	case *kmsg.ShareGroupDescribeRequest:
		return len(r.GroupIDs) == 0
	case *kmsg.DescribeTopicPartitionsRequest:
		return len(r.Topics) == 0
	case *kmsg.DescribeShareGroupOffsetsRequest:
		return len(r.Groups) == 0
	case *kmsg.OffsetFetchRequest:
		return r.Version >= 8 && len(r.Groups) == 0
	}
	return false
}

// A super user's requests pass as they came.
func TestASuperUserIsAskedNothing(t *testing.T) {
	h := &recorder{}
	c := guarded(t, rulesOf(t, "super User:ANONYMOUS", "deny User:* all topic:*,group:*,cluster,txn:*"), h)
	r := rand.New(rand.NewPCG(53, 54))
	everyRequest(r, func(d *description, version int16, req kmsg.Request) {
		if guardOf(d.key) == nil || slices.Contains([]int16{1, 29, 30, 31, 38, 39, 40, 41}, d.key) || idsIn(d.key, version) {
			return
		}
		h.calls = nil
		kind, _, why := c.send(framePayload(req, 1, "test"))
		if kind != reqchan.AnswerNoResponse || len(h.calls) != 1 {
			t.Fatalf("%s v%d: %v, %v: %+v", d.name, version, kind, why, req)
		}
	})
}

// idsIn says that a version names topics by ids, which random ones have no names for.
func idsIn(key, version int16) bool {
	from, has := map[int16]int16{0: 13, 3: 10, 8: 10, 9: 10, 20: 6, 28: 6, 78: 0, 79: 0}[key]
	return has && version >= from || key == 0 // a random batch may be transactional, without an id
}

func TestAMixedRequestIsDoneInPart(t *testing.T) {
	c := guarded(t, rulesOf(t, "allow User:ANONYMOUS all topic:good,group:good,txn:good"), &recorder{})
	for _, k := range mixed() {
		d := describe(k.req.Key())
		for version := k.from; version <= d.max; version++ {
			k.req.SetVersion(version)
			before := fmt.Sprintf("%+v", k.req)
			var passed string
			c.handler.(*Filter).next = answers(func(r APIRequest) {
				req := decoded(t, r)
				passed = fmt.Sprintf("%+v", req)
				r.Respond(req.ResponseKind())
			})
			kind, payload, _ := c.send(framePayload(k.req, 4711, "test"))
			if kind != reqchan.AnswerSend {
				t.Fatalf("%s v%d: %v for %s", d.name, version, kind, before)
			}
			resp := decodeResponse[kmsg.Response](t, payload, k.req)
			said := fmt.Sprintf("%+v", resp)
			if passed == "" && !k.whole || strings.Contains(passed, "bad") || strings.Contains(passed, "[98 97 100") {
				t.Errorf("%s v%d: the handler saw %s", d.name, version, passed)
			}
			if code := errorCode(d.key, version, payload); code != k.code {
				t.Errorf("%s v%d: error %d, want %d, in %s", d.name, version, code, k.code, said)
			}
		}
	}
}

type mixedCase struct {
	req   kmsg.Request
	from  int16
	code  int16
	whole bool // Apache Kafka does nothing of it
}

func mixed() []mixedCase {
	fetch := kmsg.NewPtrFetchRequest()
	fetch.SessionEpoch, fetch.ReplicaID = -1, -1
	produce := kmsg.NewPtrProduceRequest()
	produce.Acks = 1
	list, meta, commit := kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrMetadataRequest(), kmsg.NewPtrOffsetCommitRequest()
	commit.Group = "good"
	groups, deletes, creates := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrDeleteGroupsRequest(), kmsg.NewPtrCreateTopicsRequest()
	drop, records, parts := kmsg.NewPtrDeleteTopicsRequest(), kmsg.NewPtrDeleteRecordsRequest(), kmsg.NewPtrCreatePartitionsRequest()
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID = "good"
	configs, offsets := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewPtrOffsetFetchRequest()
	offsets.Group = "good"
	for _, name := range []string{"bad", "good"} {
		f := kmsg.NewFetchRequestTopic()
		f.Topic, f.TopicID, f.Partitions = name, idOf(name), []kmsg.FetchRequestTopicPartition{kmsg.NewFetchRequestTopicPartition()}
		fetch.Topics = append(fetch.Topics, f)
		p := kmsg.NewProduceRequestTopic()
		p.Topic, p.TopicID, p.Partitions = name, idOf(name), []kmsg.ProduceRequestTopicPartition{{Records: []byte("x")}}
		produce.Topics = append(produce.Topics, p)
		l := kmsg.NewListOffsetsRequestTopic()
		l.Topic, l.Partitions = name, []kmsg.ListOffsetsRequestTopicPartition{{}}
		list.Topics = append(list.Topics, l)
		m := kmsg.NewMetadataRequestTopic()
		m.Topic = kmsg.StringPtr(name)
		meta.Topics = append(meta.Topics, m)
		o := kmsg.NewOffsetCommitRequestTopic()
		o.Topic, o.TopicID, o.Partitions = name, idOf(name), []kmsg.OffsetCommitRequestTopicPartition{{}}
		commit.Topics = append(commit.Topics, o)
		groups.Groups, deletes.Groups = append(groups.Groups, name), append(deletes.Groups, name)
		ct := kmsg.NewCreateTopicsRequestTopic()
		ct.Topic, ct.NumPartitions, ct.ReplicationFactor = name, 1, 1
		creates.Topics = append(creates.Topics, ct)
		drop.TopicNames = append(drop.TopicNames, name)
		dt := kmsg.NewDeleteTopicsRequestTopic()
		dt.TopicID = idOf(name)
		drop.Topics = append(drop.Topics, dt)
		records.Topics = append(records.Topics, kmsg.DeleteRecordsRequestTopic{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{}}})
		parts.Topics = append(parts.Topics, kmsg.CreatePartitionsRequestTopic{Topic: name, Count: 2})
		add.Topics = append(add.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: name, Partitions: []int32{0}})
		configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name})
		offsets.Topics = append(offsets.Topics, kmsg.OffsetFetchRequestTopic{Topic: name, Partitions: []int32{0}})
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = name
		offsets.Groups = append(offsets.Groups, g)
	}
	return []mixedCase{
		{produce, 3, 29, false}, {fetch, 4, 29, false}, {list, 1, 29, false}, {meta, 0, 29, false}, {commit, 2, 29, false},
		{groups, 0, 30, false}, {deletes, 0, 30, false}, {creates, 0, 29, false}, {drop, 0, 29, false}, {records, 0, 29, false},
		{parts, 0, 29, false}, {configs, 0, 29, false},
	}
}

func TestWithoutAcknowledgementsADeniedPartClosesTheConnection(t *testing.T) {
	produced := 0
	c := guarded(t, rulesOf(t, "allow User:ANONYMOUS write topic:good"), answers(func(r APIRequest) {
		if req := decoded(t, r).(*kmsg.ProduceRequest); len(req.Topics) != 1 || req.Topics[0].Topic != "good" {
			t.Errorf("the handler saw %+v", req)
		}
		produced++
		r.NoResponse()
	}))
	for _, k := range []struct {
		topics []string
		want   reqchan.AnswerKind
		runs   int
	}{{[]string{"good"}, reqchan.AnswerNoResponse, 1}, {[]string{"good", "bad"}, reqchan.AnswerClose, 1}, {[]string{"bad"}, reqchan.AnswerClose, 0}} {
		produced = 0
		req := kmsg.NewPtrProduceRequest()
		req.Version = 9
		for _, name := range k.topics {
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic, topic.Partitions = name, []kmsg.ProduceRequestTopicPartition{{Records: []byte("x")}}
			req.Topics = append(req.Topics, topic)
		}
		kind, _, _ := c.send(framePayload(req, 1, "test"))
		if kind != k.want || produced != k.runs {
			t.Errorf("%q: answered with %v, handled %d times", k.topics, kind, produced)
		}
	}
}

func TestMetadataShowsWhatMayBeDescribedAndCreatesWhatMayBeCreated(t *testing.T) {
	var asked *kmsg.MetadataRequest
	c := guarded(t, rulesOf(t, "allow User:* describe topic:good,topic:new*", "allow User:* create topic:new-mine"), answers(func(r APIRequest) {
		asked = decoded(t, r).(*kmsg.MetadataRequest)
		resp := asked.ResponseKind().(*kmsg.MetadataResponse)
		for _, name := range []string{"good", "bad", "other"} {
			if len(asked.Topics) == 0 {
				topic := kmsg.NewMetadataResponseTopic()
				topic.Topic = &name
				resp.Topics = append(resp.Topics, topic)
			}
		}
		r.Respond(resp)
	}))
	req := kmsg.NewPtrMetadataRequest() // all
	resp := ask[*kmsg.MetadataResponse](c, req, 9)
	if len(resp.Topics) != 1 || *resp.Topics[0].Topic != "good" {
		t.Errorf("all: %+v", resp.Topics)
	}
	named := func(version int16, names ...string) (visible int, denied []string) {
		req := kmsg.NewPtrMetadataRequest()
		req.AllowAutoTopicCreation = true
		for _, name := range names {
			m := kmsg.NewMetadataRequestTopic()
			m.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, m)
		}
		resp := ask[*kmsg.MetadataResponse](c, req, version)
		for i := range resp.Topics {
			if resp.Topics[i].ErrorCode == 29 {
				denied = append(denied, *resp.Topics[i].Topic)
			}
		}
		return len(asked.Topics), denied
	}
	for _, version := range []int16{1, 4, 9, 12, 13} {
		if n, denied := named(version, "good", "bad", "new-mine", "new-yours"); n != 2 || !slices.Equal(denied, []string{"bad", "new-yours"}) {
			t.Errorf("v%d: %d asked for, %q denied", version, n, denied)
		}
		if n, _ := named(version, "good"); n != 1 || version >= 4 && asked.AllowAutoTopicCreation {
			t.Errorf("v%d: asked for as %+v", version, asked)
		}
	}
	if _, denied := named(0, "bad"); len(denied) != 1 || len(asked.Topics) != 0 {
		t.Errorf("v0: %q denied of %+v", denied, asked)
	}
}

func TestACLsAreDescribedFromTheRulesAndChangedInTheFileAlone(t *testing.T) {
	c := guarded(t, rulesOf(t, "allow User:* describe,alter cluster", "allow User:a read topic:orders-* from 10.0.0.0/8", "deny User:b write topic:* on X", "super User:c"), &recorder{})
	describe := func(f func(*kmsg.DescribeACLsRequest)) (all []string) {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
		f(req)
		for _, r := range ask[*kmsg.DescribeACLsResponse](c, req, 3).Resources {
			for _, e := range r.ACLs {
				all = append(all, fmt.Sprint(r.ResourceType, r.ResourceName, r.ResourcePatternType, e.Principal, e.Host, e.Operation, e.PermissionType))
			}
		}
		return all
	}
	if got := describe(func(*kmsg.DescribeACLsRequest) {}); len(got) != 4 {
		t.Errorf("all: %q", got)
	}
	for name, n := range map[string]int{"orders-1": 2, "x": 1} {
		got := describe(func(r *kmsg.DescribeACLsRequest) {
			r.ResourceType, r.ResourcePatternType, r.ResourceName = 2, 2, &name
		})
		if len(got) != n {
			t.Errorf("matching %s: %q", name, got)
		}
	}
	create := kmsg.NewPtrCreateACLsRequest()
	create.Creations = []kmsg.CreateACLsRequestCreation{{ResourceName: "x"}, {ResourceName: "y"}}
	if r := ask[*kmsg.CreateACLsResponse](c, create, 3); len(r.Results) != 2 || r.Results[1].ErrorCode != 44 || !strings.Contains(*r.Results[0].ErrorMessage, "rules file") {
		t.Errorf("%+v", r)
	}
}

// Many clients ask while the rules change: each request is answered by the rules before
// or after.
func TestRulesChangeWhileManyAreAuthorized(t *testing.T) {
	d := NewFilter(everything(t), answers(func(r APIRequest) { r.Respond(decoded(t, r).ResponseKind()) }))
	rules := &swapped{}
	rules.Store(rulesOf(t, "allow User:* describe topic:good"))
	d.Authorizer, d.Topics = rules, someTopics{"good", "bad"}
	var wg sync.WaitGroup
	for range 4 {
		c := newClient(t, d)
		wg.Go(func() {
			for range 100 {
				req := kmsg.NewPtrMetadataRequest()
				req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("good")}, {Topic: kmsg.StringPtr("bad")}}
				resp := ask[*kmsg.MetadataResponse](c, req, 9)
				if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != codeTopicAuthorization {
					t.Errorf("%+v", resp.Topics)
					return
				}
			}
		})
	}
	for i := range 50 {
		rules.Store(rulesOf(t, "allow User:* describe topic:"+[]string{"good", "bad"}[i%2]))
	}
	wg.Wait()
}

// TestARequestIsJudgedByOneSetOfRules, though they are replaced in the middle of it: neither
// these nor those allow both topics, or none.
func TestARequestIsJudgedByOneSetOfRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules")
	put := func(topic string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("allow User:* describe topic:"+topic+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("good")
	rules, err := acl.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	d := NewFilter(everything(t), answers(func(r APIRequest) { r.Respond(decoded(t, r).ResponseKind()) }))
	d.Authorizer, d.Topics = rules, someTopics{"good", "bad"}
	d.Denied = func(*reqchan.Conn, Header, acl.Action) {
		if put("bad"); rules.Reload() != nil {
			t.Error("the rules were not replaced")
		}
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("bad")}, {Topic: kmsg.StringPtr("good")}}
	c := newClient(t, d)
	for _, denied := range []string{"bad", "good"} {
		resp := ask[*kmsg.MetadataResponse](c, req, 9)
		if len(resp.Topics) != 1 || *resp.Topics[0].Topic != denied {
			t.Errorf("denied: %+v, want %s", resp.Topics, denied)
		}
	}
}

// swapped is an Authorizer whose rules are replaced.
type swapped struct{ atomic.Pointer[acl.Rules] }

func (s *swapped) Rules() *acl.Rules                          { return s.Load() }
func (s *swapped) Allowed(c acl.Client, a acl.Action) bool    { return s.Load().Allowed(c, a) }
func (s *swapped) AllowedAny(c acl.Client, a acl.Action) bool { return s.Load().AllowedAny(c, a) }
func (s *swapped) Version() uint64                            { return s.Load().Version() }

// some is an Authorizer that allows what its seed says.
type some uint64

func (s some) Allowed(c acl.Client, a acl.Action) bool {
	h := uint64(s) + uint64(a.Operation)*31 + uint64(a.Resource)*17
	for _, b := range []byte(a.Name) {
		h = h*1099511628211 + uint64(b)
	}
	return h>>7&1 == 0
}
func (s some) AllowedAny(c acl.Client, a acl.Action) bool { return s.Allowed(c, a) }
func (s some) Version() uint64                            { return 1 }

// Whatever is allowed, asked for and answered, the handler sees a request that it can
// read, and the client gets a response that it can read.
func TestWhatTheHandlerAnswersReachesTheClientWellFormed(t *testing.T) {
	r := rand.New(rand.NewPCG(55, 56))
	d := NewFilter(everything(t), answers(func(q APIRequest) {
		req, err := q.Decode()
		if err != nil || len(q.Frame()) != q.Header.Size+len(q.Body) {
			t.Errorf("%s v%d: %v; a frame of %d, header %d, body %d", kmsg.NameForKey(q.Header.Key), q.Header.Version, err, len(q.Frame()), q.Header.Size, len(q.Body))
		}
		switch _, resp := randomResponse(r, q.Header.Key, q.Header.Version); r.IntN(8) {
		case 0:
			q.Raw.Respond([]byte{1, 2, 3, 4, 5, 6}) // nonsense
		case 1:
			q.Respond(req.ResponseKind())
		default:
			q.Respond(resp)
		}
	}))
	d.Topics = someTopics{"good", "bad"}
	c := newClient(t, d)
	for seed := range 20 {
		d.Authorizer = some(seed)
		everyRequest(r, func(of *description, version int16, req kmsg.Request) {
			kind, payload, why := c.send(framePayload(req, 4711, "test"))
			switch {
			case kind == reqchan.AnswerClose && of.key == keyProduce:
			case kind != reqchan.AnswerSend:
				t.Errorf("%s v%d: %v, %v", of.name, version, kind, why)
			case len(payload) == 6: // nonsense that nothing had to be done to
			case of.key != keyApiVersions:
				decodeResponse[kmsg.Response](t, payload, req)
			}
		})
	}
}

// TestTopicsThatNobodyCouldNameAreNotShown: when the names of topics are not to be had, all that
// the handler knows must not be shown unfiltered.
func TestTopicsThatNobodyCouldNameAreNotShown(t *testing.T) {
	c := guarded(t, rulesOf(t, "allow User:* describe topic:good"), answers(func(r APIRequest) {
		resp := decoded(t, r).ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
		resp.Topics = []kmsg.DescribeTopicPartitionsResponseTopic{{Topic: kmsg.StringPtr("bad")}, {Topic: kmsg.StringPtr("good")}}
		r.Respond(resp)
	}))
	for _, known := range []someTopics{{}, {"good"}} {
		c.handler.(*Filter).Topics = known
		for _, shown := range ask[*kmsg.DescribeTopicPartitionsResponse](c, kmsg.NewPtrDescribeTopicPartitionsRequest(), 0).Topics {
			if *shown.Topic != "good" {
				t.Errorf("with the names %q it shows %s", known, *shown.Topic)
			}
		}
	}
}
