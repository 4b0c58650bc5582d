package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kring"
	"kring/acl"
	"kring/internal/servertest"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

const bedRules = `
allow User:ANONYMOUS read,write,create topic:open* on CLIENTS
allow User:ANONYMOUS describe topic:look on CLIENTS
allow User:ANONYMOUS read group:open* on CLIENTS
`

// ruledBed is a bed with rules in front of its gateway.
func ruledBed(t *testing.T, engine kring.Engine, mode Mode) *bed {
	t.Helper()
	rules, err := acl.Parse("rules", strings.NewReader(bedRules))
	if err != nil {
		t.Fatal(err)
	}
	return newBed(t, bedOptions{
		gateway: func(c *Config) {
			c.Mode, c.LearnTopics = mode, true
			c.ListenerOf = func(*kring.Conn) string { return "CLIENTS" }
		},
		server:  func(c *kring.Config) { c.Engine = engine },
		cluster: []kfake.Opt{kfake.SeedTopics(1, "open", "closed", "look")},
		filter: func(f *kafka.Filter, g *Gateway) {
			f.Authorizer, f.Topics, f.Brokers = acl.New(rules), g.Topics(), g
		},
	})
}

// direct is a client of the cluster itself, which may do everything.
func (b *bed) direct() *kgo.Client {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.AllowAutoTopicCreation())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	return cl
}

// TestAClientDoesWhatItsRulesAllowThroughTheGateway as with the embedded cluster.
func TestAClientDoesWhatItsRulesAllowThroughTheGateway(t *testing.T) {
	for _, engine := range servertest.Engines() {
		for name, mode := range modes {
			t.Run(string(engine)+"/"+name, func(t *testing.T) {
				b, ctx := ruledBed(t, engine, mode), deadline(t)
				b.producesWhatItMay(ctx)
				b.consumesWhatItMay(ctx)
				b.administersWhatItMay(ctx)
				b.namesTopicsByID(ctx)
			})
		}
	}
}

func (b *bed) producesWhatItMay(ctx context.Context) {
	b.t.Helper()
	c := b.client(kgo.UnknownTopicRetries(3))
	for topic, want := range map[string]error{"open": nil, "open-new": nil, "closed": kerr.TopicAuthorizationFailed, "look": kerr.TopicAuthorizationFailed, "missing": kerr.TopicAuthorizationFailed} {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); !errors.Is(err, want) {
			b.t.Errorf("produce to %s: %v, want %v", topic, err, want)
		}
	}
	topics, err := kadm.NewClient(b.direct()).ListTopics(ctx)
	if err != nil || topics.Has("missing") || !topics.Has("open-new") { // what may not be created was not
		b.t.Errorf("topics: %v, %v", topics.Names(), err)
	}
	if err := b.direct().ProduceSync(ctx, &kgo.Record{Topic: "closed", Value: []byte("secret")}).FirstErr(); err != nil {
		b.t.Error(err)
	}
}

func (b *bed) consumesWhatItMay(ctx context.Context) {
	b.t.Helper()
	c := b.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"open": {0: kgo.NewOffset().AtStart()}, "closed": {0: kgo.NewOffset().AtStart()}}))
	for got, denied := false, false; !got || !denied; {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("records: %v, denied: %v", got, denied)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Topic != "open" {
				b.t.Errorf("a record of %s", r.Topic)
			}
			got = true
		})
		for _, e := range fetches.Errors() {
			if e.Topic != "closed" || !errors.Is(e.Err, kerr.TopicAuthorizationFailed) {
				b.t.Errorf("%s: %v", e.Topic, e.Err)
			}
			denied = true
		}
	}
	c.Close() // it asks again and again for what it may not read
	g := b.client(kgo.ConsumerGroup("closed"), kgo.ConsumeTopics("open"))
	defer g.Close()
	for denied := false; !denied; {
		fetches := g.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatal("no error for a group that is denied")
		}
		denied = errors.Is(fetches.Err(), kerr.GroupAuthorizationFailed)
	}
}

