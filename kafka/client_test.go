package kafka

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"kring/internal/queue"
	"kring/internal/slab"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// handler is what the root package's Handler is.
type handler interface{ Handle(reqchan.Request) }

// client is one connection to a handler of frames, without a network. One
// request at a time.
type client struct {
	t        testing.TB
	handler  handler
	conn     *reqchan.Conn
	pool     slab.Pool
	home     *reqchan.ResponseQueue
	wakeFlag *queue.WakeFlag
	rung     chan struct{}
	request  *reqchan.Job
	frame    []byte
}

func newClient(t testing.TB, h handler) *client {
	c := &client{t: t, handler: h, rung: make(chan struct{}, 1), request: reqchan.NewJob(nil, nil)}
	c.conn = &reqchan.Conn{Local: netip.MustParseAddrPort("127.0.0.1:9092")}
	c.wakeFlag = queue.NewWakeFlag(func() {
		select {
		case c.rung <- struct{}{}:
		default:
		}
	})
	c.home = reqchan.NewResponseQueue(c.wakeFlag)
	t.Cleanup(func() {
		c.request.Free()
		if c.frame != nil {
			c.pool.Put(c.frame)
		}
		if n := c.pool.Lent(); n != 0 {
			t.Errorf("%d pieces of memory did not come home", n)
		}
		c.pool.Close()
	})
	return c
}

// start gives payload to the handler and reports whether it was answered.
func (c *client) start(payload []byte) bool {
	c.request.Reset()
	if need := reqchan.SizeBytes + len(payload); cap(c.frame) < need {
		if c.frame != nil {
			c.pool.Put(c.frame)
		}
		c.frame = c.pool.Get(need)
	}
	c.frame = c.frame[:reqchan.SizeBytes+len(payload)]
	copy(c.frame[reqchan.SizeBytes:], payload)
	c.request.Frame, c.request.Conn = c.frame, c.conn
	c.request.Begin(c.home, &c.pool)
	c.handler.Handle(c.request.Request())
	return c.request.HandleReturned()
}

// await waits for an answer that comes later.
func (c *client) await() {
	c.t.Helper()
	deadline := time.After(time.Minute)
	for {
		c.wakeFlag.BeforeSleep()
		if c.home.Waiting() {
			c.wakeFlag.AfterSleep()
			if c.home.Take() != c.request {
				c.t.Fatal("a request came home that was not sent")
			}
			return
		}
		select {
		case <-c.rung:
		case <-deadline:
			c.t.Fatal("no answer in 20 seconds")
		}
	}
}

// send sends payload and returns the answer, the response without its size.
func (c *client) send(payload []byte) (reqchan.AnswerKind, []byte, reqchan.CloseReason) {
	c.t.Helper()
	if !c.start(payload) {
		c.await()
	}
	kind, response, why := c.request.Answer()
	if kind == reqchan.AnswerSend {
		if size := binary.BigEndian.Uint32(response); int(size) != len(response)-reqchan.SizeBytes {
			c.t.Fatalf("response of %d bytes says %d", len(response)-reqchan.SizeBytes, size)
		}
		response = response[reqchan.SizeBytes:]
	}
	return kind, response, why
}

// ask sends req in version and returns its decoded response.
func ask[R kmsg.Response](c *client, req kmsg.Request, version int16) R {
	c.t.Helper()
	req.SetVersion(version)
	kind, payload, why := c.send(framePayload(req, 4711, "test"))
	if kind != reqchan.AnswerSend {
		c.t.Fatalf("%s v%d: answered with %v, %v", kmsg.NameForKey(req.Key()), version, kind, why)
	}
	return decodeResponse[R](c.t, payload, req)
}

func decodeResponse[R kmsg.Response](t testing.TB, payload []byte, req kmsg.Request) R {
	t.Helper()
	header := AppendResponseHeader(nil, req.Key(), req.GetVersion(), 4711)
	if len(payload) < len(header) || string(payload[:len(header)]) != string(header) {
		t.Fatalf("response header %x, want %x", payload[:min(len(header), len(payload))], header)
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(payload[len(header):]); err != nil {
		t.Fatalf("%s v%d: %v in %x", kmsg.NameForKey(req.Key()), req.GetVersion(), err, payload)
	}
	return resp.(R)
}

// recorder is a handler that keeps its requests and sends no response.
type recorder struct {
	mu    sync.Mutex
	calls []APIRequest
	keys  []int16
}

func (h *recorder) HandleAPI(r APIRequest) {
	h.mu.Lock()
	h.calls, h.keys = append(h.calls, r), append(h.keys, r.Header.Key)
	h.mu.Unlock()
	r.NoResponse()
}

// everything serves all known APIs and versions.
func everything(t testing.TB) Versions {
	var ranges []VersionRange
	for i := range descriptions {
		ranges = append(ranges, VersionRange{descriptions[i].key, 0, descriptions[i].max})
	}
	v, err := NewVersions(ranges...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
