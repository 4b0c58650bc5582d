//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
	"kring/internal/slab"
)

// fileRead is a read of a file that the kernel was asked for. Its slot in
// fileReads takes the descriptor's place in user_data: a file may be read
// for many connections at once.
type fileRead struct {
	token  engine.Token
	file   int32
	addr   uintptr
	n      uint32
	offset uint64
}

// fileReads are what ringEngine reads of files.
type fileReads struct {
	files     []fileRead // by slot
	filesFree []int
}

// ReadFile. Kernel: what is in the page cache is copied as the read is
// submitted; what is not is read without a thread where the file system can
// (FMODE_BUF_RASYNC, 5.9), and by a thread of io-wq where it can't. The ring
// never waits for it.
func (e *ringEngine) ReadFile(file uintptr, t engine.Token, buf []byte, offset int64) {
	if invariants.Enabled {
		invariants.Assert(slab.Owns(buf), "uring: ReadFile into memory that is not slab memory")
	}
	slot := len(e.files)
	if n := len(e.filesFree); n > 0 {
		slot = e.filesFree[n-1]
		e.filesFree = e.filesFree[:n-1]
	} else {
		e.files = append(e.files, fileRead{})
	}
	e.files[slot] = fileRead{t, int32(file), address(buf), uint32(len(buf)), uint64(offset)}
	if len(buf) >= bulkBytesMin {
		e.bulk++
	}
	e.armFileRead(slot)
}

func (e *ringEngine) armFileRead(slot int) {
	r := &e.files[slot]
	q := e.sqe()
	q.PrepRead(r.file, r.addr, r.n, r.offset)
	q.UserData = userData(opFile, e.nextSequence(), engine.FD(slot))
	e.counts(q)
}

// fileDone says whether c is one for the owner.
func (e *ringEngine) fileDone(q *CQE, slot int, c *engine.Completion) bool {
	e.inflight--
	if q.Res < 0 && transient(&operation{}, unix.Errno(-q.Res)) {
		e.armFileRead(slot)
		return false
	}
	r := &e.files[slot]
	if r.n >= bulkBytesMin {
		e.bulk--
	}
	*c = engine.Completion{Token: r.token, Op: engine.OpReadFile, Res: q.Res}
	*r = fileRead{}
	e.filesFree = append(e.filesFree, slot)
	return true
}
