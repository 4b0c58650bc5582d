package embedded

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

func versionsOf(t *testing.T, c *Cluster, version int16) *kmsg.ApiVersionsResponse {
	t.Helper()
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "test", "1"
	_, resp := ask(t, c, req)
	v := resp.(*kmsg.ApiVersionsResponse)
	if v.ErrorCode != 0 {
		t.Fatalf("ApiVersions v%d: error %d", version, v.ErrorCode)
	}
	return v
}

func TestEveryVersionOfApiVersionsSaysTheSame(t *testing.T) {
	c := open(t, Config{})
	r, _ := c.Versions().Range(int16(kmsg.ApiVersions))
	for v := r.Min; v <= r.Max; v++ {
		var said []kafka.VersionRange
		for _, k := range versionsOf(t, c, v).ApiKeys {
			said = append(said, kafka.VersionRange{Key: k.ApiKey, Min: k.MinVersion, Max: k.MaxVersion})
		}
		if !slices.Equal(said, c.Versions().Announced()) {
			t.Errorf("v%d says %v", v, said)
		}
		if said[0].Key != 0 || said[0].Min != 0 {
			t.Errorf("v%d: Produce is announced as %v; librdkafka up to 2.8 compresses for 0 alone", v, said[0])
		}
	}
}

func TestOldJavaClientsSeeNoFeatureThatTheyFailOn(t *testing.T) {
	c := open(t, Config{})
	from0 := 0
	for v := int16(3); v <= 5; v++ {
		for _, f := range versionsOf(t, c, v).SupportedFeatures {
			if f.MinVersion < 1 {
				from0++
				if v == 3 {
					t.Errorf("v3 names %s from level %d on", f.Name, f.MinVersion)
				}
			}
		}
	}
	if from0 == 0 {
		t.Error("no version names a feature of level 0: nothing was tested")
	}
}

func TestTelemetryThatNobodyReceivesIsNotAnnounced(t *testing.T) {
	c := open(t, Config{})
	for v := int16(0); v <= 5; v++ {
		for _, k := range versionsOf(t, c, v).ApiKeys {
			if k.ApiKey == int16(kmsg.GetTelemetrySubscriptions) || k.ApiKey == int16(kmsg.PushTelemetry) {
				t.Errorf("v%d announces %s", v, kmsg.NameForKey(k.ApiKey))
			}
		}
	}
	if c.Versions().Supported(int16(kmsg.PushTelemetry), 0) {
		t.Error("telemetry is let in")
	}
}

// librdkafka believes in handshakes where it finds version 0.
func TestTheHandshakeIsAnnouncedAndRefusedInBothVersions(t *testing.T) {
	c := open(t, Config{})
	for v := range int16(2) {
		if !c.Versions().Supported(int16(kmsg.SASLHandshake), v) {
			t.Errorf("version %d is not served", v)
			continue
		}
		req := kmsg.NewPtrSASLHandshakeRequest()
		req.Version, req.Mechanism = v, "PLAIN"
		_, resp := ask(t, c, req)
		if code := resp.(*kmsg.SASLHandshakeResponse).ErrorCode; code != kerr.IllegalSaslState.Code {
			t.Errorf("v%d: error %d", v, code)
		}
	}
}

func TestNoFeatureIsNamedThatNobodyServes(t *testing.T) {
	c := open(t, Config{})
	for _, f := range versionsOf(t, c, 4).SupportedFeatures {
		if f.Name == "streams.version" {
			t.Errorf("%s is named, and no streams group is served", f.Name)
		}
	}
}

// KIP-1242: the client says whom it believes to have reached.
func TestApiVersionsTellsAClientThatItReachedAnother(t *testing.T) {
	c := open(t, Config{})
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 5, "test", "1"
	req.ClusterID, req.NodeID = kmsg.StringPtr("another"), 0
	_, resp := ask(t, c, req)
	if code := resp.(*kmsg.ApiVersionsResponse).ErrorCode; code != kerr.RebootstrapRequired.Code {
		t.Errorf("error %d", code)
	}
}
