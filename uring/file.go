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
	got    uint32 // of n
	offset uint64
	way    fileWay
}

// fileWay is how the kernel is asked for a read.
type fileWay uint8

const (
	// fileInMemory takes what the page cache has, and fails where it has nothing.
	fileInMemory fileWay = iota
	// fileInTime leaves it to the file system how to wait. Kernel: without a thread
	// where it can (FMODE_BUF_RASYNC, 5.9), on one of io-wq's where it can't.
	fileInTime
	// fileOnThread has a thread of io-wq read at once.
	fileOnThread
)

// fileReads are what ringEngine reads of files.
type fileReads struct {
	files     []fileRead // by slot
	filesFree []int
}

// ReadFile. The ring never waits for it. Kernel: what is in the page cache is
// copied as the read is submitted, and nothing else is tried in that call. For a
// file system that does not know how not to wait (no FMODE_NOWAIT) io_uring asks
// poll(2) instead, which says of some (FUSE) that they are always ready; their
// read then blocks whoever submits it, with all of its sockets.
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
	e.files[slot] = fileRead{token: t, file: int32(file), addr: address(buf), n: uint32(len(buf)), offset: uint64(offset)}
	if len(buf) >= bulkBytesMin {
		e.bulk++
	}
	e.armFileRead(slot)
}

func (e *ringEngine) armFileRead(slot int) {
	r := &e.files[slot]
	q := e.sqe()
	q.PrepRead(r.file, r.addr+uintptr(r.got), r.n-r.got, r.offset+uint64(r.got))
	switch r.way {
	case fileInMemory:
		q.OpFlags = unix.RWF_NOWAIT
	case fileOnThread:
		q.Flags = SQEAsync
	}
	q.UserData = userData(opFile, e.nextSequence(), engine.FD(slot))
	e.counts(q)
}

// goesOn takes what came of a read, and says whether there is more to ask for.
func (r *fileRead) goesOn(res int32) bool {
	if res >= 0 {
		r.got += uint32(res)
		if r.way != fileInMemory || r.got == r.n {
			return false
		}
		r.way = fileInTime // the rest is on the disk, or the file has ended
		return true
	}
	errno := unix.Errno(-res)
	if r.way == fileInMemory && errno == unix.EOPNOTSUPP {
		r.way = fileOnThread
		return true
	}
	if errno == unix.EAGAIN {
		r.way = max(r.way, fileInTime)
	}
	return transient(&operation{}, errno)
}

// fileDone says whether c is one for the owner.
func (e *ringEngine) fileDone(q *CQE, slot int, c *engine.Completion) bool {
	e.inflight--
	r := &e.files[slot]
	if r.goesOn(q.Res) {
		e.armFileRead(slot)
		return false
	}
	if r.n >= bulkBytesMin {
		e.bulk--
	}
	*c = engine.Completion{Token: r.token, Op: engine.OpReadFile, Res: int32(r.got)}
	if q.Res < 0 {
		c.Res = q.Res
	}
	*r = fileRead{}
	e.filesFree = append(e.filesFree, slot)
	return true
}
