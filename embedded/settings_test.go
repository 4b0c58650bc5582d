package embedded

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/telemetry"
)

// set is a change of one setting: "name=value", or "-name" to go back to the
// default, "+name=value" to append and "~name=value" to subtract.
func settingOps(changes ...string) (ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) {
	for _, change := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		switch change[0] {
		case '-':
			c.Op, c.Name = kmsg.IncrementalAlterConfigOpDelete, change[1:]
			ops = append(ops, c)
			continue
		case '+':
			c.Op, change = kmsg.IncrementalAlterConfigOpAppend, change[1:]
		case '~':
			c.Op, change = kmsg.IncrementalAlterConfigOpSubtract, change[1:]
		}
		name, value, given := strings.Cut(change, "=")
		if c.Name = name; given {
			c.Value = &value
		}
		ops = append(ops, c)
	}
	return ops
}

// alter changes settings of one resource and returns what that is answered with.
func alter(t *testing.T, c *Cluster, kind kmsg.ConfigResourceType, name string, changes ...string) (int16, string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.Configs = kind, name, settingOps(changes...)
	req.Resources = append(req.Resources, r)
	_, resp := ask(t, c, req)
	done := resp.(*kmsg.IncrementalAlterConfigsResponse).Resources
	if len(done) != 1 {
		t.Fatalf("%v: answered with %v", changes, done)
	}
	return done[0].ErrorCode, text(done[0].ErrorMessage)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func mustAlter(t *testing.T, c *Cluster, kind kmsg.ConfigResourceType, name string, changes ...string) {
	t.Helper()
	if code, message := alter(t, c, kind, name, changes...); code != 0 {
		t.Fatalf("%s %v: error %d %q", name, changes, code, message)
	}
}

const (
	ofTopic  = kmsg.ConfigResourceTypeTopic
	ofBroker = kmsg.ConfigResourceTypeBroker
	ofGroup  = kmsg.ConfigResourceTypeGroupConfig
)

// describe returns the settings of a resource by name.
func describe(t *testing.T, c *Cluster, kind kmsg.ConfigResourceType, name string) map[string]kmsg.DescribeConfigsResponseResourceConfig {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeSynonyms = 4, true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	req.Resources = append(req.Resources, r)
	_, resp := ask(t, c, req)
	got := resp.(*kmsg.DescribeConfigsResponse).Resources[0]
	if got.ErrorCode != 0 {
		t.Fatalf("%s: error %d", name, got.ErrorCode)
	}
	of := make(map[string]kmsg.DescribeConfigsResponseResourceConfig)
	for _, s := range got.Configs {
		of[s.Name] = s
	}
	return of
}

// create makes a topic with settings and returns what that is answered with.
func create(t *testing.T, c *Cluster, topic string, settings ...string) (int16, string) {
	t.Helper()
	asked := topicOf(topic, 1)
	for _, op := range settingOps(settings...) {
		s := kmsg.NewCreateTopicsRequestTopicConfig()
		s.Name, s.Value = op.Name, op.Value
		asked.Configs = append(asked.Configs, s)
	}
	_, resp := ask(t, c, creating(asked))
	got := resp.(*kmsg.CreateTopicsResponse).Topics
	if len(got) != 1 {
		t.Fatalf("%s: answered with %v", topic, got)
	}
	return got[0].ErrorCode, text(got[0].ErrorMessage)
}

func mustCreate(t *testing.T, c *Cluster, topic string, settings ...string) {
	t.Helper()
	if code, message := create(t, c, topic, settings...); code != 0 {
		t.Fatalf("create %s %v: error %d %q", topic, settings, code, message)
	}
}

// Every value that Apache Kafka 4.1 refuses is refused with its words, at
// creation, by AlterConfigs and by IncrementalAlterConfigs, and nothing changes.
func TestASettingIsRefusedWithKafkasWords(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"settings", 1}}})
	for change, want := range map[string]string{
		"max.message.bytes=10MB":            "Invalid value 10MB for configuration max.message.bytes: Not a number of type INT",
		"max.message.bytes=-1":              "Invalid value -1 for configuration max.message.bytes: Value must be at least 0",
		"max.message.bytes=99999999999":     "Invalid value 99999999999 for configuration max.message.bytes: Not a number of type INT",
		"retention.ms=abc":                  "Invalid value abc for configuration retention.ms: Not a number of type LONG",
		"retention.ms=":                     "Invalid value  for configuration retention.ms: Not a number of type LONG",
		"retention.ms=-2":                   "Invalid value -2 for configuration retention.ms: Value must be at least -1",
		"cleanup.policy=none":               "Invalid value none for configuration cleanup.policy: String must be one of: compact, delete",
		"cleanup.policy=Compact":            "Invalid value Compact for configuration cleanup.policy: String must be one of: compact, delete",
		"compression.type=GZIP":             "Invalid value GZIP for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
		"compression.gzip.level=0":          "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
		"message.timestamp.type=createtime": "Invalid value createtime for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime",
		"min.cleanable.dirty.ratio=1.5":     "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
		"min.insync.replicas=0":             "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1",
		"preallocate=yes":                   "Invalid value yes for configuration preallocate: Expected value to be either true or false",
		"segment.bytes=1048575":             "Invalid value 1048575 for configuration segment.bytes: Value must be at least 1048576",
		"leader.replication.throttled.replicas=x": "Invalid value x for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*'" +
			" or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
		"no.such=1":             "Unknown topic config name: no.such",
		"message.max.bytes=100": "Unknown topic config name: message.max.bytes",
		"cleanup.policy=" + strings.Repeat("compact,", 3000): "Invalid value compact,compact,comp… for configuration cleanup.policy: Value must be no longer than 16384 bytes",
		"cleanup.policy=compact,none":                        "Invalid value none for configuration cleanup.policy: String must be one of: compact, delete",
	} {
		if code, message := create(t, c, "made", change); code != kerr.InvalidConfig.Code || message != want {
			t.Errorf("create with %s: error %d %q, want %q", change, code, message, want)
		}
		if code, message := alter(t, c, ofTopic, "settings", change); code != kerr.InvalidConfig.Code || message != want {
			t.Errorf("alter %s: error %d %q, want %q", change, code, message, want)
		}
		name, value, _ := strings.Cut(change, "=")
		if code, message := replaceAll(t, c, ofTopic, "settings", name, value); code != kerr.InvalidConfig.Code || message != want {
			t.Errorf("AlterConfigs %s: error %d %q, want %q", change, code, message, want)
		}
	}
	if info := c.kfake.TopicInfo("settings"); len(info.Configs) > 0 {
		t.Errorf("something changed: %v", info.Configs)
	}
	if c.kfake.TopicInfo("made") != nil {
		t.Error("a topic was made with a setting that was refused")
	}
}

