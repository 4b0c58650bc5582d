package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// kfake reads back what a killed process left behind, with three exceptions
// that would cost acknowledged data at the second crash. mend closes them
// before kfake opens the directory:
//
//   - A torn entry at the end of groups.log or pids.log is ignored but left in
//     place, so that everything appended after it would be ignored as well.
//   - A batch whose index entry was not written any more shifts the entries of
//     all later batches by one, and with them their transaction marks.
//   - seq_windows.json is written by an orderly stop only. After a crash it is
//     older than the log, and idempotent producers would be refused
//     (OUT_OF_ORDER_SEQUENCE_NUMBER); without it they are taken as they come.
//     It is removed once kfake has read it: see Open.
func mend(dir string) error {
	return errors.Join(
		mendLog(filepath.Join(dir, "groups.log")),
		mendLog(filepath.Join(dir, "pids.log")),
		mendPartitions(filepath.Join(dir, "partitions")),
	)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A log entry is its length (of what follows the checksum), a checksum of that,
// a version and the data, little-endian.
const (
	entryDataAt  = 8
	entryDataMin = 2
)

// mendLog cuts a torn entry off the end of a log.
func mendLog(path string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := wholeEntries(raw); n < len(raw) {
		return os.Truncate(path, int64(n))
	}
	return nil
}

// wholeEntries is the length of the valid entries that raw begins with.
func wholeEntries(raw []byte) int {
	at := 0
	for {
		rest := raw[at:]
		if len(rest) < entryDataAt+entryDataMin {
			return at
		}
		n := uint64(binary.LittleEndian.Uint32(rest))
		if n < entryDataMin || n > uint64(len(rest)-entryDataAt) {
			return at
		}
		data := rest[entryDataAt : entryDataAt+int(n)]
		if crc32.Checksum(data, castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			return at
		}
		at += entryDataAt + int(n)
	}
}

func mendPartitions(dir string) error {
	partitions, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var faults []error
	for _, p := range partitions {
		if p.IsDir() {
			faults = append(faults, mendPartition(filepath.Join(dir, p.Name())))
		}
	}
	return errors.Join(faults...)
}

// mendPartition completes the index of the last segment; the others were
// completed when they were closed.
func mendPartition(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	last := int64(-1)
	for _, f := range files {
		if base, ok := strings.CutSuffix(f.Name(), ".dat"); ok {
			if n, err := strconv.ParseInt(base, 10, 64); err == nil {
				last = max(last, n)
			}
		}
	}
	if last < 0 {
		return nil
	}
	segment := filepath.Join(dir, strconv.FormatInt(last, 10))
	if err := mendIndex(segment+".dat", segment+".idx"); err != nil {
		return fmt.Errorf("index of %s.dat: %w", segment, err)
	}
	return nil
}

// The index has one entry per batch: version, checksum, leader epoch, greatest
// timestamp so far (kfake computes that one anew) and flags, little-endian.
const (
	indexEntryBytes   = 15
	indexEntryVersion = 1
	indexInTxn        = 1
)

// The start of a record batch, big-endian: base offset, length of what
// follows, leader epoch, magic, checksum, attributes.
const (
	batchHeaderBytes   = 23
	batchLengthAt      = 8
	batchBodyAt        = 12
	batchEpochAt       = 12
	batchAttributesAt  = 21
	batchTransactional = 0x10
	batchControl       = 0x20
)

// mendIndex appends the entries that the index lacks.
func mendIndex(dat, idx string) error {
	segment, err := os.Open(dat)
	if err != nil {
		return err
	}
	defer segment.Close()
	index, err := os.OpenFile(idx, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer index.Close()
	info, err := index.Stat()
	if err != nil {
		return err
	}
	have := info.Size() / indexEntryBytes
	missing, err := missingEntries(segment, have)
	if err != nil {
		return err
	}
	if torn := info.Size() % indexEntryBytes; torn == 0 && len(missing) == 0 {
		return nil
	}
	if _, err := index.WriteAt(missing, have*indexEntryBytes); err != nil {
		return err
	}
	return errors.Join(index.Truncate(have*indexEntryBytes+int64(len(missing))), index.Sync())
}

// missingEntries makes the index entries of all whole batches but the first
// have. A torn batch at the end is kfake's to cut off.
func missingEntries(segment *os.File, have int64) ([]byte, error) {
	info, err := segment.Stat()
	if err != nil {
		return nil, err
	}
	var entries []byte
	var header [batchHeaderBytes]byte
	for at, n := int64(0), int64(0); ; n++ {
		if _, err := segment.ReadAt(header[:], at); errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return nil, err
		}
		at += batchBodyAt + int64(binary.BigEndian.Uint32(header[batchLengthAt:]))
		if at > info.Size() {
			return entries, nil
		}
		if n >= have {
			entries = append(entries, indexEntry(header[:])...)
		}
	}
}

func indexEntry(batch []byte) []byte {
	e := make([]byte, indexEntryBytes)
	e[0] = indexEntryVersion
	binary.LittleEndian.PutUint32(e[2:], binary.BigEndian.Uint32(batch[batchEpochAt:]))
	if binary.BigEndian.Uint16(batch[batchAttributesAt:])&(batchTransactional|batchControl) == batchTransactional {
		e[14] = indexInTxn
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return e
}
