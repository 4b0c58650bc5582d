package contestant

import (
	"fmt"
	"path"
	"slices"
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
	x := self(dispatch+": "+a.Name(), fmt.Sprintf("kring on io_uring, handler %s, %s (%s)", dispatch, a.Name(), strings.Join(a.Settings(), ", ")), flags)
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

// Settings are what is switched, as key=value.
func (a *Ablation) Settings() []string {
	list := slices.Clone(a.URing)
	if a.Wait != "" {
		list = append(list, "wait="+a.Wait)
	}
	if a.BigFrameBytes > 0 {
		list = append(list, fmt.Sprintf("big-frame-bytes=%d", a.BigFrameBytes))
	}
	if a.HandlerBatch > 0 {
		list = append(list, fmt.Sprintf("handler-batch=%d", a.HandlerBatch))
	}
	return list
}

// Key is the setting that it switches.
func (a *Ablation) Key() string {
	key, _, _ := strings.Cut(a.Settings()[0], "=")
	return key
}

// SelectAblations gives those of which the key, the technique or the name matches one of
// the patterns (path.Match), all for none. A pattern that is KEY=VALUE of the engine's
// settings is one of its own.
func SelectAblations(patterns []string) ([]Ablation, error) {
	all := Ablations()
	if len(patterns) == 0 {
		return all, nil
	}
	var chosen []Ablation
	taken := make([]bool, len(all))
	for _, p := range patterns {
		if key, value, ok := strings.Cut(p, "="); ok {
			if err := new(uring.Config).Set(key, value); err != nil {
				return nil, fmt.Errorf("%q: %w", p, err)
			}
			chosen = append(chosen, Ablation{Technique: key, Switch: value, URing: []string{p}})
			continue
		}
		found := false
		for i := range all {
			hit, err := all[i].matches(p)
			if err != nil {
				return nil, err
			}
			if found = found || hit; hit && !taken[i] {
				taken[i], chosen = true, append(chosen, all[i])
			}
		}
		if !found {
			return nil, fmt.Errorf("%q is the key or the name of no technique: 'go run ./bench list' lists them, and KEY=VALUE switches any setting of the engine", p)
		}
	}
	return chosen, nil
}

func (a *Ablation) matches(pattern string) (bool, error) {
	for _, name := range []string{a.Key(), a.Technique, a.Name()} {
		if ok, err := path.Match(pattern, name); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// Name is technique and switch.
func (a *Ablation) Name() string { return a.Technique + ": " + a.Switch }