// replaceAll gives a resource one setting and no other, by AlterConfigs.
func replaceAll(t *testing.T, c *Cluster, kind kmsg.ConfigResourceType, resource, name, value string) (int16, string) {
	t.Helper()
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Version = 2
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, resource
	if name != "" {
		s := kmsg.NewAlterConfigsRequestResourceConfig()
		s.Name, s.Value = name, &value
		r.Configs = append(r.Configs, s)
	}
	req.Resources = append(req.Resources, r)
	_, resp := ask(t, c, req)
	done := resp.(*kmsg.AlterConfigsResponse).Resources[0]
	return done.ErrorCode, text(done.ErrorMessage)
}

// What Apache Kafka does and the embedded cluster does not is refused by name;
// its default is not.
func TestASettingThatIsNotDoneIsRefused(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"settings", 1}}})
	for _, s := range topicSettings {
		if s.done != undone {
			continue
		}
		other := "5"
		if s.value == kmsg.ConfigTypeBoolean {
			other = "true"
		}
		code, message := alter(t, c, ofTopic, "settings", s.name+"="+other)
		if code != kerr.InvalidConfig.Code || !strings.Contains(message, "is not done by the embedded cluster") || s.instead == "" {
			t.Errorf("%s=%s: error %d %q", s.name, other, code, message)
		}
		mustAlter(t, c, ofTopic, "settings", s.name+"="+s.preset)
	}
}

