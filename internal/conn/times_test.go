package conn

import (
	"testing"

	"kring/internal/measure"
	"kring/reqchan"
)

// timing is as much of what connections share as measures.
func timing(now int64, apiOf func([]byte) (int16, int16)) *Shared {
	return &Shared{now: now, cfg: Config{APIOf: apiOf}, times: times{recent: new(apiTimes)}}
}

// marking is as much of a connection as marks.
func marking(sh *Shared) *Conn { return &Conn{shared: sh, out: output{unsent: &outbound{}}} }

// BenchmarkMeasure is what measuring adds to a request, all its stages: cut,
// answered, queued and sent, sixteen of them in a pass.
func BenchmarkMeasure(b *testing.B) {
	sh := timing(0, func(payload []byte) (int16, int16) { return int16(payload[1]), int16(payload[3]) })
	r := reqchan.NewJob(nil, make([]byte, reqchan.SizeBytes+100))
	c := marking(sh)
	b.ReportAllocs()
	for i := 0; i < b.N; i += 16 {
		sh.now = measure.Now() // a pass reads the clock anyway
		for range 16 {
			sh.recordArrival(r)
			r.Times.Taken, r.Times.Local = sh.now+5000, 700
			c.mark(sh.timesOf(r.API), &r.Times, r.ErrorCode(), 100, 1, nil)
		}
		sh.now += 20_000
		c.sentUpTo(1600)
		sh.PublishTimes()
	}
}

// A request is measured once, whatever comes of it, and its times are those
// that passed.
func TestTheTimesOfARequestAreThoseThatPassed(t *testing.T) {
	sh := timing(1_000_000, nil)
	c := marking(sh)
	m := &c.out.unsent.marks
	r := reqchan.NewJob(nil, make([]byte, reqchan.SizeBytes+10))
	for _, drop := range []bool{false, true} {
		sh.recordArrival(r)
		r.Times.Taken = sh.now + 3_000
		r.Times.Local = 5_000
		r.Times.Answered = r.Times.Taken + 5_000 + 7_000
		sh.now += 3_000 + 5_000 + 7_000 + 13_000
		c.mark(sh.timesOf(r.API), &r.Times, r.ErrorCode(), 14, 1, nil)
		c.sentUpTo(13)
		sh.now += 2_000
		if drop {
			c.dropMarks()
		} else {
			c.sentUpTo(1)
		}
		if len(m.list) != m.at {
			t.Errorf("%d responses still marked", len(m.list)-m.at)
		}
	}
	sh.PublishTimes()
	all := sh.Requests()
	if len(all) != 1 || all[0].API != OtherAPI {
		t.Fatalf("%+v", all)
	}
	s := all[0]
	for _, stage := range []struct {
		name string
		got  Distribution
		want uint64
	}{{"queue", s.Queue, 3}, {"local", s.Local, 5}, {"remote", s.Remote, 7},
		{"response", s.Response, 13}, {"send", s.Send, 2}, {"total", s.Total, 30}, {"bytes", s.Bytes, 10}} {
		if stage.got.Count != 2 || stage.got.Sum != 2*stage.want || stage.got.Max != stage.want {
			t.Errorf("%s: %+v, want 2 of %d", stage.name, stage.got, stage.want)
		}
	}
}

// What clients send can't make the server keep more than it has room for.
func TestKeysVersionsAndErrorsOutOfRangeAreCountedTogether(t *testing.T) {
	var key, version int16
	sh := timing(0, func([]byte) (int16, int16) { return key, version })
	r := reqchan.NewJob(nil, nil)
	for _, k := range []int16{-32768, -1, apisMax, 32767} {
		key = k
		sh.recordArrival(r)
		sh.recordUnsent(r)
	}
	key = 3
	for _, v := range []int16{-5, 2, 2, versionsMax, 32767} {
		version = v
		r.Begin(nil, nil)
		sh.recordArrival(r)
		r.Request().SetErrorCode(v)
		sh.recordUnsent(r)
	}
	sh.PublishTimes()
	all := sh.Requests()
	if len(all) != 2 || all[0].API != 3 || all[1].API != OtherAPI || all[1].Total.Count != 4 {
		t.Fatalf("%+v", all)
	}
	if v, e := all[0].Versions, all[0].Errors; v[2] != 2 || v[-1] != 3 || e[2] != 2 || e[versionsMax] != 1 || e[-2] != 2 {
		t.Errorf("versions %v, errors %v", v, e)
	}
}

// A client reads a little slower than it is answered, for ever, so that its output
// is never empty: what is remembered of its responses stays as little as that is,
// whichever APIs they are of, and every response is counted; and nothing much is
// kept once it has read all.
func TestWhatIsRememberedOfResponsesHasABound(t *testing.T) {
	var key int16
	sh := timing(0, func([]byte) (int16, int16) { return key, 0 })
	c := marking(sh)
	m := &c.out.unsent.marks
	r := reqchan.NewJob(nil, make([]byte, 14))
	waiting, most := 0, 0
	for i := range 200_000 {
		sh.now += 1000
		key = int16(i / 3 % 4)
		sh.recordArrival(r)
		c.mark(sh.timesOf(r.API), &r.Times, 0, 14, 1, nil)
		if waiting++; i%1000 > 300 || i < 1000 { // first it reads nothing, then as fast as it gets something
			c.sentUpTo(14)
			waiting--
		}
		most = max(most, cap(m.list))
	}
	if waiting == 0 || most > 4*marksMax {
		t.Errorf("room for %d marks while %d responses waited in the end", most, waiting)
	}
	c.sentUpTo(14 * waiting)
	if cap(m.list) > marksKept || m.at != len(m.list) {
		t.Errorf("room for %d marks, and %d there, when all is out", cap(m.list), len(m.list)-m.at)
	}
	sh.PublishTimes()
	n := uint64(0)
	for _, s := range sh.Requests() {
		n += s.Total.Count
	}
	if n != 200_000 {
		t.Errorf("%d responses counted of 200000", n)
	}
}
