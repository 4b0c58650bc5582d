package embedded

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestANameThatNoTopicCanHaveIsWrongAndNotMissing(t *testing.T) {
	c := open(t, Config{})
	c.Advertise("localhost", 9092)
	r, _ := c.Versions().Range(int16(kmsg.Metadata))
	for v := max(r.Min, 1); v <= r.Max; v++ {
		other := fmt.Sprintf("missing-in-v%d", v)
		m := metadata(v, "bad/name", other)
		m.AllowAutoTopicCreation = false
		_, resp := ask(t, c, m)
		got := map[string]int16{}
		for _, topic := range resp.(*kmsg.MetadataResponse).Topics {
			got[*topic.Topic] = topic.ErrorCode
		}
		missing := kerr.UnknownTopicOrPartition.Code
		if v < metadataChoosesCreation {
			missing = 0
		}
		if got["bad/name"] != kerr.InvalidTopicException.Code || got[other] != missing {
			t.Errorf("v%d: %v", v, got)
		}
	}
}
