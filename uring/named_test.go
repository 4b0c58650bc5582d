//go:build linux && (race || invariants) && !(giouring && (amd64 || arm64))

package uring

import (
	"fmt"
	"strings"
	"testing"

	"kring/engine"
)

// TestAnAddressOfTheGoHeapNeverReachesTheKernel: for each kind of operation that
// names memory, an SQE with heap memory in it is stopped before it is submitted.
func TestAnAddressOfTheGoHeapNeverReachesTheKernel(t *testing.T) {
	n := newTestNetwork(t, Config{})
	heap := make([]byte, 64)
	at := address(heap)
	for name, prep := range map[string]func(e *ringEngine, q *SQE){
		"accept":      func(_ *ringEngine, q *SQE) { q.PrepAccept(3, 0); q.Addr = uint64(at) },
		"recv":        func(_ *ringEngine, q *SQE) { q.PrepRecv(3, at, 64, 0) },
		"recv select": func(_ *ringEngine, q *SQE) { q.PrepRecv(3, at, 64, 0); q.Flags = SQEBufferSelect },
		"read":        func(_ *ringEngine, q *SQE) { q.PrepRead(3, at, 8, 0) },
		"read fixed":  func(_ *ringEngine, q *SQE) { q.PrepReadFixed(3, at, 64, 0, 0) },
		"send":        func(_ *ringEngine, q *SQE) { q.PrepSend(3, at, 64, 0) },
		"send zc":     func(_ *ringEngine, q *SQE) { q.PrepSendZC(3, at, 64, 0, 0) },
		"write fixed": func(_ *ringEngine, q *SQE) { q.PrepWriteFixed(3, at, 64, 0, 0) },
		"sendmsg":     func(_ *ringEngine, q *SQE) { q.PrepSendMsg(3, at, 0) },
		"sendmsg vector": func(e *ringEngine, q *SQE) {
			header, _ := e.scratch.gather([][]byte{heap[:10], heap[10:]}, 64)
			q.PrepSendMsg(3, header, 0)
		},
		"sendmsg zc vector": func(e *ringEngine, q *SQE) {
			header, _ := e.scratch.gather([][]byte{heap[:10], heap[10:]}, 64)
			q.PrepSendMsgZC(3, header, 0)
		},
		"writev fixed": func(_ *ringEngine, q *SQE) { q.PrepWritevFixed(3, at, 2, 0, 0) },
		"timeout":      func(_ *ringEngine, q *SQE) { q.PrepTimeout(at, 0, 0) },
		"timeout set":  func(_ *ringEngine, q *SQE) { q.PrepTimeoutUpdate(at, 0, 0) },
		"files update": func(_ *ringEngine, q *SQE) { q.PrepFilesUpdate(at, 1, 0) },
		"past the end": func(e *ringEngine, q *SQE) {
			q.PrepSend(3, address(e.window.memory), uint32(len(e.window.memory))+1, 0)
		},
		"unknown": func(_ *ringEngine, q *SQE) { q.Opcode = 250 },
	} {
		r := openRig(t, n, engine.WaitParked)
		if err := r.engine.submit(); err != nil { // what Open left
			t.Fatal(err)
		}
		prep(r.engine, r.engine.sqe())
		says := broken(func() { _ = r.engine.submit() })
		if !strings.Contains(says, "broken invariant: uring: ") {
			t.Errorf("%s: submitted, or stopped by %q", name, says)
		}
		r.engine.ring.tail = r.engine.ring.sqTail.Load() // it goes no further
		r.close()
	}
}

// broken runs f and gives what it panicked with.
func broken(f func()) (says string) {
	defer func() { says = fmt.Sprint(recover()) }()
	f()
	return ""
}
