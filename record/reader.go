package record

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrTorn says that a recording ends in the middle of an entry, as after a crash or with a full
// disk, or is damaged there. What is before is whole.
var ErrTorn = errors.New("record: the file is truncated or damaged; what is before is whole")

// ErrFormat says that a file is no recording, or one of a format that is not known.
var ErrFormat = errors.New("record: not a recording that can be read")

// Reader reads a recording from its beginning. It holds one entry, and no more memory than the
// file really has for it, whatever lengths stand in there.
type Reader struct {
	in    *bufio.Reader
	at    int64 // in the file: where the next entry begins
	body  []byte
	start Entry
	err   error
}

// NewReader reads as far as the Start entry. The error is ErrFormat, ErrTorn, or that of in.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10)}
	var head [len(magic)]byte
	if n, err := io.ReadFull(r.in, head[:]); string(head[:n]) != magic[:n] || n == 0 {
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: it does not begin as one; give a file that --record has written", ErrFormat)
	} else if n < len(magic) {
		return nil, fmt.Errorf("%w: it ends after %d bytes", ErrTorn, n)
	}
	r.at = int64(len(magic))
	switch err := r.next(&r.start); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: it ends after %d bytes", ErrTorn, r.at)
	case err != nil:
		return nil, err
	case r.start.Kind != Start || r.start.Version < 1:
		return nil, fmt.Errorf("%w: its first entry is of kind %d, not %d", ErrFormat, r.start.Kind, Start)
	case r.start.Version > FormatVersion:
		return nil, fmt.Errorf("%w: its format is version %d, and this program reads up to %d; use one that is as new as the file", ErrFormat, r.start.Version, FormatVersion)
	}
	return r, nil
}

// Start is the first entry.
func (r *Reader) Start() Entry { return r.start }

// Next reads the next entry that it knows into e. io.EOF: there is none. Another error stays
// for good: ErrTorn, or what in has returned.
func (r *Reader) Next(e *Entry) error {
	for r.err == nil {
		if r.err = r.next(e); r.err == nil && e.Kind >= Start && e.Kind <= End {
			return nil
		}
	}
	return r.err
}

func (r *Reader) next(e *Entry) error {
	var head [entryHeadBytes]byte
	switch n, err := io.ReadFull(r.in, head[:]); {
	case n == 0 && errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return r.torn(err, "the head of an entry is cut off")
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > entryBytesMax {
		return r.torn(nil, fmt.Sprintf("an entry of %d bytes can't be: at most %d", size, entryBytesMax))
	}
	if err := r.read(int(size)); err != nil {
		return r.torn(err, fmt.Sprintf("an entry of %d bytes is cut off", size))
	}
	if crc32.Checksum(r.body, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return r.torn(nil, "an entry's checksum is wrong")
	}
	if err := e.parse(r.body); err != nil {
		return r.torn(nil, fmt.Sprintf("an entry of kind %d: %v", e.Kind, err))
	}
	r.at += entryHeadBytes + int64(size)
	return nil
}

// readStep is how much memory is taken ahead of what has been read.
const readStep = 64 << 10

// read reads size bytes into body. It grows with what is really there.
func (r *Reader) read(size int) error {
	r.body = r.body[:0]
	for len(r.body) < size {
		n := min(size-len(r.body), max(readStep, len(r.body)))
		was := len(r.body)
		if cap(r.body)-was < n {
			r.body = append(make([]byte, 0, was+n), r.body...)
		}
		r.body = r.body[:was+n]
		if _, err := io.ReadFull(r.in, r.body[was:]); err != nil {
			return err
		}
	}
	return nil
}

// torn is the error of an entry that can't be read; err may be of the file.
func (r *Reader) torn(err error, why string) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fmt.Errorf("%w: at byte %d: %s", ErrTorn, r.at, why)
}
