package embedded

import (
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestWhatIsRememberedOfAFetchSessionHasABound: a client may name other topics in each of
// its requests, for ever.
func TestWhatIsRememberedOfAFetchSessionHasABound(t *testing.T) {
	var f fetchSession
	f.goesOn(7)
	for epoch := range int32(3) {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.SessionID, req.SessionEpoch = 12, 7, 1+epoch
		for i := range topicNamesKept {
			of := kmsg.NewFetchRequestTopic()
			of.Topic = strconv.Itoa(int(epoch)*topicNamesKept + i)
			req.Topics = append(req.Topics, of)
		}
		if _, known := f.asks(nil, req); known != (epoch == 0) {
			t.Errorf("request %d: its topics are known: %v", epoch, known)
		}
	}
	if n := len(f.topics); n > topicNamesKept+1 || len(f.has) != n {
		t.Errorf("%d names are kept, %d of them to be found", n, len(f.has))
	}
}
