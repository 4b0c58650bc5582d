package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"kring/acl"
	"kring/kafka"
	"kring/quota"
	"kring/reqchan"
	"kring/telemetry"
)

// Config of a Cluster. The zero value works: one partition per topic, nothing
// on disk.
type Config struct {
	// DataDir is where records, topics, groups and offsets are kept, so that
	// they are there again after a restart; it is created if needed. Empty:
	// memory only. One process at a time may use a directory.
	DataDir string
	// InUseWait is how long Open waits for another process that uses DataDir to end; 0: it
	// fails at once, with ErrInUse. Systems without flock(2) do not wait.
	InUseWait time.Duration
	// SyncWrites fsyncs every batch and every commit before it is acknowledged, so
	// that they survive a power cut. Without it they are in the page cache when they
	// are acknowledged: a killed process loses nothing, a power cut may.
	SyncWrites bool
	// AcceptLoss opens a data directory although whole files of it are missing,
	// empty or unreadable, without what they held. Otherwise Open fails and
	// names them. Damage within a file does not stop Open: it is cut out, kept
	// under "damaged" in the data directory, and reported (see Loaded).
	AcceptLoss bool
	// MemoryLogBytesMax bounds the bytes of records that are kept without
	// DataDir; 0 means a quarter of the machine's or the cgroup's memory, or
	// 1 GiB where that is unknown. Beyond it Produce is refused
	// (KAFKA_STORAGE_ERROR, which producers retry) until records or topics are
	// deleted. The process takes up to twice as much.
	MemoryLogBytesMax int64
	// Partitions of a topic that is created on demand; 0 means 1, which is
	// Kafka's default and keeps the order of everything in a topic.
	Partitions int
	// Seed topics are created at the start unless they exist; an existing topic
	// is left as it is.
	Seed []Topic
	// PartitionsMax is how many partitions all topics together may have; 0 means
	// 10,000. What would make more is refused (POLICY_VIOLATION; a topic on demand
	// stays unknown).
	PartitionsMax int
	// FilesMax is how many descriptors may be held for files; with a data
	// directory it bounds partitions as well (PartitionsFor). 0 means half of the
	// process's (RLIMIT_NOFILE).
	FilesMax int
	// BatchBytesMax is the largest batch of records accepted
	// (message.max.bytes); 0 means 16 MiB: a Kafka broker's own 1 MiB refuses a
	// record of 1 MiB, which is a surprise in development.
	BatchBytesMax int
	// WaitsMax is how many requests may wait in the cluster at once (Fetch, ShareFetch, and a
	// quarter of it JoinGroup and SyncGroup): each takes about 31 KiB meanwhile. A fetch
	// beyond it is answered with what there is, and its client muted for as long as it would
	// have waited, a second at most; a join is answered with COORDINATOR_LOAD_IN_PROGRESS,
	// which clients retry. 0 means a sixteenth of the memory (WaitsMaxIn), 8,192 at most.
	WaitsMax int
	// KeptBytesMax bounds what clients leave behind besides records: groups, their members
	// and offsets, transactional ids, users, and apart from these fetch sessions, and
	// producers without a transactional id. What would add to it is refused then with an error
	// that clients retry; what is there is served, and its offsets go on. Producers that have
	// written nothing for five minutes make room for others. The process takes up to twice as
	// much, with fetch sessions and producers. 0 means a sixty-fourth of the memory
	// (KeptBytesIn), 2 MiB to 1 GiB, or 64 MiB where that is not known.
	KeptBytesMax int64
	// ClusterID is what clients are told; empty means "kring-embedded". A data
	// directory keeps the one it was made with.
	ClusterID string
	// PipelineMax is the server's Config.Limits.PipelineMax. Above 1, requests of one
	// connection may come in on several goroutines and are put in order again.
	PipelineMax int
	// Quotas, if set, measures every request; a client over its limits is throttled.
	Quotas *quota.Quotas
	// Authorizer, if set, decides what clients may do. Without it everything is allowed,
	// and the APIs for ACLs answer SECURITY_DISABLED.
	Authorizer acl.Authorizer
	// Denied, if set, is called for what Authorizer does not allow; see kafka.Filter.Denied.
	// It must not block.
	Denied func(c *reqchan.Conn, h kafka.Header, a acl.Action)
	// Producers, if set, remembers who produces into which topic; see kafka.Producers.
	// Its Topics are set by Open.
	Producers *kafka.Producers
	// TopicCounts, if set, counts by topic what is produced and fetched; see
	// kafka.TopicCounts. Its Topics are set by Open.
	TopicCounts *kafka.TopicCounts
	// Rejected, if set, is called for every request whose connection kafka.Filter closes;
	// see kafka.Filter.Rejected. It must not block.
	Rejected func(c *reqchan.Conn, h kafka.Header, why *kafka.Fault)
	// SASL has the listeners whose clients must authenticate; see kafka.Filter.SASL.
	SASL map[string]*kafka.SASL
	// SCRAMUsers, if set, are the users that DescribeUserScramCredentials and
	// AlterUserScramCredentials are about. Without it they change users that nobody
	// authenticates.
	SCRAMUsers kafka.SCRAMUsers
	// Telemetry, if set, receives what clients push of their metrics (KIP-714). Without it
	// GetTelemetrySubscriptions and PushTelemetry are not announced.
	Telemetry *telemetry.State
	// DiskReserveBytes is how much of the data directory's disk is left free:
	// what can't be kept then is refused (KAFKA_STORAGE_ERROR) until there is
	// room again. 0 means 64 MiB, or a sixteenth of a disk of less than 1 GiB.
	DiskReserveBytes int64
	// Logger receives kfake's own log (errors and warnings as such, everything
	// else at debug level), what Open found damaged in the data directory (at
	// most 20 lines) and what loading it took (info). nil: nothing is logged.
	Logger *slog.Logger
}

