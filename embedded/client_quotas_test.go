package embedded

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/quota"
)

// quotas asks for quotas of one entity: "user=a client-id=*" and operations
// "producer_byte_rate=1", or "-producer_byte_rate" to end one.
type quotas struct {
	whom string
	ops  map[string]float64
	ends []string
}

func (q quotas) request(validateOnly bool) *kmsg.AlterClientQuotasRequest {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Version, req.ValidateOnly = 1, validateOnly
	e := kmsg.NewAlterClientQuotasRequestEntry()
	for _, part := range strings.Fields(q.whom) {
		named := kmsg.NewAlterClientQuotasRequestEntryEntity()
		kind, name, _ := strings.Cut(part, "=")
		if named.Type = kind; name != "DEFAULT" {
			named.Name = &name
		}
		e.Entity = append(e.Entity, named)
	}
	for key, value := range q.ops {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value = key, value
		e.Ops = append(e.Ops, op)
	}
	for _, key := range q.ends {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Remove = key, true
		e.Ops = append(e.Ops, op)
	}
	req.Entries = append(req.Entries, e)
	return req
}

func alterQuotas(t *testing.T, c *Cluster, q quotas) (int16, string) {
	t.Helper()
	_, resp := ask(t, c, q.request(false))
	got := resp.(*kmsg.AlterClientQuotasResponse).Entries
	if len(got) != 1 || len(got[0].Entity) != len(strings.Fields(q.whom)) {
		t.Fatalf("answered with %+v", got)
	}
	return got[0].ErrorCode, text(got[0].ErrorMessage)
}

// describedQuotas is how many entities have quotas.
func describedQuotas(t *testing.T, c *Cluster) int {
	t.Helper()
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Version = 1
	_, resp := ask(t, c, req)
	return len(resp.(*kmsg.DescribeClientQuotasResponse).Entries)
}

// Quotas that clients ask for are our own quotas from the next answer on, beside
// the operator's, and after a kill.
func TestClientQuotasAreEnforced(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	limits := []quota.Limit{
		{Entity: quota.Entity{ClientID: "batch"}, Kind: quota.BytesIn, PerSecond: 10},
		{Entity: quota.Entity{IP: "192.0.2.1"}, Kind: quota.Requests, PerSecond: 10},
	}
	mine, err := quota.New(quota.Config{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, Config{DataDir: dir, Quotas: mine})
	for _, q := range []quotas{
		{"client-id=batch", map[string]float64{"producer_byte_rate": 1000}, nil},
		{"user=DEFAULT client-id=DEFAULT", map[string]float64{"consumer_byte_rate": 2000, "request_percentage": 12.5}, nil},
		{"user=gone", map[string]float64{"consumer_byte_rate": 1}, nil},
		{"user=gone", nil, []string{"consumer_byte_rate", "no.such"}},
	} {
		if code, message := alterQuotas(t, c, q); code != 0 {
			t.Errorf("%v: error %d %q", q, code, message)
		}
	}
	want := map[quota.Limit]bool{
		{Entity: quota.Entity{ClientID: "batch"}, Kind: quota.BytesIn, PerSecond: 1000}:            true,
		{Entity: quota.Entity{User: "*", ClientID: "*"}, Kind: quota.BytesOut, PerSecond: 2000}:    true,
		{Entity: quota.Entity{User: "*", ClientID: "*"}, Kind: quota.HandlerTime, PerSecond: 12.5}: true,
		{Entity: quota.Entity{IP: "192.0.2.1"}, Kind: quota.Requests, PerSecond: 10}:               true,
	}
	holding := func(of *quota.Quotas) map[quota.Limit]bool {
		got := map[quota.Limit]bool{}
		for _, l := range of.Limits() {
			got[l] = true
		}
		return got
	}
	if got := holding(mine); !reflect.DeepEqual(got, want) {
		t.Errorf("limits %v, want %v", got, want)
	}
	if n := describedQuotas(t, c); n != 2 {
		t.Errorf("%d entities are described, want 2", n)
	}
	// The operator reads a file anew, and the clients' stay.
	if err := mine.Set(nil); err != nil {
		t.Fatal(err)
	}
	delete(want, limits[1])
	if got := holding(mine); !reflect.DeepEqual(got, want) {
		t.Errorf("limits %v, want %v", got, want)
	}
	copyDir(t, dir, killed)
	again := open(t, Config{DataDir: killed})
	if got := holding(again.filter.Quotas); !reflect.DeepEqual(got, want) {
		t.Errorf("after a kill: limits %v, want %v", got, want)
	}
}

// A producer that is over the quota that a client has set is told to wait.
func TestAClientOverItsQuotaIsTold(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"written", 1}}})
	if code, message := alterQuotas(t, c, quotas{"client-id=DEFAULT", map[string]float64{"producer_byte_rate": 100}, nil}); code != 0 {
		t.Fatalf("error %d %q", code, message)
	}
	_, resp := ask(t, c, producingTo("written", 9, batchWith(nowMillis(), 0, rec{"a", 100_000, 0})))
	if wait := resp.(*kmsg.ProduceResponse).ThrottleMillis; wait <= 0 {
		t.Errorf("the wait is %d ms", wait)
	}
}

