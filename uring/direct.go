//go:build linux

package uring

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
	"kring/internal/slab"
)

// directFDs names sockets by their place in a table of the ring, which saves the kernel
// the look-up of a descriptor and its reference count for each operation.
//
// Kernel: 6.13; before, a table could keep a closed socket open.
//
// Cost: two operations more for each connection. Off: no gain was measured with few
// threads (2,288 against 2,372 ns for a send of 128 bytes).
var directFDs = technique{
	asked:      func(c *Config) bool { return c.DirectFDs },
	probe:      (*Network).probeDirect,
	open:       (*ringEngine).openTable,
	operations: func(*Config, *abilities) []uint8 { return []uint8{OpcodeFilesUpdate} },
	hooks: hooks{
		begin: (*ringEngine).enlist, end: (*ringEngine).strike, close: (*ringEngine).closeTable,
		prepared: func(e *ringEngine, q *SQE, fd engine.FD) {
			if e.sockets.of(fd).direct { // else it is an Accept, or a Close
				q.Flags |= SQEFixedFile
			}
		},
	},
}

// table is a ring's direct descriptors. A socket's place in it is its number,
// so there is nothing to look up; it stands there from its first receive or
// send until its CloseFD or Detach. Listening sockets never do: Discard could
// not close them.
type table struct {
	places int
	memory []byte // what the kernel reads of a place while it changes it
}

const placeBytes = 4 // an __s32

// openTable registers a table for as many sockets as the process may have, but
// for those beyond directMax: they keep going by their numbers.
func (e *ringEngine) openTable(engine.Wait) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("uring: getrlimit: %w", err)
	}
	t := &table{places: int(min(l.Cur, directMax))}
	if err := e.ring.registerSparseFiles(uint32(t.places)); err != nil {
		return registerError("FILES2", err)
	}
	var err error
	if t.memory, err = slab.Map(t.places * placeBytes); err != nil {
		return mapError("table of direct descriptors", t.places*placeBytes, err)
	}
	slab.Register(t.memory)
	e.table = t
	return nil
}

// directMax bounds the table; the kernel takes eight bytes for each place.
const directMax = 1 << 16

// enlist puts fd in the table. Order: the SQ is first in first out, and the
// kernel does this at once, so what is armed next finds it.
func (e *ringEngine) enlist(fd engine.FD, s *socket) {
	if s.direct || int(fd) >= e.table.places {
		return
	}
	e.place(fd, int32(fd))
	s.direct = true
}

// strike takes fd out of the table; without it the socket stays open.
func (e *ringEngine) strike(fd engine.FD, s *socket) {
	if s.direct {
		e.place(fd, -1)
		s.direct = false
	}
}

func (e *ringEngine) place(fd engine.FD, what int32) {
	at := e.table.memory[int(fd)*placeBytes:][:placeBytes]
	q := e.sqe()
	binary.NativeEndian.PutUint32(at, uint32(what))
	q.PrepFilesUpdate(address(at), 1, uint32(fd))
	q.Flags = SQECQESkipSuccess
	q.UserData = userData(opPlace, 0, fd)
}

// placed sees only changes that failed: what was armed then fails with EBADF,
// and the connection ends.
func (e *ringEngine) placed(q *CQE, fd engine.FD) {
	if invariants.Enabled {
		invariants.Assert(unix.Errno(-q.Res) == unix.ENOMEM, "uring: direct descriptor %d: %v", fd, unix.Errno(-q.Res))
	}
}

func (e *ringEngine) closeTable() error {
	if e.table == nil { // opening it failed
		return nil
	}
	slab.Unregister(e.table.memory)
	return slab.Unmap(e.table.memory)
}

// probeDirect asks for what Config.DirectFDs needs.
func (n *Network) probeDirect() error {
	const lacks = "direct descriptors that are let go of at once (6.13)"
	if !n.kernel.direct {
		return demand("DirectFDs", n.config.DirectFDs, lacks)
	}
	p, err := newProber()
	if err != nil {
		return err
	}
	defer p.close()
	var none *absence
	err = p.on(Params{}, p.tryLetGo)
	if errors.As(err, &none) {
		return demand("DirectFDs", n.config.DirectFDs, lacks+": "+none.says)
	}
	if err != nil {
		return fmt.Errorf("io_uring: asking for direct descriptors: %w", err)
	}
	return nil
}

// tryLetGo closes a socket that was in a table, while an operation stands on
// another. Before 6.13 the table kept the first until the second had ended, and
// its peer saw no end.
func (p *prober) tryLetGo(r *Ring) error {
	if err := r.registerSparseFiles(2); err != nil {
		return refusal("io_uring_register FILES2", err)
	}
	return pair(func(stays, peer int) error {
		gone, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return refusal("socketpair", err)
		}
		defer unix.Close(gone[1])
		for place, fd := range []int{stays, gone[0]} {
			if err := errors.Join(err, p.update(r, uint32(place), int32(fd))); err != nil {
				_ = unix.Close(gone[0])
				return err
			}
		}
		q := r.GetSQE()
		q.PrepRecv(0, address(p.data), 4, 0)
		q.Flags = SQEFixedFile
		err = p.update(r, 1, -1)
		_ = unix.Close(gone[0])
		ended := []unix.PollFd{{Fd: int32(gone[1]), Events: unix.POLLIN}}
		if n, pollErr := unix.Poll(ended, letGoMillis); err == nil && n == 0 && pollErr == nil {
			err = &absence{"close: the peer sees no end"}
		}
		return errors.Join(err, hangUp(r, peer)) // ends the receive on p.data
	})
}

// letGoMillis is how long a close may take to show.
const letGoMillis = 200

// update changes a place in r's table, with an operation as the engine does.
func (p *prober) update(r *Ring, place uint32, fd int32) error {
	binary.NativeEndian.PutUint32(p.note, uint32(fd))
	const mark = 4
	q := r.GetSQE()
	q.PrepFilesUpdate(address(p.note), 1, place)
	q.UserData = mark
	c, err := next(r)
	return verdict("files_update", c, err)
}