// Topic names a topic and how many partitions it has.
type Topic struct {
	Name       string
	Partitions int
}

const (
	partitionsDefault    = 1
	partitionsMax        = 10_000 // kfake allocates for each at once
	topicsOnDemandMax    = 1000   // of one Metadata request
	batchBytesMaxDefault = 16 << 20
	topicNameBytesMax    = 249
)

func (c Config) withDefaults() Config {
	if c.Partitions == 0 {
		c.Partitions = partitionsDefault
	}
	if c.PartitionsMax == 0 {
		c.PartitionsMax = partitionsMax
	}
	if c.FilesMax == 0 {
		c.FilesMax = filesMaxDefault()
	}
	if c.BatchBytesMax == 0 {
		c.BatchBytesMax = batchBytesMaxDefault
	}
	if c.MemoryLogBytesMax == 0 && c.DataDir == "" {
		c.MemoryLogBytesMax = memoryDefault
		if n := machineMemory(); n > 0 {
			c.MemoryLogBytesMax = n / memoryShare
		}
	}
	if c.WaitsMax == 0 {
		c.WaitsMax = WaitsMaxIn(machineMemory())
	}
	if c.KeptBytesMax == 0 {
		c.KeptBytesMax = KeptBytesIn(machineMemory())
	}
	if c.ClusterID == "" {
		c.ClusterID = "kring-embedded"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("embedded: "+format, args...)) }
	if c.SyncWrites && c.DataDir == "" {
		fault("SyncWrites without DataDir: there is nothing to sync; name a data directory")
	}
	if c.InUseWait < 0 {
		fault("InUseWait is %v; use a positive time, or 0 for no wait", c.InUseWait)
	}
	if c.AcceptLoss && c.DataDir == "" {
		fault("AcceptLoss without DataDir: there is nothing to lose; name a data directory")
	}
	if c.MemoryLogBytesMax < 0 {
		fault("MemoryLogBytesMax is %d; use a positive number of bytes", c.MemoryLogBytesMax)
	}
	if c.MemoryLogBytesMax > 0 && c.DataDir != "" {
		fault("MemoryLogBytesMax with DataDir: records are on disk there; leave one of the two out")
	}
	if c.DataDir != "" {
		if info, err := os.Stat(c.DataDir); err == nil && !info.IsDir() {
			fault("DataDir %q is not a directory; name one, or a path that does not exist yet", c.DataDir)
		}
	}
	if c.Partitions < 0 || c.Partitions > partitionsMax {
		fault("Partitions is %d; use 1 to %d", c.Partitions, partitionsMax)
	}
	if c.BatchBytesMax < 0 {
		fault("BatchBytesMax is %d; use a positive number of bytes", c.BatchBytesMax)
	}
	if c.PartitionsMax < 0 {
		fault("PartitionsMax is %d; use a positive number, or 0 for %d", c.PartitionsMax, partitionsMax)
	}
	if c.FilesMax < 0 {
		fault("FilesMax is %d; use a positive number, or 0 for half of RLIMIT_NOFILE", c.FilesMax)
	}
	if c.WaitsMax != 0 && c.WaitsMax < waitsMaxLeast {
		fault("WaitsMax is %d; use %d or more, or 0 for a sixteenth of the memory", c.WaitsMax, waitsMaxLeast)
	}
	if c.KeptBytesMax < 0 {
		fault("KeptBytesMax is %d; use a positive number of bytes, or 0 for a sixty-fourth of the memory", c.KeptBytesMax)
	}
	if c.DiskReserveBytes < 0 {
		fault("DiskReserveBytes is %d; use a positive number of bytes, or 0 for 64 MiB", c.DiskReserveBytes)
	}
	seen, seeded := make(map[string]bool), 0
	for _, t := range c.Seed {
		if err := t.Validate(); err != nil {
			fault("Seed: %w", err)
		}
		if seen[t.Name] {
			fault("Seed names topic %q twice; name it once", t.Name)
		}
		seen[t.Name] = true
		seeded += t.Partitions
	}
	if most := c.withDefaults().partitionsMax(); seeded > most {
		fault("Seed has %d partitions, and PartitionsMax and FilesMax allow %d; use fewer, or allow more", seeded, most)
	}
	return errors.Join(faults...)
}

// Validate says what is wrong with a topic.
func (t Topic) Validate() error {
	if !validTopicName(t.Name) {
		return fmt.Errorf("topic name %q; use 1 to %d of the characters a-z A-Z 0-9 . _ -, and not . or .. alone",
			t.Name, topicNameBytesMax)
	}
	if t.Partitions < 1 || t.Partitions > partitionsMax {
		return fmt.Errorf("topic %q with %d partitions; use 1 to %d", t.Name, t.Partitions, partitionsMax)
	}
	return nil
}

// validTopicName is Kafka's rule (org.apache.kafka.common.internals.Topic).
func validTopicName(name string) bool {
	const legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return name != "" && len(name) <= topicNameBytesMax && name != "." && name != ".." &&
		strings.Trim(name, legal) == ""
}
