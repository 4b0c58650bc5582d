package embedded

import (
	"testing"
	"time"

	"kring/kafka"
)

// TestAClusterThatHasEndedAnswersThatNothingIsThere: metrics and views ask on while a process hands
// over. kfake would never answer them, and each place of a scrape would be lost for good.
func TestAClusterThatHasEndedAnswersThatNothingIsThere(t *testing.T) {
	cfg := Config{Seed: []Topic{{"t", 1}}, TopicCounts: &kafka.TopicCounts{}, Producers: &kafka.Producers{}}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	counts, producers := cfg.TopicCounts.Topics, cfg.Producers.Topics
	if !counts.TopicExists("t") {
		t.Fatal("the topic is not there")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	asked := make(chan bool, 1)
	go func() { asked <- counts.TopicExists("t") || producers.TopicName([16]byte{1}) != "" }()
	select {
	case there := <-asked:
		if there {
			t.Error("a cluster that has ended has topics")
		}
	case <-time.After(deadline):
		t.Fatal("nobody answers")
	}
	next, err := Open(cfg) // as after an upgrade that failed
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if cfg.TopicCounts.Topics != counts || cfg.Producers.Topics != producers {
		t.Error("what others may be reading was written again")
	}
	if !counts.TopicExists("t") {
		t.Error("what asked the first cluster does not ask the next")
	}
}
