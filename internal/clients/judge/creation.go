package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// creation asks what is taken of topics, settings, quotas and ACLs, and what of
// that is kept.
func creation() (all []question) {
	all = append(all, talks("creating a topic for a client of the newest version alone", 5, 7, func(t *talk, v int16) {
		resp := t.tell(creating("judge-new-"+versionName(v)), v).(*kmsg.CreateTopicsResponse)
		topic := resp.Topics[0]
		t.say("%d partitions, %d replicas", topic.NumPartitions, topic.ReplicationFactor)
		if len(topic.Configs) > 0 {
			t.say("with its settings")
		} else {
			t.say("without settings")
		}
	})...)
	all = append(all, produced("a record without a key into a compacted topic", "cleanup.policy", "compact", batch)...)
	all = append(all, aTalk("the time of appending", func(t *talk) {
		t.create("judge-append", "message.timestamp.type", "LogAppendTime")
		resp := t.tell(produceRequest(9, "judge-append", 1, batch()), 9).(*kmsg.ProduceResponse)
		if resp.Topics[0].Partitions[0].LogAppendTime < 0 {
			t.say("not given")
		} else {
			t.say("given")
		}
	}))
	all = append(all, settingQuestions()...)
	return append(all, securityQuestions()...)
}

func creating(name string, settings ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	topic := newTopic(name, 1, 1)
	for i := 0; i < len(settings); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = settings[i], kmsg.StringPtr(settings[i+1])
		topic.Configs = append(topic.Configs, c)
	}
	req.Topics = append(req.Topics, topic)
	return req
}

// create makes a topic with a setting and waits until it is led.
func (t *talk) create(name, setting, value string) {
	t.must(creating(name, setting, value), 4)
	t.until(func() bool { return errorsOf(t.once(namedMetadata(name), 4)) == "ok" })
}

// produced asks Produce in versions that answer differently to what is wrong.
func produced(family, setting, value string, made func() []byte) []question {
	var all []question
	for _, v := range []int16{3, 8, 9, 12} {
		all = append(all, question{family: family, variant: versionName(v), talk: func(t *talk) {
			name := "judge-" + setting + "-" + versionName(v)
			t.create(name, setting, value)
			t.tell(produceRequest(v, name, 1, made()), v)
		}})
	}
	return all
}

// badSettings are settings that can't be kept.
var badSettings = []struct{ what, name, value string }{
	{"max.message.bytes=10MB", "max.message.bytes", "10MB"},
	{"max.message.bytes=-1", "max.message.bytes", "-1"},
	{"retention.ms=tomorrow", "retention.ms", "tomorrow"},
	{"retention.ms=-2", "retention.ms", "-2"},
	{"segment.bytes=", "segment.bytes", ""},
	{"cleanup.policy=shred", "cleanup.policy", "shred"},
	{"cleanup.policy=compact,shred", "cleanup.policy", "compact,shred"},
	{"compression.type=zip", "compression.type", "zip"},
	{"message.timestamp.type=Now", "message.timestamp.type", "Now"},
	{"min.insync.replicas=0", "min.insync.replicas", "0"},
	{"preallocate=perhaps", "preallocate", "perhaps"},
	{"no.such.setting=1", "no.such.setting", "1"},
	{"cleanup.policy=compact,delete", "cleanup.policy", "compact,delete"}, // this one is not
}

func settingQuestions() (all []question) {
	for i, b := range badSettings {
		all = append(all,
			question{family: "creating a topic with a bad setting", variant: b.what, talk: func(t *talk) {
				t.tell(creating(fmt.Sprintf("judge-bad-%d", i), b.name, b.value), 4)
			}},
			question{family: "a bad setting for a topic", variant: b.what, talk: func(t *talk) {
				t.tell(altering(kmsg.ConfigResourceTypeTopic, topic, b.name, b.value), 1)
			}},
			question{family: "a bad setting in place of all of a topic", variant: b.what, talk: func(t *talk) {
				req := kmsg.NewPtrAlterConfigsRequest()
				req.ValidateOnly = true
				r := kmsg.NewAlterConfigsRequestResource()
				r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
				c := kmsg.NewAlterConfigsRequestResourceConfig()
				c.Name, c.Value = b.name, kmsg.StringPtr(b.value)
				r.Configs = append(r.Configs, c)
				req.Resources = append(req.Resources, r)
				t.tell(req, 2)
			}})
	}
	for _, b := range [][2]string{{"log.retention.ms", "soon"}, {"message.max.bytes", "10MB"}, {"no.such.setting", "1"}, {"log.cleaner.threads", "1"}, {"num.io.threads", "9"}, {"max.connections", "1000"}, {"log.flush.interval.ms", "5000"}} {
		all = append(all, question{family: "a setting for all brokers", variant: b[0] + "=" + b[1], talk: func(t *talk) {
			t.tell(altering(kmsg.ConfigResourceTypeBroker, "", b[0], b[1]), 1)
		}})
	}
	return append(all, settingsDone()...)
}

