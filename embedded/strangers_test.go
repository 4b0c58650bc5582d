package embedded

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// stranger makes requests whose values nobody sends who means well: of every
// number its limits, lists that are null, empty or name one thing twice, and names
// that are there or cannot be.
type stranger struct {
	*rand.Rand
	ids     [][16]byte
	batches [][]byte
}

var strangeNames = []string{
	"", "orders", "orders", "compacted", "nobody", "group", "group", "tx", "..", "a/b", "\x00", "ü", "0", "user", "client-id",
	"cleanup.policy", "compact", "compression.type", "gzip", "retention.ms", "-1", strings.Repeat("x", 300), "range", "consumer",
	"message.timestamp.type", logAppendTime, keeperPrefix + "group", "broker", "uniform", "max.message.bytes", "10MB", "^o.*", "(",
}

func (s *stranger) number(bits int) int64 {
	limits := []int64{-2, -1, 0, 0, 0, 1, 1, 2, 3, 7, math.MinInt64 >> (64 - bits), math.MaxInt64 >> (64 - bits), 30_000}
	return limits[s.IntN(len(limits))]
}

func (s *stranger) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(s.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(s.number(v.Type().Bits()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(s.IntN(256)))
	case reflect.Float64:
		v.SetFloat([]float64{0, -1, 1, 1024, math.Inf(1), math.NaN()}[s.IntN(6)])
	case reflect.String:
		v.SetString(strangeNames[s.IntN(len(strangeNames))])
	case reflect.Array:
		if s.IntN(3) > 0 {
			v.Set(reflect.ValueOf(s.ids[s.IntN(len(s.ids))]))
		}
	case reflect.Pointer:
		if s.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			s.fill(v.Elem())
		}
	case reflect.Slice:
		s.list(v)
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" && name != "UnknownTags" {
				s.fill(v.Field(i))
			}
		}
	}
}

func (s *stranger) list(v reflect.Value) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(s.bytes())
		return
	}
	n := []int{0, 1, 1, 1, 2, 3}[s.IntN(6)]
	if n == 0 && s.IntN(2) == 0 {
		return // null
	}
	all := reflect.MakeSlice(v.Type(), 0, n)
	for range n {
		e := reflect.New(v.Type().Elem()).Elem()
		s.fill(e)
		all = reflect.Append(all, e)
		if s.IntN(4) == 0 {
			all = reflect.Append(all, e)
		}
	}
	v.Set(all)
}

func (s *stranger) bytes() []byte {
	b := append([]byte(nil), s.batches[s.IntN(len(s.batches))]...)
	for range s.IntN(3) {
		if len(b) > 0 {
			b[s.IntN(len(b))] = byte(s.IntN(256))
		}
	}
	if s.IntN(6) == 0 {
		b = b[:s.IntN(len(b)+1)]
	}
	if len(b) >= batchRecordsAt && s.IntN(3) > 0 {
		recordBatch(b).seal()
	}
	return b
}

// tell sends a request, and is gone before the answer if that takes long.
func (s *stranger) tell(t *testing.T, c *Cluster, req kmsg.Request) {
	conn := &reqchan.Conn{}
	c.ConnOpened(conn)
	defer c.ConnClosed(conn, reqchan.PeerFinished)
	r := newRequest(t, conn, 0, req)
	c.Handle(r.Request())
	if r.HandleReturned() {
		return
	}
	select {
	case <-r.came:
	case <-time.After(50 * time.Millisecond):
	}
}

// No request ends the process or keeps the others from being served, whatever is
// in it. FuzzRequests goes on from here.
func TestNoRequestEndsTheProcess(t *testing.T) {
	for _, cfg := range strangersMeet(t) {
		t.Run(fmt.Sprintf("disk=%v sync=%v", cfg.DataDir != "", cfg.SyncWrites), func(t *testing.T) { meet(t, open(t, cfg), 1) })
	}
}

func FuzzRequests(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		for _, cfg := range strangersMeet(t) {
			meet(t, open(t, cfg), seed)
		}
	})
}

func strangersMeet(t *testing.T) []Config {
	return []Config{{}, {DataDir: t.TempDir()}, {DataDir: t.TempDir(), SyncWrites: true}}
}

// meet asks requests of every API, and then one that has to be served.
func meet(t *testing.T, c *Cluster, seed uint64) {
	mustCreate(t, c, "orders")
	mustCreate(t, c, "compacted", "cleanup.policy=compact")
	s := &stranger{
		Rand: rand.New(rand.NewPCG(seed, 0)), ids: [][16]byte{{}, {1}, c.topicInfo("orders").TopicID},
		batches: [][]byte{nil, {}, produceOf("orders", 10).Topics[0].Partitions[0].Records},
	}
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		served, ok := c.Versions().Range(key)
		for i := 0; ok && i < 10; i++ {
			req := kmsg.RequestForKey(key)
			req.SetVersion(served.Min + int16(s.IntN(int(served.Max-served.Min)+1)))
			s.fill(reflect.ValueOf(req).Elem())
			s.tell(t, c, req)
		}
	}
	mustCreate(t, c, "afterwards")
	if got := code(t, c, produceOf("afterwards", 10)); got != 0 {
		t.Errorf("error %d afterwards", got)
	}
}
