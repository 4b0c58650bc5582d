package kafka

import (
	"slices"
	"testing"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// KAFKA-18659: librdkafka up to 2.8 compresses nothing for a broker that does not
// announce Produce 0. Apache Kafka 4 announces it and closes the connection of a client
// that sends it.
func TestProduceIsAnnouncedFromVersion0AndRefusedBelow3(t *testing.T) {
	n, c := newNull(t, NullConfig{})
	if r, _ := n.Versions().Range(keyProduce); r.Min != 3 {
		t.Errorf("Produce is served from version %d", r.Min)
	}
	for version := range int16(5) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "librdkafka", "2.8.0"
		resp := ask[*kmsg.ApiVersionsResponse](c, req, version)
		if !slices.Equal(rangesOf(resp), n.Versions().Announced()) || rangesOf(resp)[0] != (VersionRange{keyProduce, 0, 13}) {
			t.Errorf("ApiVersions v%d: %v", version, rangesOf(resp))
		}
	}
	for version := range int16(3) {
		kind, _, why := c.send(append(rawHeader(keyProduce, version, 0), produceBody(version, 1, 1, 1)...))
		if kind != reqchan.AnswerClose || why != reqchan.UnsupportedVersion {
			t.Errorf("Produce v%d: %v, %v", version, kind, why)
		}
	}
}

func TestOnlyProduceIsAnnouncedOtherwiseThanServed(t *testing.T) {
	v, err := NewVersions(VersionRange{18, 0, 3}, VersionRange{1, 4, 18}, VersionRange{keyProduce, 5, 9})
	if err != nil {
		t.Fatal(err)
	}
	if want := []VersionRange{{keyProduce, 0, 9}, {1, 4, 18}, {18, 0, 3}}; !slices.Equal(v.Announced(), want) {
		t.Errorf("announced: %v", v.Announced())
	}
	if want := []VersionRange{{keyProduce, 5, 9}, {1, 4, 18}, {18, 0, 3}}; !slices.Equal(v.All(), want) {
		t.Errorf("served: %v", v.All())
	}
}

// KAFKA-17011, KAFKA-17492: Java clients from 3.3 to 3.7 fail on a supported feature
// of level 0 ("Expected minValue >= 1") and never connect.
func TestFeaturesOfLevel0AreLeftOutForClientsThatCannotReadThem(t *testing.T) {
	for version := int16(0); version <= describe(keyApiVersions).max; version++ {
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.Version = version
		for _, least := range []int16{0, 1, 7} {
			f := kmsg.NewApiVersionsResponseSupportedFeature()
			f.Name, f.MinVersion, f.MaxVersion = string(rune('a'+least)), least, 9
			resp.SupportedFeatures = append(resp.SupportedFeatures, f)
		}
		level := kmsg.NewApiVersionsResponseFinalizedFeature()
		level.Name, level.MaxVersionLevel, level.MinVersionLevel = "a", 1, 1
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, level)
		Versions{}.Announce(resp)
		want := "abh"
		if version < 4 {
			want = "bh"
		}
		got := ""
		for _, f := range resp.SupportedFeatures {
			got += f.Name
		}
		if got != want || len(resp.FinalizedFeatures) != 1 {
			t.Errorf("v%d: features %q, want %q; %d levels", version, got, want, len(resp.FinalizedFeatures))
		}
	}
}
