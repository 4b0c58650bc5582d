//go:build linux

package uring

import (
	"iter"

	"kring/engine"
)

// sockets are an engine's records by descriptor: small numbers that the kernel
// keeps dense, where slots of tokens are the owner's choice. They lie in pages,
// so that none moves when there are more: to copy thousands of them would hold
// everybody up, and leave as much behind for the garbage collector.
type sockets struct{ pages []*[pageSockets]socket }

const pageSockets = 128 // some 20 KiB

// of finds the record of fd; nil when made has never seen one as high.
func (s *sockets) of(fd engine.FD) *socket {
	if at := int(fd) / pageSockets; at < len(s.pages) && s.pages[at] != nil {
		return &s.pages[at][fd%pageSockets]
	}
	return nil
}

// made is of, and makes what is missing.
func (s *sockets) made(fd engine.FD) *socket {
	at := int(fd) / pageSockets
	for at >= len(s.pages) {
		s.pages = append(s.pages, nil)
	}
	if s.pages[at] == nil {
		s.pages[at] = new([pageSockets]socket)
	}
	return &s.pages[at][fd%pageSockets]
}

// all are the records that were made.
func (s *sockets) all() iter.Seq2[engine.FD, *socket] {
	return func(yield func(engine.FD, *socket) bool) {
		for at, page := range s.pages {
			if page == nil {
				continue
			}
			for i := range page {
				if !yield(engine.FD(at*pageSockets+i), &page[i]) {
					return
				}
			}
		}
	}
}
