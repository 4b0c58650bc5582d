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
	for epoch := range int32(3) {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.SessionID, req.SessionEpoch = 12, 7, epoch // the first begins it
		for i := range topicNamesKept {
			of := kmsg.NewFetchRequestTopic()
			of.Topic = strconv.Itoa(int(epoch)*topicNamesKept + i)
			req.Topics = append(req.Topics, of)
		}
		if _, known := f.asks(nil, req); known != (epoch == 0) {
			t.Errorf("request %d: its topics are known: %v", epoch, known)
		}
		f.goesOn(7)
	}
	if n := len(f.topics); n > topicNamesKept+1 || len(f.has) != n {
		t.Errorf("%d names are kept, %d of them to be found", n, len(f.has))
	}
}

// TestTheTopicsOfASessionThatAnotherConnectionBeganAreNotKnown: a client that comes again
// goes on with its session, and names what changes alone.
func TestTheTopicsOfASessionThatAnotherConnectionBeganAreNotKnown(t *testing.T) {
	var f fetchSession
	asks := func(session, epoch int32, topics ...string) bool {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.SessionID, req.SessionEpoch = 12, session, epoch
		for _, name := range topics {
			of := kmsg.NewFetchRequestTopic()
			of.Topic = name
			req.Topics = append(req.Topics, of)
		}
		_, known := f.asks(nil, req)
		return known
	}
	for i, c := range []struct {
		session, epoch int32
		topics         []string
		known          bool
	}{{9, 4, nil, false}, {9, 5, []string{"b"}, false}, {0, 0, []string{"a"}, true}, {7, 1, nil, true}, {9, 6, nil, false}, {9, 7, []string{"b"}, false}} {
		if known := asks(c.session, c.epoch, c.topics...); known != c.known {
			t.Errorf("request %d: its topics are known: %v", i, known)
		}
		if f.goesOn(c.session); c.session == 0 {
			f.goesOn(7)
		}
	}
}