// settingsDone asks for settings that mean something, of topics and of groups: a
// server that does not do what one says had better refuse it.
func settingsDone() (all []question) {
	for _, b := range [][2]string{
		{"flush.messages", "5"}, {"flush.ms", "5000"}, {"max.compaction.lag.ms", "60000"}, {"remote.storage.enable", "true"},
		{"remote.log.copy.disable", "true"}, {"compression.lz4.level", "12"}, {"min.compaction.lag.ms", "1000"},
	} {
		all = append(all, question{family: "a setting for a topic", variant: b[0] + "=" + b[1], talk: func(t *talk) {
			t.tell(altering(kmsg.ConfigResourceTypeTopic, topic, b[0], b[1]), 1)
		}})
	}
	for _, b := range [][2]string{
		{"consumer.session.timeout.ms", "50000"}, {"consumer.heartbeat.interval.ms", "6000"}, {"share.isolation.level", "read_committed"},
		{"share.auto.offset.reset", "by_duration:PT1H"}, {"share.record.lock.duration.ms", "20000"}, {"no.such.setting", "1"},
	} {
		all = append(all, question{family: "a setting for a group", variant: b[0] + "=" + b[1], talk: func(t *talk) {
			t.tell(altering(kmsg.ConfigResourceTypeGroupConfig, "judge-set", b[0], b[1]), 1)
		}})
	}
	return append(all, aTalk("a subscription to metrics of clients", func(t *talk) {
		t.tell(altering(kmsg.ConfigResourceTypeClientMetrics, "judge-metrics", "interval.ms", "5000"), 1)
	}))
}

// altering tries a setting and keeps nothing.
func altering(kind kmsg.ConfigResourceType, of, name, value string) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = true
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, of
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = name, kmsg.StringPtr(value)
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	return req
}

// securityQuestions are about ACLs where nobody authorizes.
func securityQuestions() []question {
	acl := func(permission kmsg.ACLPermissionType) kmsg.CreateACLsRequestCreation {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.ResourcePatternType = kmsg.ACLResourceTypeTopic, topic, kmsg.ACLResourcePatternTypeLiteral
		c.Principal, c.Host, c.Operation, c.PermissionType = "User:judge", "*", kmsg.ACLOperationRead, permission
		return c
	}
	add := func(permission kmsg.ACLPermissionType) func(*talk) {
		return func(t *talk) {
			req := kmsg.NewPtrCreateACLsRequest()
			req.Creations = append(req.Creations, acl(permission))
			t.tell(req, 3)
		}
	}
	return []question{
		{family: "adding an ACL", variant: "DENY", talk: add(kmsg.ACLPermissionTypeDeny)},
		{family: "adding an ACL", variant: "ALLOW", talk: add(kmsg.ACLPermissionTypeAllow)},
		aTalk("describing ACLs", func(t *talk) {
			req := kmsg.NewPtrDescribeACLsRequest()
			req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			t.tell(req, 3)
		}),
		aTalk("deleting ACLs", func(t *talk) {
			req := kmsg.NewPtrDeleteACLsRequest()
			f := kmsg.NewDeleteACLsRequestFilter()
			f.ResourceType, f.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			f.Operation, f.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			req.Filters = append(req.Filters, f)
			t.tell(req, 3)
		}),
		aTalk("a quota for a client", func(t *talk) { t.tell(clientQuota("producer_byte_rate"), 1) }),
		aTalk("a quota for changes of topics", func(t *talk) { t.tell(clientQuota("controller_mutation_rate"), 1) }),
		aTalk("a quota for new connections of an address", func(t *talk) {
			req := clientQuota("connection_creation_rate")
			req.Entries[0].Entity[0].Type, req.Entries[0].Entity[0].Name = "ip", kmsg.StringPtr("192.0.2.1")
			t.tell(req, 1)
		}),
		aTalk("a quota of a kind nobody knows", func(t *talk) { t.tell(clientQuota("no_such_rate"), 1) }),
	}
}

func clientQuota(kind string) *kmsg.AlterClientQuotasRequest {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	e := kmsg.NewAlterClientQuotasRequestEntry()
	entity := kmsg.NewAlterClientQuotasRequestEntryEntity()
	entity.Type, entity.Name = "client-id", kmsg.StringPtr("judge-quota")
	e.Entity = append(e.Entity, entity)
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Value = kind, 1<<20
	e.Ops = append(e.Ops, op)
	req.Entries = append(req.Entries, e)
	return req
}