func TestAlterationsAreAsApacheKafkaMakesThem(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"settings", 1}}})
	value := func(name string) string { return text(describe(t, c, ofTopic, "settings")[name].Value) }
	mustAlter(t, c, ofTopic, "settings", "retention.ms= 5 ", "cleanup.policy=compact, delete")
	if got := value("retention.ms") + " " + value("cleanup.policy"); got != "5 compact,delete" {
		t.Errorf("values %q", got)
	}
	mustAlter(t, c, ofTopic, "settings", "~cleanup.policy=compact")
	mustAlter(t, c, ofTopic, "settings", "-cleanup.policy", "-no.such")
	mustAlter(t, c, ofTopic, "settings", "+cleanup.policy=compact") // to the default
	if got := value("cleanup.policy"); got != "delete,compact" {
		t.Errorf("cleanup.policy is %q", got)
	}
	for changes, want := range map[string]int16{
		"+retention.ms=1":                kerr.InvalidConfig.Code, // no list
		"+no.such=1":                     kerr.InvalidConfig.Code,
		"+cleanup.policy=none":           kerr.InvalidConfig.Code,
		"retention.ms":                   kerr.InvalidRequest.Code, // null
		"retention.ms=1 retention.ms=2":  kerr.InvalidRequest.Code,
		"retention.ms=1 segment.bytes=1": kerr.InvalidConfig.Code, // all or nothing
	} {
		if code, message := alter(t, c, ofTopic, "settings", strings.Fields(changes)...); code != want || message == "" {
			t.Errorf("%s: error %d %q, want %d", changes, code, message, want)
		}
	}
	if got := value("retention.ms"); got != "5" {
		t.Errorf("retention.ms is %q", got)
	}
	if code, _ := replaceAll(t, c, ofTopic, "settings", "", ""); code != 0 || value("retention.ms") != "604800000" {
		t.Errorf("AlterConfigs without settings: error %d, retention.ms %s", code, value("retention.ms"))
	}
	if code, _ := alter(t, c, ofTopic, "nobody-has", "retention.ms=1"); code != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("a topic that does not exist: error %d", code)
	}
	if code, _ := alter(t, c, ofTopic, "", "retention.ms=1"); code != kerr.InvalidRequest.Code {
		t.Errorf("no topic: error %d", code)
	}
	if code, message := create(t, c, "made", "retention.ms"); code != kerr.InvalidConfig.Code || !strings.Contains(message, "Null value") {
		t.Errorf("a topic made with null: error %d %q", code, message)
	}
}

func TestValidateOnlyChangesNothing(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"settings", 1}}})
	for kind, name := range map[kmsg.ConfigResourceType]string{ofTopic: "settings", ofBroker: "", ofGroup: "g"} {
		change := map[kmsg.ConfigResourceType]string{ofTopic: "retention.ms=5", ofBroker: "log.retention.ms=5", ofGroup: "consumer.session.timeout.ms=50000"}[kind]
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Version, req.ValidateOnly = 1, true
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.Configs = kind, name, settingOps(change)
		req.Resources = append(req.Resources, r)
		_, resp := ask(t, c, req)
		if code := resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode; code != 0 {
			t.Errorf("%s: error %d", change, code)
		}
	}
	if got := text(describe(t, c, ofTopic, "settings")["retention.ms"].Value); got != "604800000" {
		t.Errorf("retention.ms is %s", got)
	}
	if got := c.settings.ofBroker(); len(got.holds()) > 0 {
		t.Errorf("of the broker: %v", got)
	}
}

