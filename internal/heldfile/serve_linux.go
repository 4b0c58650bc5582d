package heldfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// asServer in the environment makes this program the server, whatever else it is.
	asServer = "KRING_HELDFILE_SERVER"
	// lifetime bounds a server whose test can't end it. No test takes that long.
	lifetime = 15 * time.Minute
)

// Before anything else of the program: it is a test's binary, started again.
func init() {
	if os.Getenv(asServer) == "" {
		return
	}
	time.AfterFunc(lifetime, func() { os.Exit(1) })
	s := &server{kernel: 3, held: make(map[uint64]uint32)}
	go s.serve()
	if n, _ := os.Stdin.Read(make([]byte, 1)); n > 0 {
		s.release()
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test ends
	}
	os.Exit(0)
}

// server answers the kernel for one file system.
type server struct {
	kernel   int
	mu       sync.Mutex
	held     map[uint64]uint32 // guarded by mu: the bytes that each read asked for
	released bool              // guarded by mu
}

func (s *server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = true
	for unique, n := range s.held {
		s.answer(unique, 0, make([]byte, n))
	}
	clear(s.held)
}

// Kernel: include/uapi/linux/fuse.h.
const (
	opLookup      = 1
	opForget      = 2
	opGetattr     = 3
	opOpen        = 14
	opRead        = 15
	opRelease     = 18
	opFlush       = 25
	opInit        = 26
	opInterrupt   = 36
	opDestroy     = 38
	opBatchForget = 42

	headerBytes  = 40
	readBytesMax = 128 << 10
	directIO     = 1 // of an opened file: each read is asked for, nothing is cached
)

// The files, and the directory that they are in, by node.
const (
	nodeRoot = 1 + iota
	nodeCold
	nodeWarm

	cold, warm = "cold", "warm"
)

var (
	nodes = map[string]uint64{cold: nodeCold, warm: nodeWarm}
	le    = binary.LittleEndian // as all systems that kring's tests run on
)

func (s *server) serve() {
	request := make([]byte, readBytesMax+4096)
	for {
		n, err := unix.Read(s.kernel, request)
		switch {
		case err == nil:
			s.handle(request[:n])
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT): // taken back
		case errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ECONNABORTED): // unmounted, maybe with requests under way
			return
		default:
			fmt.Fprintln(os.Stderr, "heldfile: read of /dev/fuse:", err)
			os.Exit(1)
		}
	}
}

func (s *server) handle(request []byte) {
	op, unique, node := le.Uint32(request[4:]), le.Uint64(request[8:]), le.Uint64(request[16:])
	body := request[headerBytes:]
	switch op {
	case opForget, opBatchForget, opInterrupt: // not answered
	case opInit:
		s.answer(unique, 0, initial())
	case opLookup:
		s.lookup(unique, string(body[:len(body)-1]))
	case opGetattr:
		s.answer(unique, 0, append(make([]byte, 16), attributes(node)...))
	case opOpen:
		s.answer(unique, 0, le.AppendUint64(make([]byte, 8), directIO))
	case opRead:
		s.read(unique, node, le.Uint64(body[8:]), le.Uint32(body[16:]))
	case opRelease, opFlush, opDestroy:
		s.answer(unique, 0, nil)
	default:
		s.answer(unique, unix.ENOSYS, nil)
	}
}

func (s *server) lookup(unique uint64, name string) {
	node, ok := nodes[name]
	if !ok {
		s.answer(unique, unix.ENOENT, nil)
		return
	}
	s.answer(unique, 0, append(append(le.AppendUint64(nil, node), make([]byte, 32)...), attributes(node)...))
}

func (s *server) read(unique, node, offset uint64, n uint32) {
	n = uint32(min(uint64(n), Size-min(Size, offset)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if node == nodeCold && !s.released {
		s.held[unique] = n
		_, _ = os.Stdout.Write([]byte{1})
		return
	}
	s.answer(unique, 0, make([]byte, n))
}

// answer. It fails where who asked has gone.
func (s *server) answer(unique uint64, errno unix.Errno, body []byte) {
	b := le.AppendUint32(nil, uint32(16+len(body)))
	b = le.AppendUint32(b, uint32(-int32(errno)))
	b = le.AppendUint64(b, unique)
	_, _ = unix.Write(s.kernel, append(b, body...))
}

// initial is struct fuse_init_out of version 7.31.
func initial() []byte {
	b := make([]byte, 64)
	le.PutUint32(b, 7)
	le.PutUint32(b[4:], 31)
	le.PutUint32(b[20:], readBytesMax) // of a write
	return b
}

// attributes is struct fuse_attr.
func attributes(node uint64) []byte {
	b := make([]byte, 88)
	le.PutUint64(b, node)
	le.PutUint64(b[8:], Size)
	mode := uint32(unix.S_IFREG | 0o444)
	if node == nodeRoot {
		mode = unix.S_IFDIR | 0o555
	}
	le.PutUint32(b[60:], mode)
	le.PutUint32(b[64:], 1) // links
	return b
}
