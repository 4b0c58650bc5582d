package main

import "testing"

// TestAClusterHasRoomForRecordsWhereTheMemoryIsNotKnown: there are systems that don't tell, and
// --memory-max may have no bound.
func TestAClusterHasRoomForRecordsWhereTheMemoryIsNotKnown(t *testing.T) {
	for _, most := range []string{"-1", "64MiB", "512MiB", "64GiB"} {
		c := serveOf(t, "--memory-max="+most)
		cfg := c.clusterConfig()
		if err := cfg.Validate(); err != nil || cfg.MemoryLogBytesMax <= 0 {
			t.Errorf("--memory-max %s: %d bytes of records: %v", most, cfg.MemoryLogBytesMax, err)
		}
		if most == "-1" && cfg.MemoryLogBytesMax < 512<<20 {
			t.Errorf("without a bound there is room for %d bytes of records", cfg.MemoryLogBytesMax)
		}
	}
}
