package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A log entry is its length (of what follows the checksum), a checksum of that,
// a version and the data, little-endian.
const (
	entryDataAt  = 8
	entryDataMin = 2
)

// entryAt is the entry that raw begins with: its data without the version, and
// its whole length.
func entryAt(raw []byte) (data []byte, size int, ok bool) {
	if len(raw) < entryDataAt+entryDataMin {
		return nil, 0, false
	}
	n := uint64(binary.LittleEndian.Uint32(raw))
	if n < entryDataMin || n > uint64(len(raw)-entryDataAt) {
		return nil, 0, false
	}
	body := raw[entryDataAt : entryDataAt+int(n)]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(raw[4:]) {
		return nil, 0, false
	}
	return body[entryDataMin:], entryDataAt + int(n), true
}

func appendEntry(to, data []byte) []byte {
	body := append([]byte{layoutVersion, 0}, data...)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(body)))
	to = binary.LittleEndian.AppendUint32(to, crc32.Checksum(body, castagnoli))
	return append(to, body...)
}

// recoverLog reads a log, cuts out what is no entry, and gives the entries. kfake
// ends at the first fault, and forgets everything behind it.
func (m *recovery) recoverLog(name string) (entries [][]byte, err error) {
	path := filepath.Join(m.dir, name)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var good []io.Reader
	from, whole := 0, true
	for at := 0; at < len(raw); {
		if data, size, ok := entryAt(raw[at:]); ok {
			entries = append(entries, data)
			at += size
			continue
		}
		next := nextEntry(raw, at+1)
		m.noteEntry(name, raw, at, next)
		good, whole = append(good, bytes.NewReader(raw[from:at])), false
		from, at = next, next
	}
	if whole {
		return entries, nil
	}
	cut := func() error {
		return replaceFile(path, io.MultiReader(append(good, bytes.NewReader(raw[from:]))...))
	}
	if from == len(raw) && len(good) == 1 {
		cut = func() error { return os.Truncate(path, good[0].(*bytes.Reader).Size()) }
	}
	_ = m.repairs.keep() // such as a full disk: nothing will be missed
	// Order: nothing may compare it with what it was once it is cut.
	return entries, m.change(func() error { return m.changed(name) }, cut)
}

// logMark is the first entry of an empty log: a log without it was emptied by a fault.
// kfake skips types that it does not know.
const logMark = `{"type":"kring"}`

var logMarkBytes = int64(len(appendEntry(nil, []byte(logMark))))

// markLogs marks the logs that are empty. Nothing else writes to them yet.
func markLogs(dir string) error {
	for _, name := range []string{"groups.log", "pids.log"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Size() > 0 {
			if err != nil {
				return err
			}
			continue
		}
		if err := appendFile(path, 0, appendEntry(nil, []byte(logMark))); err != nil {
			return err
		}
	}
	return nil
}

// nextEntry is where the next entry begins. Entries are JSON objects, which
// tells them from what looks like one by chance.
func nextEntry(raw []byte, at int) int {
	for ; at < len(raw); at++ {
		if data, _, ok := entryAt(raw[at:]); ok && len(data) > 0 && data[0] == '{' {
			return at
		}
	}
	return len(raw)
}

func (m *recovery) noteEntry(name string, raw []byte, at, next int) {
	d := damagedPart{File: name, What: "unreadable entries, cut out", Lost: true, At: int64(at), Bytes: int64(next - at)}
	rest := raw[at:]
	if next == len(raw) && (len(rest) < entryDataAt || uint64(binary.LittleEndian.Uint32(rest)) > uint64(len(rest)-entryDataAt)) && len(bytes.Trim(rest, "\x00")) > 0 && !m.clean {
		d.What, d.Lost = interrupted, false
	}
	d.Copy = m.keep(name, d.At, d.At+d.Bytes)
	m.note(d)
}
