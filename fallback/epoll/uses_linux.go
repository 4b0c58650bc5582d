package epoll

import (
	"sync"
	"sync/atomic"

	"kring/engine"
)

const usesPerPage = 1 << 12

// uses counts, for each descriptor number, how many sockets of this Network had it
// and were closed. The count shows that a number belongs to another socket by now.
type uses struct {
	mu    sync.Mutex                 // held to grow
	pages atomic.Pointer[[]*usePage] // the list is never written after it was stored
}

type usePage [usesPerPage]atomic.Uint32

// currentUse is the count for fd.
func (u *uses) currentUse(fd engine.FD) uint32 {
	pages := u.pages.Load()
	at := int(fd) / usesPerPage
	if pages == nil || at >= len(*pages) {
		return 0
	}
	return (*pages)[at][int(fd)%usesPerPage].Load()
}

// endUse is called before the socket of fd is closed.
func (u *uses) endUse(fd engine.FD) {
	if fd < 0 {
		return // never was a socket
	}
	at := int(fd) / usesPerPage
	pages := u.pages.Load()
	if pages == nil || at >= len(*pages) {
		pages = u.grow(at + 1)
	}
	(*pages)[at][int(fd)%usesPerPage].Add(1)
}

func (u *uses) grow(n int) *[]*usePage {
	u.mu.Lock()
	defer u.mu.Unlock()
	old := u.pages.Load()
	if old != nil && len(*old) >= n {
		return old
	}
	grown := make([]*usePage, 0, n)
	if old != nil {
		grown = append(grown, *old...)
	}
	for len(grown) < n {
		grown = append(grown, new(usePage))
	}
	u.pages.Store(&grown)
	return &grown
}
