package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/acl"
)

// ruled is a cluster behind a server with rules, and with a listener for who may do
// everything.
type ruled struct {
	*node
	rules *acl.File
	admin string
}

func serveRules(t *testing.T, sc kring.Config, rules string) *ruled {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte("super User:* on ADMIN\n"+rules), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := acl.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(Config{Authorizer: f, Seed: []Topic{{"open", 1}, {"closed", 1}, {"look", 1}}, PipelineMax: sc.Limits.PipelineMax})
	if err != nil {
		t.Fatal(err)
	}
	sc.Listeners = []kring.ListenerConfig{{Name: "OUTER", Address: "127.0.0.1:0"}, {Name: "ADMIN", Address: "127.0.0.1:0"}}
	s, err := kring.New(sc, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	at := s.Addrs()
	c.AdvertiseOn("ADMIN", at[1].Addr().String(), at[1].Port())
	c.Advertise(at[0].Addr().String(), at[0].Port())
	n := &node{t: t, cluster: c, server: s, addr: at[0].String()}
	t.Cleanup(n.close)
	return &ruled{n, f, at[1].String()}
}

func (n *ruled) super(opts ...kgo.Opt) *kgo.Client {
	return n.client(append(opts, kgo.SeedBrokers(n.admin))...)
}

func (n *ruled) change(rules string) {
	n.t.Helper()
	if err := os.WriteFile(n.rules.Path(), []byte("super User:* on ADMIN\n"+rules), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := n.rules.Reload(); err != nil {
		n.t.Fatal(err)
	}
}

const outerRules = `
allow User:ANONYMOUS read,write,create topic:open*
allow User:ANONYMOUS describe topic:look
allow User:ANONYMOUS read group:open*
`

func TestAClientDoesWhatItsRulesAllowOnEveryEngine(t *testing.T) {
	for _, k := range []struct {
		engine   kring.Engine
		dispatch kring.DispatchMode
	}{
		{kring.EngineURing, kring.DispatchPool}, {kring.EngineURing, kring.DispatchInline},
		{kring.EngineEpoll, kring.DispatchPool}, {kring.EngineEpoll, kring.DispatchInline},
		{kring.EnginePortable, kring.DispatchPool}, {kring.EnginePortable, kring.DispatchInline},
	} {
		t.Run(fmt.Sprint(k.engine, "/", k.dispatch), func(t *testing.T) {
			cfg := kring.Config{Engine: k.engine}
			cfg.Dispatch.Mode = k.dispatch
			n := serveRules(t, cfg, outerRules)
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			producesWhatItMay(ctx, t, n)
			consumesWhatItMay(ctx, t, n)
			administersWhatItMay(ctx, t, n)
		})
	}
}

func producesWhatItMay(ctx context.Context, t *testing.T, n *ruled) {
	t.Helper()
	c := n.client(kgo.UnknownTopicRetries(0))
	for topic, want := range map[string]error{
		"open": nil, "open-new": nil, "closed": kerr.TopicAuthorizationFailed, "look": kerr.TopicAuthorizationFailed, "missing": kerr.TopicAuthorizationFailed,
	} {
		err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr()
		if !errors.Is(err, want) {
			t.Errorf("produce to %s: %v, want %v", topic, err, want)
		}
	}
	// The topic that may not be created was not.
	topics, err := kadm.NewClient(n.super()).ListTopics(ctx)
	if err != nil || topics.Has("missing") || !topics.Has("open-new") {
		t.Errorf("topics: %v, %v", topics.Names(), err)
	}
	if err := n.super().ProduceSync(ctx, &kgo.Record{Topic: "closed", Value: []byte("secret")}).FirstErr(); err != nil {
		t.Error(err)
	}
}

func consumesWhatItMay(ctx context.Context, t *testing.T, n *ruled) {
	t.Helper()
	c := n.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"open": {0: kgo.NewOffset().AtStart()}, "closed": {0: kgo.NewOffset().AtStart()}}))
	got, denied := false, false
	for !got || !denied {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("records: %v, denied: %v", got, denied)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Topic != "open" {
				t.Errorf("a record of %s", r.Topic)
			}
			got = true
		})
		for _, e := range fetches.Errors() {
			if e.Topic != "closed" || !errors.Is(e.Err, kerr.TopicAuthorizationFailed) {
				t.Errorf("%s: %v", e.Topic, e.Err)
			}
			denied = true
		}
	}
	g := n.client(kgo.ConsumerGroup("closed"), kgo.ConsumeTopics("open"))
	for denied = false; !denied; {
		fetches := g.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatal("no error for a group that is denied")
		}
		denied = errors.Is(fetches.Err(), kerr.GroupAuthorizationFailed)
	}
}

