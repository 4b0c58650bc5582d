package embedded

import (
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicRules is what a topic's settings, and the broker's behind them, ask of
// those who produce to it and of retention.
type topicRules struct {
	keyed         bool // compacted: every record needs a key
	expires       bool // retention applies
	appendTime    bool // records get the time at which they come
	afterMillis   int64
	beforeMillis  int64
	retainMillis  int64 // negative: without end
	retainBytes   int64 // negative: without bound
	messageBytes  int
	codec         string // compression.type
	codecLevel    int
	segmentsBytes int64
}

// settings is what is set of topics and of the broker. What a topic has stands
// in kfake and is looked up once; what clients set of the broker stands here and
// is stored in kfake (see brokerStore).
type settings struct {
	cluster *Cluster
	// alter is held while somebody changes settings, because what is appended
	// to a list is added to what was there.
	alter sync.Mutex

	// stamps says that a batch may have been stamped, or may soon be;
	// stampsStored, that the data directory says so.
	stamps, stampsStored atomic.Bool

	mu    sync.RWMutex
	rules map[string]*topicRules // guarded by mu; of topics that exist, at most
	// round grows with every forget: what was looked up before is not kept.
	round  uint64            // guarded by mu
	broker map[string]string // guarded by mu; by the broker's name; replaced as a whole
}

func newSettings(c *Cluster) *settings {
	return &settings{cluster: c, rules: make(map[string]*topicRules)}
}

// of returns a topic's rules, nil for a topic that does not exist.
func (s *settings) of(topic string) *topicRules {
	s.mu.RLock()
	rules, round, broker := s.rules[topic], s.round, s.broker
	s.mu.RUnlock()
	if rules != nil {
		return rules
	}
	info := s.cluster.topicInfo(topic)
	if info == nil {
		return nil
	}
	rules = s.resolve(info.Configs, broker)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.round == round {
		s.rules[topic] = rules
	}
	return rules
}

// forget drops what was looked up. Whoever changes or deletes a topic calls it
// when kfake has done it, and before the client learns of it.
func (s *settings) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round++
	clear(s.rules)
}

// ofBroker is what clients have set of the broker.
func (s *settings) ofBroker() map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.broker)
}

func (s *settings) setBroker(broker map[string]string) {
	s.mu.Lock()
	s.broker = broker
	s.mu.Unlock()
	s.forget()
}

// value is what holds for a setting of a topic.
func (s *settings) value(of *setting, topic map[string]*string, broker map[string]string) string {
	if v := topic[of.name]; v != nil {
		return *v
	}
	return s.brokerValue(of, broker)
}

// brokerValue is what holds for a setting of topics that do not have it.
func (s *settings) brokerValue(of *setting, broker map[string]string) string {
	if v, set := broker[of.broker]; set && of.broker != "" {
		return v
	}
	return s.preset(of)
}

// preset is a setting's value while nobody has set it.
func (s *settings) preset(of *setting) string {
	if of.name == maxMessageBytes || of.name == brokerMessageMax {
		return strconv.Itoa(s.cluster.cfg.BatchBytesMax)
	}
	return of.preset
}

func (s *settings) resolve(topic map[string]*string, broker map[string]string) *topicRules {
	text := func(name string) string { return s.value(settingOfTopic[name], topic, broker) }
	number := func(name string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(text(name)), 10, 64)
		if err != nil { // an older version of kring took anything
			n, _ = strconv.ParseInt(s.preset(settingOfTopic[name]), 10, 64)
		}
		return n
	}
	r := &topicRules{
		appendTime:    text(timestampType) == logAppendTime,
		afterMillis:   number(timestampAfter),
		beforeMillis:  number(timestampBefore),
		retainMillis:  number(retentionMillis),
		retainBytes:   number(retentionBytes),
		messageBytes:  int(number(maxMessageBytes)),
		segmentsBytes: number(segmentBytes),
		codec:         text(compressionType),
	}
	for _, policy := range list(text(cleanupPolicy)) {
		r.keyed = r.keyed || policy == "compact"
		r.expires = r.expires || policy == "delete"
	}
	if level, has := levelOf[r.codec]; has {
		r.codecLevel = int(number(level))
	}
	return r
}

var levelOf = map[string]string{"gzip": gzipLevel, "lz4": lz4Level, "zstd": zstdLevel}