// DescribeConfigs says what holds: every setting of Apache Kafka 4.1, none of
// another's, the largest batch as it is, and where each value comes from.
func TestDescribeConfigsSaysWhatHolds(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"settings", 1}}, BatchBytesMax: 5 << 20})
	got := describe(t, c, ofTopic, "settings")
	if len(got) != len(topicSettings) || len(got) != 33 {
		t.Errorf("%d settings, want 33 as Apache Kafka 4.1 has", len(got))
	}
	largest := got["max.message.bytes"]
	if text(largest.Value) != "5242880" || largest.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("max.message.bytes: %+v", largest)
	}
	if _, has := got["message.max.bytes"]; has {
		t.Error("a topic has the broker's message.max.bytes")
	}
	mustAlter(t, c, ofBroker, "", "message.max.bytes=2000000")
	mustAlter(t, c, ofTopic, "settings", "max.message.bytes=1000000")
	largest = describe(t, c, ofTopic, "settings")["max.message.bytes"]
	var from []kmsg.ConfigSource
	for _, s := range largest.ConfigSynonyms {
		from = append(from, s.Source)
	}
	want := []kmsg.ConfigSource{kmsg.ConfigSourceDynamicTopicConfig, kmsg.ConfigSourceDynamicDefaultBrokerConfig, kmsg.ConfigSourceDefaultConfig}
	if text(largest.Value) != "1000000" || !slices.Equal(from, want) {
		t.Errorf("max.message.bytes: %+v", largest)
	}
	of0, ofAll := describe(t, c, ofBroker, "0"), describe(t, c, ofBroker, "")
	if text(of0["message.max.bytes"].Value) != "2000000" || text(of0["group.max.session.timeout.ms"].Value) != "1800000" {
		t.Errorf("broker: %v", of0)
	}
	if len(ofAll) != 1 || text(ofAll["message.max.bytes"].Value) != "2000000" {
		t.Errorf("default of all brokers: %v", ofAll)
	}
}

// A batch is bounded by what DescribeConfigs says, also when a client has changed
// it and has taken that back.
func TestTheLargestBatchIsWhatIsSaid(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"settings", 1}}, BatchBytesMax: 3 << 20})
	large := batchWith(nowMillis(), 0, rec{"k", 2 << 20, 0})
	for _, step := range []struct {
		kind   kmsg.ConfigResourceType
		name   string
		change string
		want   int16
	}{
		{ofBroker, "", "", 0},
		{ofBroker, "", "message.max.bytes=1000000", kerr.MessageTooLarge.Code},
		{ofTopic, "settings", "max.message.bytes=3000000", 0},
		{ofTopic, "settings", "-max.message.bytes", kerr.MessageTooLarge.Code},
		{ofBroker, "", "-message.max.bytes", 0},
	} {
		if step.change != "" {
			mustAlter(t, c, step.kind, step.name, step.change)
		}
		if got := produced(t, c, "settings", 9, large); got.ErrorCode != step.want {
			t.Errorf("after %q: error %d, want %d", step.change, got.ErrorCode, step.want)
		}
	}
}

