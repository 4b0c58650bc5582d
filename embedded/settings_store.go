package embedded

import (
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What clients set of the broker is stored among kfake's own settings of the
// broker, which outlast a restart, under names that kfake does not know: kfake
// then obeys none by itself, and those that it obeys we set beside them. So are
// the settings of groups, which kfake only writes down when it stops.
const (
	storedBroker = "kring.broker." // of all brokers
	storedOwn    = "kring.broker0."
	storedGroup  = "kring.group." // setting:group
)

// setBesides is what we have kfake obey.
var setBesides = []string{brokerMessageMax, brokerSegment, "log.cleaner.backoff.ms"}

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
	broker := brokerLayers{make(map[string]string), make(map[string]string)}
	others := make(map[string]*string)
	for name, v := range stored {
		if name == storedStamps {
			s.stampsStored.Store(true)
			s.stamps.Store(true)
		} else if name, is := strings.CutPrefix(name, storedBroker); is {
			broker.all[name] = v
		} else if name, is := strings.CutPrefix(name, storedOwn); is {
			broker.own[name] = v
		} else if name, is := strings.CutPrefix(name, storedGroup); is {
			setting, group, _ := strings.Cut(name, ":")
			ofKfake(s.cluster, func(k *kfake.Cluster) any {
				k.SetGroupConfigs(group, map[string]string{setting: v})
				return nil
			})
		} else if !slices.Contains(setBesides, name) {
			others[name] = nil
			if of := settingOfBroker[name]; of == nil {
				s.cluster.log.Warn("embedded: a setting of the broker is dropped", "setting", name, "why", "it can't be changed by requests")
			} else if v, fault := of.check(v); fault == "" {
				broker.all[name] = v // an older version of kring had kfake keep it
			}
		}
	}
	if err := storeSettings(s.cluster.inside.ask, kmsg.ConfigResourceTypeBroker, "", others); err != nil {
		return err
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
	return s.store(s.cluster.inside.ask, brokerLayers{}, broker)
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
			why = "its value is not one that it can have" // the value may be a secret
		}
		s.cluster.log.Warn("embedded: a topic's setting is dropped", "topic", topic, "setting", name, "why", why)
		wrong[name] = nil
	}
	return storeSettings(s.cluster.inside.ask, kmsg.ConfigResourceTypeTopic, topic, wrong)
}

// store has kfake keep what clients set of the broker, and obey it where kfake
// does: was becomes is.
func (s *settings) store(ask asker, was, is brokerLayers) error {
	changes := make(map[string]*string)
	for name, v := range changesOf(was.all, is.all) {
		changes[storedBroker+name] = v
	}
	for name, v := range changesOf(was.own, is.own) {
		changes[storedOwn+name] = v
	}
	holds := is.holds()
	for _, name := range []string{brokerMessageMax, brokerSegment} { // see setBesides
		v := s.brokerValue(&setting{name: name, broker: name, preset: settingOfBroker[name].preset}, holds)
		changes[name] = &v
	}
	return storeSettings(ask, kmsg.ConfigResourceTypeBroker, "", changes)
}

// describedBroker is what kfake has been told of the broker.
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
			if c.Value != nil && c.Source == kmsg.ConfigSourceDynamicBrokerConfig {
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
