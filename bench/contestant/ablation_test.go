package contestant

import (
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
