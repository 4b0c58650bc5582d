package kring

import "fmt"

// ChooseEngine says which engine a Server of cfg would serve with here, and
// why, and fails as New would. It opens nothing that lasts.
func ChooseEngine(cfg Config) (chosen Engine, why string, err error) {
	if err := cfg.Validate(); err != nil {
		return "", "", fmt.Errorf("kring: configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	network, why, _, err := chooseNetwork(cfg, candidates(cfg), "")
	if err != nil {
		return "", "", fmt.Errorf("kring: %w", err)
	}
	return Engine(network.Name()), why, nil
}
