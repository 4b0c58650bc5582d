package reqchan

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestAnAnswerBringsItsRequestHomeExactlyOnce(t *testing.T) {
	o := newOwner()
	r := new(Job)
	answer := make(chan func(), 1)
	go func() {
		for f := range answer {
			f()
		}
	}()
	defer close(answer)
	for life := range 20_000 {
		r.Begin(o.home, &o.pool)
		q := r.Request()
		done := make(chan struct{})
		answer <- func() { q.NoResponse(); close(done) } // races with HandleReturned
		if life%3 == 0 {
			<-done
		}
		if life%5 == 0 {
			runtime.Gosched()
		}
		if r.HandleReturned() {
			Return([]*Job{r})
		}
		for !o.home.Waiting() {
			if !o.sleep(t, "the owner of a request") {
				return
			}
		}
		if got := o.home.Take(); got != r || got.Next() != nil || !r.Answered() {
			t.Fatalf("life %d: not home, or not answered", life)
		}
		<-done
		if o.home.Waiting() {
			t.Fatalf("life %d: home twice", life)
		}
	}
}

func TestReturnKeepsTheOrderOfEachHome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owners := []*owner{newOwner(), newOwner(), newOwner()}
		want := make([][]*Job, len(owners))
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var batch []*Job
			for _, at := range rapid.SliceOfN(rapid.IntRange(-1, len(owners)-1), 0, 12).Draw(t, "homes") {
				if at < 0 {
					batch = append(batch, nil)
					continue
				}
				r := owners[at].begun(1)[0]
				batch = append(batch, r)
				want[at] = append(want[at], r)
			}
			Return(batch)
		}
		for i, o := range owners {
			r := o.home.Take()
			for _, w := range want[i] {
				if r != w {
					t.Fatalf("home %d: out of order", i)
				}
				r = r.Next()
			}
			if r != nil || o.home.Waiting() || o.home.Take() != nil {
				t.Fatalf("home %d: too many", i)
			}
		}
	})
}

func TestManyBringTheirBatchesHomeAtOnce(t *testing.T) {
	const many, batches = 8, 500
	o := newOwner()
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			for k := range batches {
				batch := o.begun(1 + k%7)
				for j, r := range batch {
					r.Token, r.Seq = uint64(i), uint64(k*10+j)
				}
				Return(batch)
			}
		})
	}
	want := 0
	for k := range batches {
		want += many * (1 + k%7)
	}
	var last [many]uint64
	for got := 0; got < want; {
		r := o.home.Take()
		if r == nil && !o.sleep(t, "the owner") {
			return
		}
		for ; r != nil; r = r.Next() {
			if r.Seq < last[r.Token] {
				t.Errorf("%d after %d", r.Seq, last[r.Token])
			}
			last[r.Token] = r.Seq
			got++
		}
	}
	wg.Wait()
}

func TestAResponseIsSentFromWhereItLies(t *testing.T) {
	o := newOwner()
	r := NewJob(nil, []byte{0, 0, 0, 3, 'a', 'b', 'c'})
	begun := func() Request { r.Begin(o.home, &o.pool); return r.Request() }
	q := begun()
	q.Respond(q.Payload())
	if _, got, _ := r.Answer(); !r.ResponseIsFrame() || !bytes.Equal(got, r.Frame) {
		t.Errorf("payload: % x", got)
	}
	q = begun()
	b := q.Buffer(10)
	copy(b, "xy")
	q.Respond(b[:2])
	if _, got, _ := r.Answer(); r.ResponseIsFrame() || &got[SizeBytes] != &b[0] || string(got) != "\x00\x00\x00\x02xy" {
		t.Errorf("buffer: % x", got)
	}
	q = begun()
	mine := []byte("mine")
	q.Respond(mine)
	mine[0] = 'X'
	if _, got, _ := r.Answer(); string(got) != "\x00\x00\x00\x04mine" {
		t.Errorf("other memory: % x", got)
	}
	q = begun()
	q.Respond(nil)
	if kind, got, _ := r.Answer(); kind != AnswerSend || !bytes.Equal(got, []byte{0, 0, 0, 0}) {
		t.Errorf("empty: % x", got)
	}
	r.Free()
	if n := o.pool.Lent(); n != 0 {
		t.Errorf("%d pieces of memory lost", n)
	}
}

// substitute sends other memory instead of parts.
type substitute struct {
	head    string
	size    int
	instead []byte
}

func (s *substitute) Answering(_ Request, _ AnswerKind, payload []byte) []byte { return payload }

func (s *substitute) AnsweringParts(_ Request, head []byte, size int) []byte {
	s.head, s.size = string(head), size
	copy(head, "H")
	return s.instead
}

func TestWhoSeesAnAnswerOfPartsMayChangeItsHeadOrSendAnother(t *testing.T) {
	o := newOwner()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, instead := range []string{"", "other"} {
		r, released := new(Job), 0
		r.Begin(o.home, &o.pool)
		s := &substitute{}
		if instead != "" {
			s.instead = []byte(instead)
		}
		r.Request().BeforeAnswer(s)
		parts := []Part{{Bytes: []byte("he")}, {Bytes: []byte("ad")}, {File: f, Length: 0}, {File: f, Length: 10}, {Bytes: []byte("tail")}}
		if err := r.Request().RespondParts(parts, func() { released++ }); err != nil {
			t.Fatal(err)
		}
		want, bytes := "\x00\x00\x00\x12Headtail", 4+18
		if instead != "" {
			want, bytes = "\x00\x00\x00\x05other", 4+5
		}
		if _, response, _ := r.Answer(); string(response) != want || r.ResponseBytes() != bytes || s.head != "head" || s.size != 18 {
			t.Errorf("response %q of %d bytes; seen %q of %d", response, r.ResponseBytes(), s.head, s.size)
		}
		if (len(r.Parts()) == 0) != (instead != "") || released != 0 {
			t.Errorf("%d parts, released %d times", len(r.Parts()), released)
		}
		r.Free()
		if released != 1 {
			t.Errorf("released %d times", released)
		}
	}
}
