package embedded

// kfake holds two descriptors for a partition from its first write until it
// ends (a segment and its index), and one for each older segment that was read.
const (
	filesPerPartition = 3
	// filesBesides are the logs of groups and producers, the lock, the directory
	// itself, a file that is written anew and those that are synced just now.
	filesBesides = 16
	// filesMaxUnknown is where the system does not say how many there may be.
	filesMaxUnknown = 512
)

// PartitionsFor is how many partitions a cluster with a data directory may have
// when it may hold so many descriptors for files.
func PartitionsFor(files int) int { return max(1, (files-filesBesides)/filesPerPartition) }

// FilesFor is how many descriptors a cluster with a data directory holds for files
// when it has so many partitions; 0 partitions are as many as there may be.
func FilesFor(partitions int) int {
	if partitions == 0 {
		partitions = partitionsMax
	}
	return filesBesides + filesPerPartition*partitions
}

// PartitionsMax is how many partitions all topics together may have.
func (c *Cluster) PartitionsMax() int { return c.topics.max }

// partitionsMax is what the two bounds of c come to.
func (c Config) partitionsMax() int {
	n := c.PartitionsMax
	if c.DataDir != "" {
		n = min(n, PartitionsFor(c.FilesMax))
	}
	return n
}
