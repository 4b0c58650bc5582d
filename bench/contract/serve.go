package contract

import (
	"encoding/binary"
	"io"
	"os"
	"sync"

	"kring"
	"kring/bench/contestant"
)

// ServeConfig of a server that is judged.
type ServeConfig struct {
	Engine, Dispatch string // kring's
	// 0: kring's own.
	Processors, Handlers, QueuedRequests int
	// File serves pieces of a file, by RespondParts or OnTheLoop.
	File      string
	OnTheLoop bool
	// TLSCert and TLSKey open a second listener, behind TLS.
	TLSCert, TLSKey string
}

// fetchBytes is the size of each piece.
const fetchBytes = 1 << 20

// The caps of one connection's memory; kring's defaults.
const (
	queuedResponseBytes = 1 << 20
	heldBytes           = 256 << 10
)

// The cap of what io_uring receives into, an engine; kring's defaults too. It is
// resident only where it was used.
const (
	receiveBuffers     = 1024
	receiveBufferBytes = 16 << 10
)

// Requests that are not echoed, but for offsets of 8 bytes in a file.
const (
	stalls = "stall" // its handler blocks until "release"
	kept   = "keep"  // it is answered at "answer"
)

// Serve is a judged server's process, as contestant.Serve.
func Serve(c ServeConfig, in io.Reader, out io.Writer) error {
	s := &stage{gate: make(chan struct{}), onTheLoop: c.OnTheLoop}
	if c.File != "" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		s.file = f
	}
	return contestant.Serve(contestant.ServeConfig{
		Server: "kring", Engine: c.Engine, Dispatch: c.Dispatch, Handler: kring.HandlerFunc(s.handle),
		TLSCert: c.TLSCert, TLSKey: c.TLSKey, PlainToo: c.TLSCert != "",
		Adjust: func(k *kring.Config) {
			k.Processors.Count, k.Dispatch.Handlers, k.Dispatch.QueuedRequestsMax = c.Processors, c.Handlers, c.QueuedRequests
			k.Limits.QueuedResponseBytesMax, k.Limits.HeldBytesMax = queuedResponseBytes, heldBytes
			if c.Engine == ioURing {
				k.URing.Buffers, k.URing.BufferBytes = receiveBuffers, receiveBufferBytes
			}
		},
		Commands: map[string]func() contestant.Own{"answer": s.answer, "release": s.release},
	}, in, out)
}

// stage is what the requests of the scenarios are answered with.
type stage struct {
	file      *os.File
	onTheLoop bool
	gate      chan struct{} // closed by release
	released  sync.Once

	mu   sync.Mutex
	kept []kring.Request // guarded by mu
}

func (s *stage) handle(r kring.Request) {
	switch {
	case string(r.Payload()) == stalls:
		<-s.gate
		r.Respond(r.Payload())
	case string(r.Payload()) == kept:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.kept = append(s.kept, r)
	case len(r.Payload()) == 8 && s.file != nil:
		s.piece(r, int64(binary.BigEndian.Uint64(r.Payload())))
	default:
		r.Respond(r.Payload())
	}
}

func (s *stage) piece(r kring.Request, offset int64) {
	if !s.onTheLoop {
		if err := r.RespondParts([]kring.Part{{File: s.file, Offset: offset, Length: fetchBytes}}, nil); err != nil {
			r.NoResponse()
		}
		return
	}
	b := r.Buffer(fetchBytes)
	if _, err := s.file.ReadAt(b, offset); err != nil {
		r.NoResponse()
		return
	}
	r.Respond(b)
}

// answer answers the oldest request that was kept.
func (s *stage) answer() contestant.Own {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) > 0 {
		r := s.kept[0]
		s.kept = s.kept[1:]
		r.Respond(r.Payload())
	}
	return contestant.Own{"now_kept": float64(len(s.kept))}
}

func (s *stage) release() contestant.Own {
	s.released.Do(func() { close(s.gate) })
	return contestant.Own{}
}