func (b *bed) administersWhatItMay(ctx context.Context) {
	b.t.Helper()
	admin := kadm.NewClient(b.client())
	topics, err := admin.ListTopics(ctx)
	if names := topics.Names(); err != nil || !slices.Equal(names, []string{"look", "open", "open-new"}) {
		b.t.Errorf("topics: %q, %v", names, err)
	}
	made, _ := admin.CreateTopics(ctx, 1, 1, nil, "open-made", "shut")
	if made["open-made"].Err != nil || !errors.Is(made["shut"].Err, kerr.TopicAuthorizationFailed) {
		b.t.Errorf("created: %+v", made)
	}
	gone, _ := admin.DeleteTopics(ctx, "open", "closed")
	if !errors.Is(gone["open"].Err, kerr.TopicAuthorizationFailed) || !errors.Is(gone["closed"].Err, kerr.TopicAuthorizationFailed) {
		b.t.Errorf("deleted: %+v", gone)
	}
	if _, err := kadm.NewClient(b.direct()).CommitOffsets(ctx, "hidden", kadm.Offsets{}); err != nil {
		b.t.Error(err)
	}
	groups, err := admin.ListGroups(ctx)
	if err != nil || slices.Contains(groups.Groups(), "hidden") {
		b.t.Errorf("groups: %q, %v", groups.Groups(), err)
	}
	if _, err := admin.DescribeAllLogDirs(ctx, nil); err == nil {
		b.t.Error("log directories are described")
	}
}