func TestOnlyWhatABrokerCanChangeIsChanged(t *testing.T) {
	c := open(t, Config{})
	for change, want := range map[string]string{
		"log.retention.hours=1":           "Cannot update these configs dynamically: Set(log.retention.hours)",
		"no.such=1":                       "Cannot update these configs dynamically: Set(no.such)",
		"num.io.threads=5":                "Cannot update these configs dynamically: Set(num.io.threads)",
		"group.max.session.timeout.ms=1":  "Cannot update these configs dynamically: Set(group.max.session.timeout.ms)",
		"log.retention.ms=abc":            "Invalid value abc for configuration log.retention.ms: Not a number of type LONG",
		"log.segment.bytes=10":            "Invalid value 10 for configuration log.segment.bytes: Value must be at least 1048576",
		"log.flush.interval.messages=1":   "log.flush.interval.messages=1 is not done by the embedded cluster: start kring with --sync-writes, which syncs every batch",
		"kring.broker.message.max.bytes=": "Cannot update these configs dynamically: Set(kring.broker.message.max.bytes)",
	} {
		if code, message := alter(t, c, ofBroker, "0", change); code != kerr.InvalidRequest.Code || message != want {
			t.Errorf("%s: error %d %q, want %q", change, code, message, want)
		}
	}
	for _, name := range []string{"1", "x"} {
		if code, _ := alter(t, c, ofBroker, name, "log.retention.ms=1"); code != kerr.InvalidRequest.Code {
			t.Errorf("broker %s: error %d", name, code)
		}
	}
	mustAlter(t, c, ofBroker, "", "log.cleaner.threads=2", "-no.such")
	// Who replaces all that was set does not take away what the cluster was started with.
	if code, message := replaceAll(t, c, ofBroker, "", "log.retention.ms", "5"); code != 0 {
		t.Errorf("AlterConfigs: error %d %q", code, message)
	}
	got := describe(t, c, ofBroker, "0")
	if text(got["log.retention.ms"].Value) != "5" || text(got["log.cleaner.threads"].Value) != "1" || text(got["message.max.bytes"].Value) != "16777216" {
		t.Errorf("described as %v", got)
	}
	kept, err := describedBroker(c.inside.ask)
	if err != nil || kept["message.max.bytes"] != "16777216" || kept["log.cleaner.backoff.ms"] != strconv.Itoa(cleanerOff) {
		t.Errorf("kfake has %v (%v)", kept, err)
	}
}

func TestSettingsOfGroupsAreDoneOrRefused(t *testing.T) {
	c := open(t, Config{})
	for change, want := range map[string]string{
		"consumer.session.timeout.ms=5":       "Value must be at least 45000",
		"consumer.session.timeout.ms=x":       "Not a number of type INT",
		"consumer.heartbeat.interval.ms=6000": "is not done by the embedded cluster: leave it at 5000",
		"share.auto.offset.reset=x":           "String must be one of: latest, earliest",
		"no.such=1":                           "Unknown group config name: no.such",
	} {
		if code, message := alter(t, c, ofGroup, "g", change); code != kerr.InvalidConfig.Code || !strings.Contains(message, want) {
			t.Errorf("%s: error %d %q, want %q", change, code, message, want)
		}
	}
	if code, _ := alter(t, c, ofGroup, "", "consumer.session.timeout.ms=50000"); code != kerr.InvalidRequest.Code {
		t.Errorf("no group: error %d", code)
	}
	mustAlter(t, c, ofGroup, "g", "consumer.session.timeout.ms=50000", "consumer.heartbeat.interval.ms=5000", "-no.such")
	got := describe(t, c, ofGroup, "g")
	if len(got) != len(groupSettings) || text(got["consumer.session.timeout.ms"].Value) != "50000" ||
		text(got["share.auto.offset.reset"].Value) != "latest" {
		t.Errorf("described as %v", got)
	}
	mustAlter(t, c, ofGroup, "g", "-consumer.session.timeout.ms")
	if value := text(describe(t, c, ofGroup, "g")["consumer.session.timeout.ms"].Value); value != "45000" {
		t.Errorf("the default is %q", value)
	}
}

// TestASubscriptionByRequestIsRefusedWithTheFlagThatDecides: another one where clients push
// already than where they don't.
func TestASubscriptionByRequestIsRefusedWithTheFlagThatDecides(t *testing.T) {
	for flag, pushed := range map[string]*telemetry.State{"--client-telemetry.": nil, "--client-telemetry-subscription.": new(telemetry.State)} {
		c := &Cluster{cfg: Config{Telemetry: pushed}}
		refused := newSettings(c).change(nil, alteration{kind: kmsg.ConfigResourceTypeClientMetrics, name: "m"}, false)
		if refused == nil || refused.code != kerr.InvalidRequest.Code || !strings.HasSuffix(refused.message, flag) {
			t.Errorf("%+v names no %s", refused, flag)
		}
	}
}

