package contestant

import (
	"strings"
	"testing"

	"kring"
)

// TestEveryAblationIsAConfigurationThatServes: one that io_uring refuses would
// be a row of nothing.
func TestEveryAblationIsAConfigurationThatServes(t *testing.T) {
	if _, _, err := kring.ChooseEngine(kring.Config{Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}, Engine: kring.EngineURing}); err != nil {
		// lint:ignore skip io_uring has just been asked for, and can't run here
		t.Skip(err)
	}
	for _, a := range Ablations() {
		for _, dispatch := range []string{"inline", "pool"} {
			if a.Dispatch != "" && a.Dispatch != dispatch {
				continue
			}
			if _, err := a.Contestant(dispatch); err != nil {
				t.Errorf("%s: %s: %v", dispatch, a.Name(), err)
			}
			c := a.serve(dispatch)
			cfg, err := c.config()
			if err == nil {
				_, _, err = kring.ChooseEngine(cfg)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", dispatch, a.Name(), err)
			}
		}
	}
}

// TestATechniqueIsFoundByItsKey: people know the setting, and not what it is called here.
func TestATechniqueIsFoundByItsKey(t *testing.T) {
	for pattern, want := range map[string]int{
		"defer-taskrun": 1, "sqpoll": 1, "recv": 1, "wait": 2, "big-frame-bytes": 1, "*receive*": 3, "deferred task work": 1, "direct-fds=on": 1,
	} {
		list, err := SelectAblations([]string{pattern})
		if err != nil || len(list) != want {
			t.Errorf("%q: %d techniques, want %d: %v", pattern, len(list), want, err)
		}
	}
	for _, pattern := range []string{"nonsense", "nonsense=on"} {
		if _, err := SelectAblations([]string{pattern}); err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	if all, err := SelectAblations(nil); err != nil || len(all) != len(Ablations()) {
		t.Errorf("%d techniques without a pattern: %v", len(all), err)
	}
	if list, _ := SelectAblations([]string{"recv", "multishot*"}); len(list) != 1 {
		t.Errorf("one technique, named twice, is there %d times", len(list))
	}
}
