package kring_test

import (
	"encoding"
	"strings"
	"testing"

	"kring"
)

// TestChoicesMarshalAsText: each name is written and read as that, "" is the default, and
// what is none says what there is.
func TestChoicesMarshalAsText(t *testing.T) {
	for _, c := range []struct {
		choice interface {
			encoding.TextMarshaler
			encoding.TextUnmarshaler
		}
		names string
	}{
		{new(kring.Engine), "auto io_uring epoll portable"}, {new(kring.DispatchMode), "pool inline"},
		{new(kring.Accept), "apart per-processor"}, {new(kring.Gosched), "auto on off"}, {new(kring.Wait), "auto locked parked"},
		{new(kring.SlowReader), "pause throttle close"}, {new(kring.WhenFull), "wait refuse"},
		{new(kring.Assignment), "least-connections round-robin"},
		{new(kring.CloseReason), "peer_reset handler_closed frame_timeout"},
	} {
		for _, name := range strings.Fields(c.names) {
			if err := c.choice.UnmarshalText([]byte(name)); err != nil {
				t.Errorf("%T %s: %v", c.choice, name, err)
			}
			if b, err := c.choice.MarshalText(); err != nil || string(b) != name {
				t.Errorf("%T %s: written as %q, %v", c.choice, name, b, err)
			}
		}
		was, _ := c.choice.MarshalText()
		err := c.choice.UnmarshalText([]byte("bogus"))
		if err == nil || !strings.Contains(err.Error(), `"bogus"`) || !strings.Contains(err.Error(), strings.Fields(c.names)[0]) {
			t.Errorf("%T: %v, want the value and the choices", c.choice, err)
		}
		if is, _ := c.choice.MarshalText(); string(is) != string(was) {
			t.Errorf("%T: %q after an error, it was %q", c.choice, is, was)
		}
	}
	if err := new(kring.Engine).UnmarshalText(nil); err != nil {
		t.Errorf("no text: %v", err)
	}
	if _, err := kring.Wait("spin").MarshalText(); err == nil {
		t.Error("a wrong choice was written")
	}
}