// What was accepted is there again after a process was killed.
func TestSettingsOutliveAKill(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	c := open(t, Config{DataDir: dir, Seed: []Topic{{"settings", 1}}})
	mustAlter(t, c, ofTopic, "settings", "message.timestamp.type=LogAppendTime", "retention.ms=7")
	mustAlter(t, c, ofBroker, "", "message.max.bytes=2000000", "log.retention.bytes=9")
	mustAlter(t, c, ofGroup, "a:b", "consumer.session.timeout.ms=50000")
	copyDir(t, dir, killed)
	c = open(t, Config{DataDir: killed})
	got := describe(t, c, ofTopic, "settings")
	for name, want := range map[string]string{
		"message.timestamp.type": "LogAppendTime", "retention.ms": "7", "max.message.bytes": "2000000", "retention.bytes": "9",
	} {
		if value := text(got[name].Value); value != want {
			t.Errorf("%s is %s, want %s", name, value, want)
		}
	}
	if value := text(describe(t, c, ofGroup, "a:b")["consumer.session.timeout.ms"].Value); value != "50000" {
		t.Errorf("the group's session timeout is %q", value)
	}
	if !c.settings.stamps.Load() {
		t.Error("fetches do not look for append time")
	}
	large := batchWith(nowMillis(), 0, rec{"k", 2_100_000, 0})
	if p := produced(t, c, "settings", 9, large); p.ErrorCode != kerr.MessageTooLarge.Code {
		t.Errorf("a batch over message.max.bytes: error %d", p.ErrorCode)
	}
}

// A data directory of an older version may have settings that are none. They go,
// with a line that says so, and what is right stays.
func TestWhatWasNeverASettingIsDropped(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	c := open(t, Config{DataDir: dir})
	if err := c.kfake.CreateTopic("old", 1, map[string]string{"max.message.bytes": "10MB", "no.such": "1", "retention.ms": "7000"}); err != nil {
		t.Fatal(err)
	}
	value := func(v string) *string { return &v }
	if err := storeSettings(c.inside.ask, ofBroker, "", map[string]*string{
		"log.retention.ms": value("8000"), "log.retention.bytes": nil, "group.max.session.timeout.ms": value("1"),
	}); err != nil {
		t.Fatal(err)
	}
	copyDir(t, dir, killed)
	log := &lockedLog{}
	c = open(t, Config{DataDir: killed, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if p := produced(t, c, "old", 9, batchWith(nowMillis(), 0, rec{"a", 10, 0})); p.ErrorCode != 0 {
		t.Errorf("%+v", p)
	}
	if info := c.kfake.TopicInfo("old"); len(info.Configs) != 1 || text(info.Configs["retention.ms"]) != "7000" {
		t.Errorf("settings %v", info.Configs)
	}
	kept, err := describedBroker(c.inside.ask)
	if got := c.settings.ofBroker(); err != nil || len(got.holds()) != 1 || got.all["log.retention.ms"] != "8000" ||
		kept["group.max.session.timeout.ms"] != "" || kept["log.retention.ms"] != "" {
		t.Errorf("of the broker %v, and kfake has %v (%v)", got, kept, err)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if lines := log.text.String(); !strings.Contains(lines, "max.message.bytes") || !strings.Contains(lines, "no.such") || strings.Contains(lines, "10MB") {
		t.Errorf("the log says:\n%s", lines)
	}
}

// A topic that is deleted and made again has none of the settings that it had.
func TestASettingGoesWithItsTopic(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "short", "cleanup.policy=compact")
	if rules := c.settings.of("short"); !rules.keyed {
		t.Fatal("it is not compacted")
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TopicNames = 4, []string{"short"}
	ask(t, c, req)
	if c.settings.of("short") != nil {
		t.Error("a topic that does not exist has settings")
	}
	mustCreate(t, c, "short")
	if rules := c.settings.of("short"); rules.keyed {
		t.Error("it is compacted still")
	}
}

// Refusals of several repairs of one request are all answered.
func TestEveryTopicOfARequestIsAnswered(t *testing.T) {
	c := open(t, Config{})
	bad := topicOf("bad-setting", 1)
	s := kmsg.NewCreateTopicsRequestTopicConfig()
	s.Name, s.Value = "no.such", kmsg.StringPtr("1")
	bad.Configs = append(bad.Configs, s)
	_, resp := ask(t, c, creating(bad, topicOf("../bad-name", 1)))
	got := map[string]int16{}
	for _, topic := range resp.(*kmsg.CreateTopicsResponse).Topics {
		got[topic.Topic] = topic.ErrorCode
	}
	if len(got) != 2 || got["bad-setting"] != kerr.InvalidConfig.Code || got["../bad-name"] != kerr.InvalidTopicException.Code {
		t.Errorf("answered with %v", got)
	}
}

// A topic that can't be made is answered with the reason.
func TestATopicThatCantBeMadeSaysWhy(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"a.b", 1}}})
	two := topicOf("two-replicas", 1)
	two.ReplicationFactor = 2
	_, resp := ask(t, c, creating(topicOf("a.b", 1), topicOf("a_b", 1), two, topicOf("none", 0)))
	want := map[string]string{
		"a.b": "already exists", "a_b": "collides", "two-replicas": "one broker", "none": "non-positive",
	}
	for _, topic := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if topic.ErrorCode == 0 || !strings.Contains(text(topic.ErrorMessage), want[topic.Topic]) {
			t.Errorf("%s: error %d %q", topic.Topic, topic.ErrorCode, text(topic.ErrorMessage))
		}
	}
}

