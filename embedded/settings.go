package embedded

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

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
	broker map[string]string // guarded by mu; what holds, by the broker's name; replaced as a whole
	layers brokerLayers      // guarded by mu; what broker is made of
}

// brokerLayers is what clients have set of all brokers (""), and of the one there
// is, which comes first. Neither is changed once it is here.
type brokerLayers struct{ all, own map[string]string }

// holds is what of both holds.
func (l brokerLayers) holds() map[string]string {
	holds := make(map[string]string, len(l.all)+len(l.own))
	maps.Copy(holds, l.all)
	maps.Copy(holds, l.own)
	return holds
}

// of is the layer of a name in a request.
func (l *brokerLayers) of(broker string) *map[string]string {
	if broker == "" {
		return &l.all
	}
	return &l.own
}

// sources is where a setting's value comes from, as far as clients have set it.
func (l brokerLayers) sources(key, name string) (from []source) {
	if v, set := l.own[key]; set {
		from = append(from, source{kmsg.ConfigSourceDynamicBrokerConfig, name, v})
	}
	if v, set := l.all[key]; set {
		from = append(from, source{kmsg.ConfigSourceDynamicDefaultBrokerConfig, name, v})
	}
	return from
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
func (s *settings) ofBroker() brokerLayers {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.layers
}

func (s *settings) setBroker(layers brokerLayers) {
	s.mu.Lock()
	s.layers, s.broker = layers, layers.holds()
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
	r.decodedMax = decodedIn(s.cluster.cfg.KeptBytesMax, int64(r.messageBytes))
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