// What clients set of the broker is stored among kfake's own settings of the
// broker, which outlast a restart, under names that kfake does not know: kfake
// then obeys none by itself, and those that it obeys we set beside them. So are
// the settings of groups, which kfake only writes down when it stops.
const (
	storedBroker = "kring.broker."
	storedGroup  = "kring.group." // setting:group
)

// cleanerOff keeps kfake from compacting and from its own retention. Its
// compaction moves the log's start, so that a group that committed below it would
// skip what is left; it drops what has no key, and retention of its own takes
// from topics that are compacted only. It is the longest that a timer can wait.
const cleanerOff = math.MaxInt64 / 1_000_000

// load takes over what a data directory has.
func (s *settings) load() error {
	stored, err := describedBroker(s.cluster.inside.ask)
	if err != nil {
		return err
	}
	broker := make(map[string]string)
	for name, v := range stored {
		if name == storedStamps {
			s.stampsStored.Store(true)
			s.stamps.Store(true)
		} else if name, is := strings.CutPrefix(name, storedBroker); is {
			broker[name] = v
		} else if name, is := strings.CutPrefix(name, storedGroup); is {
			setting, group, _ := strings.Cut(name, ":")
			ofKfake(s.cluster, func(k *kfake.Cluster) any {
				k.SetGroupConfigs(group, map[string]string{setting: v})
				return nil
			})
		}
	}
	s.setBroker(broker)
	topics, err := s.cluster.partitionCounts()
	if err != nil {
		return err
	}
	for topic := range topics {
		if err := s.heal(topic); err != nil {
			return err
		}
		if rules := s.of(topic); rules != nil && rules.appendTime {
			s.stamps.Store(true)
		}
	}
	return s.store(s.cluster.inside.ask, nil, broker)
}

// heal takes from a topic what older versions of kring took for a setting: with
// max.message.bytes=10MB kfake refuses every record.
func (s *settings) heal(topic string) error {
	info := s.cluster.topicInfo(topic)
	if info == nil {
		return nil
	}
	wrong := make(map[string]*string)
	for name, v := range info.Configs {
		why := "there is no such setting"
		if of := settingOfTopic[name]; of != nil && v != nil {
			if _, fault := of.check(*v); fault == "" {
				continue
			}
			why = "its value means nothing" // which may be a secret
		}
		s.cluster.log.Warn("embedded: a topic's setting is dropped", "topic", topic, "setting", name, "why", why)
		wrong[name] = nil
	}
	return storeSettings(s.cluster.inside.ask, kmsg.ConfigResourceTypeTopic, topic, wrong)
}

// store has kfake keep what clients set of the broker, and obey it where kfake
// does: was becomes is.
func (s *settings) store(ask asker, was, is map[string]string) error {
	changes := make(map[string]*string)
	for name := range was {
		if _, stays := is[name]; !stays {
			changes[storedBroker+name] = nil
		}
	}
	for name, v := range is {
		if before, had := was[name]; !had || before != v {
			changes[storedBroker+name] = &v
		}
	}
	for _, name := range []string{brokerMessageMax, brokerSegment} {
		v := s.brokerValue(&setting{name: name, broker: name, preset: settingOfBroker[name].preset}, is)
		changes[name] = &v
	}
	return storeSettings(ask, kmsg.ConfigResourceTypeBroker, "", changes)
}

// describedBroker is what kfake keeps of the broker.
func describedBroker(ask asker) (map[string]string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 4
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType = kmsg.ConfigResourceTypeBroker
	req.Resources = append(req.Resources, r)
	resp, err := ask(req)
	if err != nil {
		return nil, err
	}
	kept := make(map[string]string)
	for _, res := range resp.(*kmsg.DescribeConfigsResponse).Resources {
		for _, c := range res.Configs {
			if c.Value != nil {
				kept[c.Name] = *c.Value
			}
		}
	}
	return kept, nil
}

// asker puts a request to kfake.
type asker func(kmsg.Request) (kmsg.Response, error)

// storeSettings has kfake change settings of one resource; nil: as if never set.
func storeSettings(ask asker, kind kmsg.ConfigResourceType, name string, changes map[string]*string) error {
	if len(changes) == 0 {
		return nil
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for name, v := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value, c.Op = name, v, kmsg.IncrementalAlterConfigOpSet
		if v == nil {
			c.Op = kmsg.IncrementalAlterConfigOpDelete
		}
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	resp, err := ask(req)
	if err != nil {
		return err
	}
	for _, done := range resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
		if done.ErrorCode != 0 {
			return refuse(done.ErrorCode, "")
		}
	}
	return nil
}