// An admin client of franz-go, through a server, gets and sets what it asks for.
func TestAnAdminClientChangesSettings(t *testing.T) {
	n := serve(t, Config{Seed: []Topic{{"settings", 1}}})
	adm := admin(n)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"max.message.bytes": kmsg.StringPtr("10MB")}, "bad"); err == nil {
		t.Error("a topic was made with max.message.bytes=10MB")
	}
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": kmsg.StringPtr("compact")}, "good"); err != nil {
		t.Error(err)
	}
	got, err := adm.DescribeTopicConfigs(ctx, "good")
	if err != nil || len(got) != 1 || len(got[0].Configs) != len(topicSettings) {
		t.Errorf("described as %v, %v", got, err)
	}
}

// Every setting of a topic stands in docs/embedded.md with what becomes of it.
func TestEverySettingIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/embedded.md")
	if err != nil {
		t.Fatal(err)
	}
	becomes := map[done]string{enforced: "enforced", harmless: "makes no difference", undone: "refused"}
	for _, s := range topicSettings {
		row := "| `" + s.name + "` | " + becomes[s.done]
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/embedded.md has no row %q", row)
		}
	}
}

// No names of settings are all of them, whether they are null or an empty list:
// @platformatic/kafka sends the latter.
func TestAnEmptyListOfSettingsMeansAll(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "orders")
	for kind, name := range map[kmsg.ConfigResourceType]string{ofTopic: "orders", ofBroker: "0", ofGroup: "g"} {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Version = 4
		for _, names := range [][]string{nil, {}} {
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, names
			req.Resources = append(req.Resources, r)
		}
		_, resp := ask(t, c, req)
		got := resp.(*kmsg.DescribeConfigsResponse).Resources
		if all := len(got[0].Configs); all == 0 || len(got[1].Configs) != all {
			t.Errorf("kind %d: %d settings, and of an empty list %d", kind, all, len(got[1].Configs))
		}
	}
}

// The size of a segment is described as it holds, and a change of something else
// does not change it.
func TestTheSegmentSizeThatIsDescribedHolds(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "orders")
	for _, change := range []string{"", "log.retention.ms=-1"} {
		if change != "" {
			mustAlter(t, c, ofBroker, "", change)
		}
		kept, err := describedBroker(c.inside.ask)
		if err != nil {
			t.Fatal(err)
		}
		said := text(describe(t, c, ofTopic, "orders")["segment.bytes"].Value)
		if want := strconv.Itoa(segmentBytesMax); said != want || kept[brokerSegment] != want {
			t.Errorf("after %q it is described as %s and kfake has %s, want %s", change, said, kept[brokerSegment], want)
		}
	}
}
