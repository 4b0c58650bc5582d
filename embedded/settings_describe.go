package embedded

import (
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// described is one setting as DescribeConfigs has it: its value is the first of
// its sources, the others are its synonyms.
type described struct {
	name    string
	value   kmsg.ConfigType
	fixed   bool // it can't be changed by a request
	sources []source
}

// source is where a value comes from.
type source struct {
	kind        kmsg.ConfigSource
	name, value string
}

// describeConfigs has topics and the broker described by what holds here: kfake
// knows a third of the settings, and says 1 MiB for the largest batch whatever
// it obeys.
func describeConfigs(x *exchange, req *kmsg.DescribeConfigsRequest) kmsg.Response {
	s := x.cluster().settings
	for i := range req.Resources {
		if names := &req.Resources[i].ConfigNames; *names != nil && len(*names) == 0 {
			*names, x.changed = nil, true // no names are all names, null or not
		}
	}
	then(x, func(resp *kmsg.DescribeConfigsResponse) {
		for i := range resp.Resources {
			r := &resp.Resources[i]
			if i >= len(req.Resources) || r.ErrorCode != 0 {
				continue
			}
			switch r.ResourceType {
			case kmsg.ConfigResourceTypeTopic:
				r.Configs = responseOf(s.describeTopic(r.ResourceName), req, req.Resources[i].ConfigNames)
			case kmsg.ConfigResourceTypeBroker:
				r.Configs = responseOf(s.describeBroker(r.ResourceName), req, req.Resources[i].ConfigNames)
				r.Configs = append(r.Configs, rackOf(r.ResourceName, req.Resources[i].ConfigNames)...)
			case kmsg.ConfigResourceTypeGroupConfig:
				r.Configs = responseOf(describeGroup(r.Configs), req, req.Resources[i].ConfigNames)
			}
		}
	})
	return nil
}

// rackOf is the broker's rack, which it has none of.
func rackOf(broker string, names []string) []kmsg.DescribeConfigsResponseResourceConfig {
	if broker == "" || names != nil && !slices.Contains(names, rackConfig) {
		return nil
	}
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.ConfigType, c.ReadOnly = rackConfig, kmsg.ConfigTypeString, true
	c.Source, c.IsDefault = kmsg.ConfigSourceDefaultConfig, true
	return []kmsg.DescribeConfigsResponseResourceConfig{c}
}

func responseOf(all []described, req *kmsg.DescribeConfigsRequest, names []string) []kmsg.DescribeConfigsResponseResourceConfig {
	configs := make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(all))
	for _, d := range all {
		if names != nil && !slices.Contains(names, d.name) {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.ConfigType, c.ReadOnly = d.name, d.value, d.fixed
		c.Value, c.Source = kmsg.StringPtr(d.sources[0].value), d.sources[0].kind
		c.IsDefault = c.Source == kmsg.ConfigSourceDefaultConfig
		if req.IncludeSynonyms {
			for _, from := range d.sources {
				synonym := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
				synonym.Name, synonym.Value, synonym.Source = from.name, kmsg.StringPtr(from.value), from.kind
				c.ConfigSynonyms = append(c.ConfigSynonyms, synonym)
			}
		}
		configs = append(configs, c)
	}
	return configs
}

// describeTopic is the settings of a topic; nil: it has gone.
func (s *settings) describeTopic(topic string) []described {
	info := s.cluster.topicInfo(topic)
	if info == nil {
		return nil
	}
	return s.describeWith(info.Configs)
}

// describeWith is the settings of a topic that is given these.
func (s *settings) describeWith(configs map[string]*string) []described {
	broker := s.ofBroker()
	var all []described
	for i := range topicSettings {
		of := &topicSettings[i]
		d := described{name: of.name, value: of.value}
		if v := configs[of.name]; v != nil {
			d.sources = append(d.sources, source{kmsg.ConfigSourceDynamicTopicConfig, of.name, *v})
		}
		name := of.name
		if of.broker != "" {
			name = of.broker
		}
		d.sources = append(d.sources, broker.sources(of.broker, name)...)
		d.sources = append(d.sources, source{kmsg.ConfigSourceDefaultConfig, name, s.preset(of)})
		all = append(all, d)
	}
	return all
}

// describeBroker is the settings of the broker. Without a name only what clients
// have set is meant, as in Apache Kafka.
func (s *settings) describeBroker(name string) []described {
	set := s.ofBroker()
	if name == "" {
		set.own = nil
	}
	var all []described
	for _, key := range slices.Sorted(maps.Keys(settingOfBroker)) {
		of := settingOfBroker[key]
		d := described{name: key, value: of.value}
		d.sources = append(d.sources, set.sources(key, key)...)
		if name == "" && len(d.sources) == 0 {
			continue
		}
		d.sources = append(d.sources, source{kmsg.ConfigSourceDefaultConfig, key, s.preset(of)})
		all = append(all, d)
	}
	if name != "" {
		all = append(all, s.fixed()...)
	}
	slices.SortFunc(all, func(a, b described) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return all
}

// describeGroup is the settings of a group of which kfake has kept some: it has no
// value for the others, and names some that it does not obey.
func describeGroup(kept []kmsg.DescribeConfigsResponseResourceConfig) []described {
	var all []described
	for i := range groupSettings {
		of := &groupSettings[i]
		d := described{name: of.name, value: of.value}
		for _, c := range kept {
			if c.Name == of.name && c.Source == kmsg.ConfigSourceGroupConfig && c.Value != nil {
				d.sources = append(d.sources, source{c.Source, of.name, *c.Value})
			}
		}
		d.sources = append(d.sources, source{kmsg.ConfigSourceDefaultConfig, of.name, of.preset})
		all = append(all, d)
	}
	return all
}

// fixed is what clients may want to know of the broker and can't change.
func (s *settings) fixed() []described {
	cfg := s.cluster.cfg
	var all []described
	add := func(kind kmsg.ConfigSource, name string, of kmsg.ConfigType, value string) {
		all = append(all, described{name, of, true, []source{{kind, name, value}}})
	}
	static, preset := kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigSourceDefaultConfig
	add(static, "node.id", kmsg.ConfigTypeInt, strconv.Itoa(nodeID))
	add(static, "broker.id", kmsg.ConfigTypeInt, strconv.Itoa(nodeID))
	add(static, "num.partitions", kmsg.ConfigTypeInt, strconv.Itoa(cfg.Partitions))
	if cfg.DataDir != "" {
		add(static, "log.dirs", kmsg.ConfigTypeString, cfg.DataDir)
	}
	for _, p := range []struct {
		name, value string
		of          kmsg.ConfigType
	}{
		{"auto.create.topics.enable", "true", kmsg.ConfigTypeBoolean},
		{"default.replication.factor", "1", kmsg.ConfigTypeInt},
		{"delete.topic.enable", "true", kmsg.ConfigTypeBoolean},
		{"group.consumer.heartbeat.interval.ms", "5000", kmsg.ConfigTypeInt},
		{"group.consumer.session.timeout.ms", "45000", kmsg.ConfigTypeInt},
		{"group.max.session.timeout.ms", strconv.FormatInt(sessionTimeoutMax.Milliseconds(), 10), kmsg.ConfigTypeInt},
		{"group.min.session.timeout.ms", "6000", kmsg.ConfigTypeInt},
		{"log.cleaner.enable", "false", kmsg.ConfigTypeBoolean},
		{"log.retention.check.interval.ms", strconv.FormatInt(retentionEvery.Milliseconds(), 10), kmsg.ConfigTypeLong},
		{"log.retention.hours", "168", kmsg.ConfigTypeInt},
		{"offset.metadata.max.bytes", strconv.Itoa(offsetMetadataMax), kmsg.ConfigTypeInt},
		{"offsets.retention.minutes", "10080", kmsg.ConfigTypeInt},
		{"transaction.max.timeout.ms", "900000", kmsg.ConfigTypeInt},
	} {
		add(preset, p.name, p.of, p.value)
	}
	return all
}
