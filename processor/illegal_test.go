package processor_test

import "testing"

// Kafka: SS-53.
func TestACompletionThatBelongsToNoConnectionIsPassedOver(t *testing.T) {
	s := newStage(t, stageConfig{handle: echo, inline: true})
	c := s.dial()
	for range 3 {
		s.processors[0].CompleteForNobody()
		if err := converse(c, []int{1, 2000, 3}); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	s.stop(deadline)
}
