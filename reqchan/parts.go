package reqchan

import (
	"fmt"
	"math"
	"os"
)

// partsKept is for how many parts a job keeps room.
const partsKept = 64

// Part is a piece of a response: bytes, or a range of a file.
type Part struct {
	// Bytes of the response; copied, so the caller may use them again at once.
	Bytes []byte
	// File is a regular file, of which Length bytes from Offset on are sent. The
	// server reads it as fast as the client takes it, beside everything else
	// that it does: a range that is not in the page cache delays nobody else.
	// It does not use the file's own position, and the same file may be sent
	// to many clients at once.
	File           *os.File
	Offset, Length int64
}

// RespondParts answers with the parts, one behind the other, as one frame. The
// files must stay open until released is called (nil: nobody wants to know),
// once, when the server needs them no more: the response is out, or will never
// be. It is called on the processor's goroutine, or at once if the request was
// answered before, and must not block.
//
// The size of the frame is sent before the files are read: one that turns out
// to be shorter than its Length ends the connection (FileFailed).
//
// An error says that the parts make no frame; then the request is not answered.
func (r Request) RespondParts(parts []Part, released func()) error {
	inMemory, front, total := 0, -1, int64(0)
	for i, p := range parts {
		if p.Offset < 0 || p.Length < 0 || p.File == nil && p.Length != 0 || p.File != nil && len(p.Bytes) > 0 {
			return fmt.Errorf("kring: part %d of a response: Offset %d, Length %d, %d Bytes, File %v: give Bytes alone, or a File with an Offset and a Length that are not negative",
				i, p.Offset, p.Length, len(p.Bytes), p.File != nil)
		}
		if inMemory += len(p.Bytes); p.Length > 0 && front < 0 {
			front = inMemory
		}
		if total += int64(len(p.Bytes)) + p.Length; total > math.MaxInt32 {
			return fmt.Errorf("kring: parts 0 to %d of a response are %d bytes: a frame has at most %d", i, total, math.MaxInt32)
		}
	}
	if front < 0 {
		front = inMemory
	}
	if !r.claim() {
		if released != nil {
			released()
		}
		return nil
	}
	j := r.job
	j.released = released
	b := j.gather(parts, inMemory)
	if b == nil {
		j.publish(AnswerClose, MemoryRefused)
		return nil
	}
	if j.answering != nil {
		if instead := r.seenParts(b[:front:front], int(total)); instead != nil {
			r.told(AnswerSend, instead, len(instead))
			j.send(instead)
			return nil
		}
	}
	r.told(AnswerSend, b[:front:front], int(total))
	j.copied = int32(inMemory)
	j.parts = append(j.parts[:0], parts...)
	j.fileBytes = total - int64(inMemory)
	j.publish(AnswerSend, ReasonNone)
	return nil
}

// gather copies the bytes of parts, n altogether, to memory of the response; nil when
// the system refuses it. They may lie in memory of Buffer, and then it is other
// memory.
func (r *Job) gather(parts []Part, n int) []byte {
	whole := r.memory(SizeBytes + n)
	if whole == nil {
		return nil
	}
	r.response = whole[:SizeBytes+n]
	b := whole[SizeBytes:SizeBytes:cap(whole)]
	for _, p := range parts {
		b = append(b, p.Bytes...)
	}
	return b
}

// seenParts is seen for an answer of parts.
func (r Request) seenParts(head []byte, size int) (instead []byte) {
	done := false
	defer func() {
		if !done {
			r.job.released, r.job.response = nil, nil // the caller is still at it
			r.job.unclaim()
		}
	}()
	instead = r.job.answering.AnsweringParts(r, head, size)
	done = true
	return instead
}

// Parts are what the response is made of, for the processor; none when it is all
// in Answer. The bytes of the parts lie in Answer's response, behind the size.
func (r *Job) Parts() []Part { return r.parts }

// ResponseBytes is the length of the response with its size and its files. For the
// processor, once r is home.
func (r *Job) ResponseBytes() int {
	r.expand()
	return len(r.response) + int(r.fileBytes)
}

// releaseParts says that the files are needed no more.
func (r *Job) releaseParts() {
	clear(r.parts)
	r.parts, r.fileBytes = r.parts[:0], 0
	if cap(r.parts) > partsKept {
		r.parts = nil
	}
	if f := r.released; f != nil {
		r.released = nil
		f()
	}
}
