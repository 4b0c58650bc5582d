package embedded

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What is set of the one broker comes before what is set of all; what is deleted of
// one stays in the other.
func TestTheBrokersOwnSettingsAndThoseOfAllAreTwo(t *testing.T) {
	const name = "log.retention.bytes"
	dir := t.TempDir()
	c := open(t, Config{Seed: []Topic{{"settings", 1}}, DataDir: dir})
	check := func(c *Cluster, all, own string, holds int64) {
		t.Helper()
		var want []kmsg.ConfigSource
		for _, layer := range []struct {
			value  string
			source kmsg.ConfigSource
		}{{own, kmsg.ConfigSourceDynamicBrokerConfig}, {all, kmsg.ConfigSourceDynamicDefaultBrokerConfig}, {"-1", kmsg.ConfigSourceDefaultConfig}} {
			if layer.value != "" {
				want = append(want, layer.source)
			}
		}
		for kind, of := range map[kmsg.ConfigResourceType][2]string{ofBroker: {"0", name}, ofTopic: {"settings", "retention.bytes"}} {
			got := describe(t, c, kind, of[0])[of[1]]
			var sources []kmsg.ConfigSource
			for _, s := range got.ConfigSynonyms {
				sources = append(sources, s.Source)
			}
			if got.Source != want[0] || !slices.Equal(sources, want) {
				t.Errorf("%s: from %v, want %v", of[0], sources, want)
			}
		}
		of, set := describe(t, c, ofBroker, "")[name]
		if set != (all != "") || set && (text(of.Value) != all || of.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig) {
			t.Errorf("of all: %+v, want %q", of, all)
		}
		if got := c.settings.of("settings").retainBytes; got != holds {
			t.Errorf("%d holds, want %d", got, holds)
		}
	}
	check(c, "", "", -1)
	mustAlter(t, c, ofBroker, "", name+"=1000")
	check(c, "1000", "", 1000)
	mustAlter(t, c, ofBroker, "0", name+"=2000")
	check(c, "1000", "2000", 2000)
	check(open(t, Config{DataDir: killed(t, dir)}), "1000", "2000", 2000)
	mustAlter(t, c, ofBroker, "", "-"+name)
	check(c, "", "2000", 2000)
	mustAlter(t, c, ofBroker, "", name+"=1000")
	mustAlter(t, c, ofBroker, "0", "-"+name)
	check(c, "1000", "", 1000)
	check(open(t, Config{DataDir: killed(t, dir)}), "1000", "", 1000)
}
