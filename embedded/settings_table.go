package embedded

import (
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// done says what becomes of a setting that a topic may have in Apache Kafka.
type done uint8

const (
	// enforced: it has its effect, by kfake or in front of it.
	enforced done = iota
	// harmless: accepted, kept and described. On one node that compacts nothing
	// and knows no segments to its clients, nobody can see a difference.
	harmless
	// undone: only its default is accepted.
	undone
)

// setting is a topic's setting of Apache Kafka 4.1 (TopicConfig, LogConfig).
type setting struct {
	name string
	// broker is the broker's setting that topics without their own follow;
	// empty: there is none.
	broker string
	value  kmsg.ConfigType
	preset string
	done   done
	// instead is what a refusal of an undone setting advises.
	instead string
	valid   validity
}

// validity says what is wrong with a value of the right type, or with an element
// of a list; empty: nothing.
type validity func(value string) string

const (
	forever = "9223372036854775807"

	cleanupPolicy     = "cleanup.policy"
	compressionType   = "compression.type"
	gzipLevel         = "compression.gzip.level"
	lz4Level          = "compression.lz4.level"
	zstdLevel         = "compression.zstd.level"
	maxMessageBytes   = "max.message.bytes"
	timestampType     = "message.timestamp.type"
	timestampAfter    = "message.timestamp.after.max.ms"
	timestampBefore   = "message.timestamp.before.max.ms"
	retentionBytes    = "retention.bytes"
	retentionMillis   = "retention.ms"
	segmentBytes      = "segment.bytes"
	minCompactionLag  = "min.compaction.lag.ms"
	maxCompactionLag  = "max.compaction.lag.ms"
	brokerMessageMax  = "message.max.bytes"
	brokerSegment     = "log.segment.bytes"
	logAppendTime     = "LogAppendTime"
	notANumber        = "Not a number of type "
	syncInstead       = "start kring with --sync-writes, which syncs every batch"
	tieredInstead     = "there is no tiered storage"
	uncompactedReason = "nothing is ever compacted here"
)

// topicSettings is every setting of a topic, in the order of their names.
var topicSettings = []setting{
	{cleanupPolicy, "log.cleanup.policy", kmsg.ConfigTypeList, "delete", enforced, "", oneOf("compact", "delete")},
	{gzipLevel, gzipLevel, kmsg.ConfigTypeInt, "-1", enforced, "", gzipLevels},
	{lz4Level, lz4Level, kmsg.ConfigTypeInt, "9", enforced, "", within(1, 17)},
	{compressionType, compressionType, kmsg.ConfigTypeString, "producer", enforced, "",
		oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")},
	{zstdLevel, zstdLevel, kmsg.ConfigTypeInt, "3", enforced, "", within(-131072, 22)},
	{"delete.retention.ms", "log.cleaner.delete.retention.ms", kmsg.ConfigTypeLong, "86400000", harmless, "", atLeast(0)},
	{"file.delete.delay.ms", "log.segment.delete.delay.ms", kmsg.ConfigTypeLong, "60000", harmless, "", atLeast(0)},
	{"flush.messages", "log.flush.interval.messages", kmsg.ConfigTypeLong, forever, undone, syncInstead, atLeast(1)},
	{"flush.ms", "log.flush.interval.ms", kmsg.ConfigTypeLong, forever, undone, syncInstead, atLeast(0)},
	{"follower.replication.throttled.replicas", "", kmsg.ConfigTypeList, "", harmless, "", replica("follower.replication.throttled.replicas")},
	{"index.interval.bytes", "log.index.interval.bytes", kmsg.ConfigTypeInt, "4096", harmless, "", atLeast(0)},
	{"leader.replication.throttled.replicas", "", kmsg.ConfigTypeList, "", harmless, "", replica("leader.replication.throttled.replicas")},
	{"local.retention.bytes", "log.local.retention.bytes", kmsg.ConfigTypeLong, "-2", harmless, "", atLeast(-2)},
	{"local.retention.ms", "log.local.retention.ms", kmsg.ConfigTypeLong, "-2", harmless, "", atLeast(-2)},
	{maxCompactionLag, "log.cleaner.max.compaction.lag.ms", kmsg.ConfigTypeLong, forever, undone, uncompactedReason, atLeast(1)},
	{maxMessageBytes, brokerMessageMax, kmsg.ConfigTypeInt, "", enforced, "", atLeast(0)},
	{timestampAfter, "log.message.timestamp.after.max.ms", kmsg.ConfigTypeLong, "3600000", enforced, "", atLeast(0)},
	{timestampBefore, "log.message.timestamp.before.max.ms", kmsg.ConfigTypeLong, forever, enforced, "", atLeast(0)},
	{timestampType, "log.message.timestamp.type", kmsg.ConfigTypeString, "CreateTime", enforced, "", oneOf("CreateTime", logAppendTime)},
	{"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", kmsg.ConfigTypeDouble, "0.5", harmless, "", within(0, 1)},
	{minCompactionLag, "log.cleaner.min.compaction.lag.ms", kmsg.ConfigTypeLong, "0", harmless, "", atLeast(0)},
	{"min.insync.replicas", "min.insync.replicas", kmsg.ConfigTypeInt, "1", harmless, "", atLeast(1)},
	{"preallocate", "log.preallocate", kmsg.ConfigTypeBoolean, "false", harmless, "", nil},
	{"remote.log.copy.disable", "", kmsg.ConfigTypeBoolean, "false", undone, tieredInstead, nil},
	{"remote.log.delete.on.disable", "", kmsg.ConfigTypeBoolean, "false", undone, tieredInstead, nil},
	{"remote.storage.enable", "", kmsg.ConfigTypeBoolean, "false", undone, tieredInstead, nil},
	{retentionBytes, "log.retention.bytes", kmsg.ConfigTypeLong, "-1", enforced, "", nil},
	{retentionMillis, "log.retention.ms", kmsg.ConfigTypeLong, "604800000", enforced, "", atLeast(-1)},
	{segmentBytes, brokerSegment, kmsg.ConfigTypeInt, strconv.Itoa(segmentBytesMax), enforced, "", atLeast(1 << 20)},
	{"segment.index.bytes", "log.index.size.max.bytes", kmsg.ConfigTypeInt, "10485760", harmless, "", atLeast(4)},
	{"segment.jitter.ms", "log.roll.jitter.ms", kmsg.ConfigTypeLong, "0", harmless, "", atLeast(0)},
	{"segment.ms", "log.roll.ms", kmsg.ConfigTypeLong, "604800000", harmless, "", atLeast(1)},
	{"unclean.leader.election.enable", "unclean.leader.election.enable", kmsg.ConfigTypeBoolean, "false", harmless, "", nil},
}

// brokerOnly is what else Apache Kafka lets its clients change of a broker, and
// what makes no difference on one node that compacts nothing.
var brokerOnly = []setting{
	{name: "follower.replication.throttled.rate", value: kmsg.ConfigTypeLong, preset: forever, done: harmless, valid: atLeast(0)},
	{name: "leader.replication.throttled.rate", value: kmsg.ConfigTypeLong, preset: forever, done: harmless, valid: atLeast(0)},
	{name: "log.cleaner.backoff.ms", value: kmsg.ConfigTypeLong, preset: "15000", done: harmless, valid: atLeast(0)},
	{name: "log.cleaner.dedupe.buffer.size", value: kmsg.ConfigTypeLong, preset: "134217728", done: harmless},
	{name: "log.cleaner.io.buffer.load.factor", value: kmsg.ConfigTypeDouble, preset: "0.9", done: harmless},
	{name: "log.cleaner.io.buffer.size", value: kmsg.ConfigTypeInt, preset: "524288", done: harmless, valid: atLeast(0)},
	{name: "log.cleaner.io.max.bytes.per.second", value: kmsg.ConfigTypeDouble, preset: "1.7976931348623157E308", done: harmless},
	{name: "log.cleaner.threads", value: kmsg.ConfigTypeInt, preset: "1", done: harmless, valid: atLeast(0)},
	{name: "replica.alter.log.dirs.io.max.bytes.per.second", value: kmsg.ConfigTypeDouble, preset: "1.7976931348623157E308", done: harmless},
}

// groupSettings is the settings of a group that kfake obeys; undone are those
// that it only stores.
var groupSettings = []setting{
	{name: "consumer.heartbeat.interval.ms", value: kmsg.ConfigTypeInt, preset: "5000", done: undone, valid: within(5000, 15000)},
	{name: "consumer.session.timeout.ms", value: kmsg.ConfigTypeInt, preset: "45000", valid: within(45000, 60000)},
	{name: "share.auto.offset.reset", value: kmsg.ConfigTypeString, preset: "latest", valid: oneOf("latest", "earliest")},
	{name: "share.heartbeat.interval.ms", value: kmsg.ConfigTypeInt, preset: "5000", done: undone, valid: within(5000, 15000)},
	{name: "share.isolation.level", value: kmsg.ConfigTypeString, preset: "read_uncommitted", valid: oneOf("read_committed", "read_uncommitted")},
	{name: "share.record.lock.duration.ms", value: kmsg.ConfigTypeInt, preset: "30000", done: undone, valid: within(15000, 60000)},
	{name: "share.session.timeout.ms", value: kmsg.ConfigTypeInt, preset: "45000", done: undone, valid: within(45000, 60000)},
	{name: "streams.heartbeat.interval.ms", value: kmsg.ConfigTypeInt, preset: "5000", done: undone, valid: within(5000, 15000)},
	{name: "streams.num.standby.replicas", value: kmsg.ConfigTypeInt, preset: "0", done: undone, valid: within(0, 2)},
	{name: "streams.session.timeout.ms", value: kmsg.ConfigTypeInt, preset: "45000", done: undone, valid: within(45000, 60000)},
}

// byName is settings by their name.
func byName(settings []setting) map[string]*setting {
	of := make(map[string]*setting, len(settings))
	for i := range settings {
		of[settings[i].name] = &settings[i]
	}
	return of
}

var (
	settingOfTopic = byName(topicSettings)
	settingOfGroup = byName(groupSettings)
	// settingOfBroker is what clients may change of the broker. A topic's
	// setting is in it under the broker's name.
	settingOfBroker = func() map[string]*setting {
		of := byName(brokerOnly)
		for _, s := range topicSettings {
			if s.broker != "" {
				s.name = s.broker
				of[s.broker] = &s
			}
		}
		return of
	}()
)

// settingBytesMax is how long a value may be: kfake writes all of them down with
// every change of one.
const settingBytesMax = 16 << 10

// check gives a value as it is stored, or says what is wrong with it, in the
// words of Apache Kafka (ConfigDef.parseType).
func (s *setting) check(value string) (stored, fault string) {
	stored = strings.TrimSpace(value)
	if len(stored) > settingBytesMax {
		return "", s.invalid(stored[:20]+"…", "Value must be no longer than "+strconv.Itoa(settingBytesMax)+" bytes")
	}
	switch s.value {
	case kmsg.ConfigTypeInt:
		_, err := strconv.ParseInt(stored, 10, 32)
		fault = unless(err == nil, notANumber+"INT")
	case kmsg.ConfigTypeLong:
		_, err := strconv.ParseInt(stored, 10, 64)
		fault = unless(err == nil, notANumber+"LONG")
	case kmsg.ConfigTypeDouble:
		_, err := strconv.ParseFloat(stored, 64)
		fault = unless(err == nil, notANumber+"DOUBLE")
	case kmsg.ConfigTypeBoolean:
		stored = strings.ToLower(stored)
		fault = unless(stored == "true" || stored == "false", "Expected value to be either true or false")
	}
	if fault != "" {
		return "", s.invalid(value, fault)
	}
	elements := []string{stored}
	if s.value == kmsg.ConfigTypeList {
		elements = list(stored)
		stored = strings.Join(elements, ",")
	}
	for _, e := range elements {
		if s.valid == nil {
			break
		}
		if fault = s.valid(e); fault != "" {
			return "", s.invalid(e, fault)
		}
	}
	if s.done == undone && stored != s.preset {
		return "", s.name + "=" + stored + " is not done by the embedded cluster: " + s.advice()
	}
	return stored, ""
}

func (s *setting) invalid(value, fault string) string {
	return "Invalid value " + value + " for configuration " + s.name + ": " + fault
}

func (s *setting) advice() string {
	if s.instead != "" {
		return s.instead
	}
	return "leave it at " + s.preset
}

func unless(right bool, fault string) string {
	if right {
		return ""
	}
	return fault
}

// list is the elements of a list, as Apache Kafka cuts it.
func list(value string) []string {
	if value = strings.TrimSpace(value); value == "" {
		return nil
	}
	elements := strings.Split(value, ",")
	for i := range elements {
		elements[i] = strings.TrimSpace(elements[i])
	}
	return elements
}

func atLeast(low float64) validity { return within(low, math.Inf(1)) }

func within(low, high float64) validity {
	return func(value string) string {
		n, _ := strconv.ParseFloat(value, 64) // it is a number
		switch {
		case n < low:
			return "Value must be at least " + strconv.FormatFloat(low, 'f', -1, 64)
		case n > high:
			return "Value must be no more than " + strconv.FormatFloat(high, 'f', -1, 64)
		}
		return ""
	}
}

func gzipLevels(value string) string {
	if value == "-1" || within(1, 9)(value) == "" {
		return ""
	}
	return "Value must be between 1 and 9 or equal to -1"
}

func oneOf(values ...string) validity {
	return func(value string) string {
		for _, v := range values {
			if v == value {
				return ""
			}
		}
		return "String must be one of: " + strings.Join(values, ", ")
	}
}

// replica is the form of a throttled replica.
func replica(name string) validity {
	return func(value string) string {
		partition, broker, _ := strings.Cut(value, ":")
		_, err := strconv.ParseUint(partition, 10, 31)
		_, err2 := strconv.ParseUint(broker, 10, 31)
		return unless(value == "*" || err == nil && err2 == nil, name+" must be the literal '*' or a list of replicas in the "+
			"following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...")
	}
}