// What can't be enforced, or means nothing, is refused by name and nothing is
// kept of it.
func TestQuotasThatCantBeEnforcedAreRefused(t *testing.T) {
	c := open(t, Config{})
	one := func(key string, value float64) map[string]float64 { return map[string]float64{key: value} }
	for want, q := range map[string]quotas{
		"Quota controller_mutation_rate is not enforced by the embedded cluster":                           {"user=a", one("controller_mutation_rate", 1), nil},
		"Quota connection_creation_rate is not enforced by the embedded cluster: start kring with --ip-li": {"ip=192.0.2.1", one("connection_creation_rate", 1), nil},
		"Invalid configuration key connection_creation_rate":                                               {"user=a", one("connection_creation_rate", 1), nil},
		"Invalid configuration key producer_byte_rate":                                                     {"ip=192.0.2.1", one("producer_byte_rate", 1), nil},
		"Invalid configuration key no.such":                                                                {"user=a", one("no.such", 1), nil},
		"Quota producer_byte_rate must be greater than 0":                                                  {"user=a", one("producer_byte_rate", 0), nil},
		"producer_byte_rate cannot be a fractional value.":                                                 {"user=a", one("producer_byte_rate", 1.5), nil},
		"Invalid empty client quota entity":                                                                {"", one("producer_byte_rate", 1), nil},
		"Unhandled client quota entity type: group":                                                        {"group=a", one("producer_byte_rate", 1), nil},
		"Invalid quota entity combination":                                                                 {"ip=192.0.2.1 user=a", one("producer_byte_rate", 1), nil},
		"Entity type user is named twice":                                                                  {"user=a user=b", one("producer_byte_rate", 1), nil},
		"Empty user not supported":                                                                         {"user=", one("producer_byte_rate", 1), nil},
		`user can't be named "*"`:                                                                          {"user=*", one("producer_byte_rate", 1), nil},
	} {
		if code, message := alterQuotas(t, c, q); code != kerr.InvalidRequest.Code || !strings.HasPrefix(message, want) {
			t.Errorf("%v: error %d %q, want %q", q, code, message, want)
		}
	}
	_, resp := ask(t, c, quotas{"user=a", one("producer_byte_rate", 1), nil}.request(true))
	if code := resp.(*kmsg.AlterClientQuotasResponse).Entries[0].ErrorCode; code != 0 {
		t.Errorf("validate only: error %d", code)
	}
	if n, limits := describedQuotas(t, c), c.filter.Quotas.Limits(); n != 0 || len(limits) != 0 {
		t.Errorf("%d entities, limits %v", n, limits)
	}
}

func TestQuotasAreDescribedByFiltersThatCanMatch(t *testing.T) {
	c := open(t, Config{})
	for filter, want := range map[string]int16{
		"user:2": 0, "user:2 client-id:1": 0, "ip:2": 0,
		"group:2": kerr.UnsupportedVersion.Code, "user:2 user:1": kerr.InvalidRequest.Code,
		"user:7": kerr.InvalidRequest.Code, "user:2 ip:2": kerr.InvalidRequest.Code,
	} {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Version = 1
		for _, part := range strings.Fields(filter) {
			component := kmsg.NewDescribeClientQuotasRequestComponent()
			kind, match, _ := strings.Cut(part, ":")
			component.EntityType, component.MatchType = kind, kmsg.QuotasMatchType(match[0]-'0')
			req.Components = append(req.Components, component)
		}
		_, resp := ask(t, c, req)
		got := resp.(*kmsg.DescribeClientQuotasResponse)
		if got.ErrorCode != want {
			t.Errorf("%s: error %d, want %d", filter, got.ErrorCode, want)
		}
		if want == 0 && got.Entries == nil {
			t.Errorf("%s: null where Java wants a list", filter)
		}
	}
}

// Quotas that an older version took and nobody enforces are not described.
func TestQuotasOfAnOlderVersionThatNobodyEnforcesGo(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir})
	e, of := kmsg.NewAlterClientQuotasRequestEntry(), kmsg.NewAlterClientQuotasRequestEntryEntity()
	of.Type, of.Name = "user", kmsg.StringPtr("ann")
	e.Entity = append(e.Entity, of)
	for _, key := range []string{"controller_mutation_rate", "producer_byte_rate"} {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value = key, 7
		e.Ops = append(e.Ops, op)
	}
	if fault := c.clientQuotas.keep(c.inside.ask, e); fault != nil {
		t.Fatal(fault)
	}
	var lines lockedLog
	c = open(t, Config{DataDir: killed(t, dir), Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	resp := answer[*kmsg.DescribeClientQuotasResponse](t, c, 1, kmsg.NewPtrDescribeClientQuotasRequest())
	if len(resp.Entries) != 1 || len(resp.Entries[0].Values) != 1 || resp.Entries[0].Values[0].Key != "producer_byte_rate" {
		t.Errorf("%+v", resp.Entries)
	}
	if !strings.Contains(lines.said(), "controller_mutation_rate") {
		t.Errorf("nothing was said: %s", lines.said())
	}
}
