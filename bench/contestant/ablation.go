package contestant

import (
	"fmt"
	"strings"

	"kring"
	"kring/uring"
)

// Ablation is one technique switched: everything else stays what it is.
type Ablation struct {
	// Technique is what it is called, Switch what was done to it.
	Technique, Switch string
	// URing are settings of the engine, key=value.
	URing []string
	// BigFrameBytes and HandlerBatch replace the server's own unless they are 0,
	// Wait unless it is "".
	BigFrameBytes, HandlerBatch int
	Wait                        string
	// Dispatch is the only one that it means something with; "" for both.
	Dispatch string
}

// never is a size that no frame reaches.
const never = 1 << 30

// Ablations are the techniques that a default configuration uses, each without
// it, and those that it leaves alone, each with it: the server's own, and what the
// table of the ring's settings has to compare.
func Ablations() []Ablation {
	all := []Ablation{
		{Technique: "wait strategy", Switch: "parked", Wait: "parked", Dispatch: "inline"},
		{Technique: "wait strategy", Switch: "locked", Wait: "locked", Dispatch: "pool"},
		{Technique: "big frames in their own memory", Switch: "off", BigFrameBytes: never},
		{Technique: "hand-over in batches", Switch: "one by one", HandlerBatch: 1, Dispatch: "pool"},
	}
	for _, s := range uring.Settings() {
		for _, c := range s.Compare {
			all = append(all, Ablation{Technique: c.Technique, Switch: c.Switch, Dispatch: c.Dispatch,
				URing: strings.Split(s.Key+"="+c.Values, ",")})
		}
	}
	return all
}

// Unablated is the contestant that the ablations of a dispatch are held
// against.
func Unablated(dispatch string) string { return "kring-uring-" + dispatch }

// Contestant is kring on io_uring with a, or the reason why there is none.
func (a *Ablation) Contestant(dispatch string) (*Contestant, error) {
	c := a.serve(dispatch)
	if cfg, err := c.config(); err != nil {
		return nil, err
	} else if err := cfg.Validate(); err != nil {
		return nil, err
	}
	flags := []string{"--server", c.Server, "--engine", c.Engine, "--dispatch", c.Dispatch, "--wait", c.Wait}
	for _, setting := range c.URing {
		flags = append(flags, "--uring", setting)
	}
	if c.BigFrameBytes > 0 {
		flags = append(flags, "--big-frame-bytes", fmt.Sprint(c.BigFrameBytes))
	}
	if c.HandlerBatch > 0 {
		flags = append(flags, "--handler-batch", fmt.Sprint(c.HandlerBatch))
	}
	x := self(dispatch+": "+a.Name(), fmt.Sprintf("kring on io_uring, handler %s, %s: %s", dispatch, a.Technique, a.Switch), flags)
	x.Ours, x.URing, x.Kafka = true, true, true
	return x, nil
}

// serve is what the contestant is told.
func (a *Ablation) serve(dispatch string) ServeConfig {
	c := ServeConfig{Server: "kring", Engine: string(kring.EngineURing), Dispatch: dispatch, Wait: a.Wait,
		URing: a.URing, BigFrameBytes: a.BigFrameBytes, HandlerBatch: a.HandlerBatch}
	if c.Wait == "" {
		c.Wait = map[string]string{"inline": "locked", "pool": "parked"}[dispatch]
	}
	return c
}

// Name is technique and switch.
func (a *Ablation) Name() string { return a.Technique + ": " + a.Switch }
