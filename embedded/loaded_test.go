package embedded

// Loaded is what Open found in the data directory.
func (c *Cluster) Loaded() loadReport {
	c.live.RLock()
	defer c.live.RUnlock()
	return c.loaded
}