// namesTopicsByID fetches by ids: of a topic that it may read, of one that it may not, and of
// one that there is not. What nobody has named yet is known when it is asked for again.
func (b *bed) namesTopicsByID(ctx context.Context) {
	b.t.Helper()
	topics, err := kadm.NewClient(b.direct()).ListTopics(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	c := b.client()
	if err := c.Ping(ctx); err != nil { // it knows the brokers
		b.t.Fatal(err)
	}
	for topic, want := range map[string]int16{"open": 0, "closed": 29, "nobody": 100} {
		id, leader := [16]byte{1, 2, 3}, 0
		if d, is := topics[topic]; is {
			id, leader = [16]byte(d.ID), int(d.Partitions[0].Leader)
		}
		req := kmsg.NewPtrFetchRequest()
		req.ReplicaID, req.SessionEpoch, req.MaxBytes = -1, -1, 1<<20
		f, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1 << 20
		f.Topic, f.TopicID, f.Partitions = topic, id, append(f.Partitions, p)
		req.Topics = append(req.Topics, f)
		code := int16(-1)
		for code != want {
			resp, err := c.Broker(leader).Request(ctx, req)
			if err != nil {
				b.t.Fatalf("Fetch of %s: %v", topic, err)
			}
			topics := resp.(*kmsg.FetchResponse).Topics
			if len(topics) != 1 || len(topics[0].Partitions) != 1 {
				b.t.Fatalf("Fetch of %s: %+v", topic, resp)
			}
			if code = topics[0].Partitions[0].ErrorCode; code != want && code != 100 {
				b.t.Fatalf("Fetch of %s: error %d, want %d", topic, code, want)
			}
		}
	}
}

// TestNamesOfTopicsHaveABound: of those that are asked for again, none is forgotten.
func TestNamesOfTopicsHaveABound(t *testing.T) {
	now, stale := int64(1), 0
	s := newTopics(func() int64 { return now }, func() { stale++ })
	id := func(n int) (id [16]byte) {
		binary.BigEndian.PutUint32(id[4:], uint32(n)+1)
		return id
	}
	name := func(n int) *string { s := fmt.Sprint("t", n); return &s }
	for n := range 2 * topicsMax {
		s.see(name(n), id(n), 0)
		if n%1000 == 0 && s.TopicName(id(0)) != "t0" {
			t.Fatalf("a topic that is asked for is forgotten after %d", n)
		}
		if n < 2*topicsMissingMax {
			s.see(name(-1-n), [16]byte{}, codeUnknownTopic)
		}
	}
	if n := len(s.ids.now) + len(s.ids.before); n > topicsMax {
		t.Errorf("%d ids are remembered", n)
	}
	if n := len(s.missing.now) + len(s.missing.before); n > topicsMissingMax {
		t.Errorf("%d missing topics are remembered", n)
	}
	if n := len(s.TopicNames()); n > topicsMax || !slices.IsSorted(s.TopicNames()) {
		t.Errorf("%d names", n)
	}
	for n := range 10 * topicsWantedMax {
		s.TopicName(id(-2 - n))
		s.TopicExists(*name(-1e6 - n))
	}
	if n := len(s.wanted(12)) + len(s.wanted(12)); n != 2*topicsWantedMax || stale < n {
		t.Errorf("%d are asked for, %d times", n, stale)
	}
	if len(s.wanted(12)) != 0 {
		t.Error("they are asked for again")
	}
	s.TopicName(id(-2))
	if len(s.wanted(11)) != 0 {
		t.Error("an old broker is asked for an id")
	}
	last := 2*topicsMissingMax - 1
	if missing := *name(-1 - last); !s.TopicMissing(missing) {
		t.Error("a missing topic is not")
	} else if now += int64(missingFor); s.TopicMissing(missing) {
		t.Error("it is for ever")
	}
}

// TestNamesAndIDsAreAskedForInTurns: Apache Kafka leaves out the names of a request with an id. However
// many ids somebody asks for, the names come, and the other way about.
func TestNamesAndIDsAreAskedForInTurns(t *testing.T) {
	stale := false
	s := newTopics(func() int64 { return 1 }, func() { stale = true })
	kinds := ""
	for n := range 6 {
		s.TopicName([16]byte{1, byte(n)})
		s.TopicExists(fmt.Sprint("t", n))
		stale = false
		names, ids := 0, 0
		for _, t := range s.wanted(12) {
			if t.Topic != nil {
				names++
			} else {
				ids++
			}
		}
		switch {
		case names > 0 && ids > 0 || names+ids == 0:
			t.Fatalf("%d names and %d ids in one request", names, ids)
		case !stale:
			t.Error("the rest is not asked for")
		case names > 0:
			kinds += "n"
		default:
			kinds += "i"
		}
	}
	if kinds != "ninini" {
		t.Errorf("they are asked for as %s", kinds)
	}
}

// TestATopicIsSeenForAWhile, and then asked for again.
func TestATopicIsSeenForAWhile(t *testing.T) {
	now := int64(1)
	s := newTopics(func() int64 { return now }, func() {})
	name := "t"
	s.see(&name, [16]byte{1}, 0)
	if !s.TopicSeen(name) || len(s.wanted(12)) != 0 {
		t.Error("it is not seen")
	}
	now += int64(seenFor)
	if s.TopicSeen(name) || !s.TopicExists(name) {
		t.Error("it is seen for ever, or forgotten")
	}
	if len(s.wanted(12)) != 1 {
		t.Error("it is not asked for")
	}
}

// TestNothingIsCreatedThatAClientMayNotCreate: by no version of Metadata, whatever was heard of a
// topic before it was deleted behind the gateway's back; and what it may is created, in one request
// with others too. A CreateTopics that only validates says nothing of what there is.
func TestNothingIsCreatedThatAClientMayNotCreate(t *testing.T) {
	for _, engine := range servertest.Engines() {
		for name, mode := range modes {
			t.Run(string(engine)+"/"+name, func(t *testing.T) {
				b, ctx := ruledBed(t, engine, mode), deadline(t)
				cl, direct := b.client(), kadm.NewClient(b.direct())
				ask := func(version int16, names ...string) *kmsg.MetadataResponse {
					req := kmsg.NewPtrMetadataRequest()
					req.AllowAutoTopicCreation = true
					for _, name := range names {
						req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
					}
					old, err := kgo.NewClient(kgo.SeedBrokers("bootstrap.test:9092"), kgo.Dialer(b.dial), kgo.MaxVersions(versionsWithMetadata(version)))
					if err != nil {
						t.Fatal(err)
					}
					defer old.Close()
					resp, err := req.RequestWith(ctx, old)
					if err != nil {
						t.Fatal(err)
					}
					return resp
				}
				dry := kmsg.NewPtrCreateTopicsRequest()
				dry.ValidateOnly = true
				dry.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "open-dry", NumPartitions: 1, ReplicationFactor: 1}}
				if _, err := dry.RequestWith(ctx, cl); err != nil {
					t.Fatal(err)
				}
				if b.gateway.Topics().TopicExists("open-dry") {
					t.Error("a topic that was not created is known")
				}
				until := func(version int16, names ...string) {
					for ask(version, names...).Topics[0].ErrorCode != 0 {
						if ctx.Err() != nil {
							t.Fatalf("%s is not there", names[0])
						}
					}
				}
				for _, version := range []int16{9, 0} { // the rules have tests of all
					if _, err := direct.CreateTopic(ctx, 1, 1, nil, "look"); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
						t.Fatal(err)
					}
					until(9, "look") // the gateway knows it
					if _, err := direct.DeleteTopics(ctx, "look"); err != nil {
						t.Fatal(err)
					}
					mine := fmt.Sprint("open-", version)
					ask(version, "look", mine)
					ask(version, "look")
					if is, err := direct.ListTopics(ctx); err != nil || is.Has("look") {
						t.Fatalf("version %d: there are %v, %v", version, is.Names(), err)
					}
					// Created by the gateway, once the first was answered; or by a version in which kfake
					// creates, if the gateway has heard by itself that the other is missing.
					until(9, mine, "look")
				}
			})
		}
	}
}

func versionsWithMetadata(version int16) *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(keyMetadata, version)
	return v
}
