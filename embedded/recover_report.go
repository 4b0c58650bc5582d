package embedded

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	damageMax      = 1000 // damage of one report
	damageLinesMax = 20   // log lines about it
)

// loadReport says what Open found in a data directory, and what it did.
type loadReport struct {
	Partitions int
	Segments   int
	Batches    int64
	Bytes      int64 // of the segments
	Producers  int   // whose sequence numbers were read back, per partition
	OpenTxns   int   // transactions that go on
	Took       time.Duration
	// Damage is what was found wrong, at most 1000 of it; DamageOmitted
	// counts the rest.
	Damage        []damagedPart
	DamageOmitted int
}

// damagedPart is a part of a data directory that could not be read, or that an
// interrupted write left behind.
type damagedPart struct {
	File string // relative to the data directory
	What string
	// Lost says that something is gone that was acknowledged, as far as the
	// directory can tell. Otherwise it was repaired whole, or it is a write that
	// has no end: after a process was killed nobody had been told that it was
	// there; after the machine lost power what was acknowledged last may be gone,
	// unless Config.SyncWrites was set.
	Lost      bool
	Topic     string // empty: no segment
	Partition int32
	// Offset is the first offset that is gone, NextOffset the first behind it
	// that is there; -1: nothing says.
	Offset, NextOffset int64
	At, Bytes          int64 // of File: what was cut
	// Copy of the bytes that were cut, relative to the data directory. Empty:
	// nothing was cut, or "damaged" is full (1 GiB).
	Copy string
}

func (r *loadReport) add(d damagedPart) {
	if len(r.Damage) == damageMax {
		r.DamageOmitted++
		return
	}
	r.Damage = append(r.Damage, d)
}

// log writes a line for each damage, at most damageLinesMax, what was lost
// first.
func (r *loadReport) log(to *slog.Logger) {
	lines := 0
	for _, lost := range []bool{true, false} {
		for _, d := range r.Damage {
			if d.Lost == lost && lines < damageLinesMax {
				lines++
				d.log(to)
			}
		}
	}
	if more := len(r.Damage) + r.DamageOmitted - lines; more > 0 {
		to.Error("data directory: more damage than lines about it", "more", more)
	}
}

func (d *damagedPart) log(to *slog.Logger) {
	args := []any{"file", d.File, "what", d.What}
	if d.Topic != "" {
		offsets := fmt.Sprintf("%d to %d", d.Offset, d.NextOffset-1)
		if d.NextOffset < 0 {
			offsets = fmt.Sprintf("%d and later", d.Offset)
		}
		args = append(args, "topic", d.Topic, "partition", d.Partition, "offsets", offsets)
	}
	if d.Bytes > 0 {
		kept := d.Copy
		if kept == "" {
			kept = "none: the folder damaged is full"
		}
		args = append(args, "at", d.At, "bytes", d.Bytes, "copy", kept)
	}
	if d.Lost {
		to.Error("data directory: lost", args...)
		return
	}
	to.Warn("data directory: repaired", args...)
}

// attrs are the report in numbers.
func (r *loadReport) attrs() []any {
	lost, repaired := 0, 0
	for _, d := range r.Damage {
		if d.Lost {
			lost++
		} else {
			repaired++
		}
	}
	return []any{"partitions", r.Partitions, "segments", r.Segments, "batches", r.Batches, "bytes", r.Bytes,
		"producers", r.Producers, "open_transactions", r.OpenTxns, "lost", lost, "repaired", repaired + r.DamageOmitted,
		"took", r.Took.Round(time.Millisecond)}
}