func administersWhatItMay(ctx context.Context, t *testing.T, n *ruled) {
	t.Helper()
	admin := kadm.NewClient(n.client())
	topics, err := admin.ListTopics(ctx)
	if names := topics.Names(); err != nil || !slices.Equal(names, []string{"look", "open", "open-new"}) {
		t.Errorf("topics: %q, %v", names, err)
	}
	made, _ := admin.CreateTopics(ctx, 1, 1, nil, "open-made", "shut")
	if made["open-made"].Err != nil || !errors.Is(made["shut"].Err, kerr.TopicAuthorizationFailed) {
		t.Errorf("created: %+v", made)
	}
	gone, _ := admin.DeleteTopics(ctx, "open", "closed")
	if !errors.Is(gone["open"].Err, kerr.TopicAuthorizationFailed) || !errors.Is(gone["closed"].Err, kerr.TopicAuthorizationFailed) {
		t.Errorf("deleted: %+v", gone)
	}
	if _, err := kadm.NewClient(n.super()).CommitOffsets(ctx, "hidden", kadm.Offsets{}); err != nil {
		t.Error(err)
	}
	groups, err := admin.ListGroups(ctx)
	if err != nil || slices.Contains(groups.Groups(), "hidden") {
		t.Errorf("groups: %q, %v", groups.Groups(), err)
	}
	if _, err := admin.DescribeAllLogDirs(ctx, nil); err == nil {
		t.Error("log directories are described")
	}
}

// What a session fetched until now, it does not after a rule went.
func TestARuleThatIsTakenBackEndsAFetchThatGoesOn(t *testing.T) {
	n := serveRules(t, kring.Config{Engine: kring.EnginePortable}, "allow User:* read topic:open,topic:closed\n")
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	c := n.client(kgo.FetchMaxWait(100*time.Millisecond), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"open": {0: kgo.NewOffset().AtStart()}, "closed": {0: kgo.NewOffset().AtStart()}}))
	super := n.super()
	produce := func(topic, value string) {
		if err := super.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	await := func(what string, done func(kgo.Fetches) bool) {
		t.Helper()
		for !done(c.PollFetches(ctx)) {
			if ctx.Err() != nil {
				t.Fatalf("%s never came", what)
			}
		}
	}
	produce("closed", "before")
	await("the first record", func(f kgo.Fetches) bool { return len(f.Records()) == 1 })
	n.change("allow User:* read topic:open\n")
	await("the error", func(f kgo.Fetches) bool {
		return slices.ContainsFunc(f.Errors(), func(e kgo.FetchError) bool {
			return e.Topic == "closed" && errors.Is(e.Err, kerr.TopicAuthorizationFailed)
		})
	})
	produce("closed", "after")
	produce("open", "mark")
	await("the mark", func(f kgo.Fetches) bool {
		marked := false
		f.EachRecord(func(r *kgo.Record) {
			if string(r.Value) == "after" {
				t.Error("a record of a topic that is denied")
			}
			marked = marked || string(r.Value) == "mark"
		})
		return marked
	})
}

