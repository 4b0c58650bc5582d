package record

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
)

// raised is an entry with its head, which r has counted.
func raised(r *Recorder, b []byte) []byte {
	var to bytes.Buffer
	r.out = bufio.NewWriter(&to)
	r.raise(b)
	_ = r.out.Flush()
	return to.Bytes()
}

// FuzzRecording reads files that anybody may have made: it ends, with an error of its own, holds no
// more memory than the file is long, and what it gives can be written again and is the same.
func FuzzRecording(f *testing.F) {
	r := &Recorder{cfg: Config{BytesMax: 1 << 20}}
	text := "client"
	all := []byte(magic)
	for _, e := range []Entry{
		{Kind: Start, Version: 1, Software: "kring"}, {Kind: Opened, Text: "PLAINTEXT"}, {Kind: Request, ClientID: &text, Body: []byte("body")},
		{Kind: Response, Latency: 9}, {Kind: Topic, Text: "orders"}, {Kind: Lost, Lost: 1}, {Kind: 99}, {Kind: Closed}, {Kind: End},
	} {
		all = append(all, raised(r, e.append(make([]byte, entryHeadBytes)))...)
	}
	f.Add(all, false)
	f.Add([]byte(magic+"\x0f\xff\xff\xff"), false)
	f.Add([]byte{byte(Request), 0xff, 0xff, 0xff}, true)
	f.Add(batchOf(3, "records"), true)
	f.Fuzz(func(t *testing.T, file []byte, entry bool) {
		if entry { // behind a right checksum
			for range BatchesOfCut(cutBatches(file)) {
			}
			if len(file) == 0 {
				return
			}
			start := Entry{Kind: Start, Version: 1}
			r := &Recorder{cfg: Config{BytesMax: 1 << 20}}
			file = append(append([]byte(magic), raised(r, start.append(make([]byte, entryHeadBytes)))...), raised(r, append(make([]byte, entryHeadBytes), file...))...)
		}
		in, err := NewReader(bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, ErrTorn) && !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		var e, again Entry
		for err = in.Next(&e); err == nil; err = in.Next(&e) {
			b := e.append(nil)
			if err := again.parse(b); err != nil || !bytes.Equal(again.append(nil), b) {
				t.Fatalf("%+v is written as %q, which is read as %+v, %v", e, b, again, err)
			}
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, ErrTorn) {
			t.Fatal(err)
		}
		if cap(in.body) > 2*len(file)+2*readStep {
			t.Fatalf("%d bytes of memory for a file of %d", cap(in.body), len(file))
		}
	})
}