// The versions of every API that name a topic by its id are held to its name.
func TestTopicsThatAreNamedByIdAreHeldToTheirNames(t *testing.T) {
	n := serveRules(t, kring.Config{Engine: kring.EnginePortable}, outerRules)
	ids := map[string][16]byte{}
	topics, err := kadm.NewClient(n.super()).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range topics {
		ids[name] = d.ID
	}
	c := n.client()
	for topic, want := range map[string]int16{"open": 0, "closed": 29, "nobody": 100} {
		id := ids[topic]
		if topic == "nobody" {
			id = [16]byte{1, 2, 3}
		}
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: id}}
		resp, err := req.RequestWith(t.Context(), c)
		if err != nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != want || want != 0 && resp.Topics[0].Topic != nil {
			t.Errorf("Metadata of %s: %+v, %v; want error %d", topic, resp, err, want)
		}
		produce := producing(nil, "", batchOf(-1, -1, -1, false))
		produce.Topics[0].TopicID = id
		produced, err := produce.RequestWith(t.Context(), c)
		if err != nil || len(produced.Topics) != 1 || produced.Topics[0].Partitions[0].ErrorCode != want {
			t.Errorf("Produce to %s: %+v, %v; want error %d", topic, produced, err, want)
		}
		fetch := kmsg.NewPtrFetchRequest()
		fetch.ReplicaID, fetch.SessionEpoch, fetch.MaxBytes = -1, -1, 1<<20
		f := kmsg.NewFetchRequestTopic()
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1 << 20
		f.TopicID, f.Partitions = id, append(f.Partitions, p)
		fetch.Topics = append(fetch.Topics, f)
		fetched, err := fetch.RequestWith(t.Context(), c)
		if err != nil || len(fetched.Topics) != 1 || fetched.Topics[0].Partitions[0].ErrorCode != want {
			t.Errorf("Fetch of %s: %+v, %v; want error %d", topic, fetched, err, want)
		}
	}
}

// Every API that is announced, in every version, is refused where no rule is.
func TestWithoutARuleNoAnnouncedAPISaysAnything(t *testing.T) {
	c := open(t, Config{Authorizer: acl.New(nil), Seed: []Topic{{"secret-topic", 1}}})
	for _, r := range c.Versions().All() {
		for version := r.Min; version <= r.Max; version++ {
			req := kmsg.RequestForKey(r.Key)
			req.SetVersion(version)
			if m, is := req.(*kmsg.MetadataRequest); is {
				m.Topics = nil
			}
			_, resp := ask(t, c, req)
			if m, is := resp.(*kmsg.MetadataResponse); is && len(m.Topics) > 0 {
				t.Errorf("Metadata v%d: %+v", version, m.Topics)
			}
			if resp != nil && bytes.Contains(resp.AppendTo(nil), []byte("secret-topic")) {
				t.Errorf("%s v%d: %+v", kmsg.NameForKey(r.Key), version, resp)
			}
		}
	}
}

func TestOperationsThatAreAllowedAreToldTruly(t *testing.T) {
	n := serveRules(t, kring.Config{Engine: kring.EnginePortable}, outerRules+"allow User:* describe,create cluster\n")
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("open")}, {Topic: kmsg.StringPtr("look")}}
	resp, err := req.RequestWith(t.Context(), n.client())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int32{"open": 1<<3 | 1<<4 | 1<<5 | 1<<8, "look": 1 << 8}
	for _, topic := range resp.Topics {
		if got := topic.AuthorizedOperations; got != want[*topic.Topic] {
			t.Errorf("%s: %b, want %b", *topic.Topic, got, want[*topic.Topic])
		}
	}
	cluster := kmsg.NewPtrDescribeClusterRequest()
	cluster.IncludeClusterAuthorizedOperations = true
	described, err := cluster.RequestWith(t.Context(), n.client())
	if err != nil || described.ClusterAuthorizedOperations != 1<<5|1<<8 {
		t.Errorf("%+v, %v", described, err)
	}
}
