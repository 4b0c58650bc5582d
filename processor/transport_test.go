package processor_test

import (
	"bytes"
	"io"
	"testing"

	"kring/internal/conn"
	"kring/internal/conn/conntest"
	"kring/internal/faultengine"
	"kring/processor"
	"kring/reqchan"
)

func masked(_ *reqchan.Conn, moved func()) conn.Transport { return conntest.NewServer(moved) }

// A transport that transforms every byte carries all that a plain connection does, on an
// engine that splits, delays and fails: small frames and big ones, many in flight, files.
func TestATransportCarriesWhatAPlainConnectionCarries(t *testing.T) {
	content := bytes.Repeat([]byte("of a file "), 40_000)
	file := fileOf(t, content)
	handle := func(r reqchan.Request) {
		if string(r.Payload()) != "file" {
			r.Respond(r.Payload())
			return
		}
		head := []byte("head ")
		if err := r.RespondParts([]reqchan.Part{{Bytes: head}, {File: file, Length: int64(len(content))}, {Bytes: head}}, nil); err != nil {
			t.Error(err)
		}
	}
	for seed := range uint64(6) {
		for _, inline := range []bool{true, false} {
			s := newStage(t, stageConfig{
				faults: faultengine.Gentle(seed), handle: handle, inline: inline, handlers: 2, requests: 16,
				settings: processor.Settings{PipelineMax: 1 + int(seed%3)*4, Transport: masked},
			})
			c, err := conntest.NewClient(s.dial())
			if err != nil {
				t.Fatal(err)
			}
			if err := converse(c, []int{1, 0, 300_000, 20, 17_000, 16 << 10, 5, 100_000}); err != nil {
				t.Errorf("seed %d, inline %t: %v", seed, inline, err)
			}
			f, err := ask(c, "file")
			if want := "head " + string(content) + "head "; err != nil || string(f[4:]) != want {
				t.Errorf("seed %d, inline %t: a file of %d bytes came as %d: %v", seed, inline, len(want), len(f), err)
			}
			if err := c.End(); err != nil {
				t.Error(err)
			}
			if n, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("seed %d, inline %t: after the end %d bytes, %v", seed, inline, n, err)
			}
			_ = c.Close()
			s.stop(deadline)
			if n := s.closedBy(reqchan.PeerFinished); n != 1 {
				t.Errorf("seed %d, inline %t: %d connections ended in order", seed, inline, n)
			}
		}
	}
}

// A drain ends a connection that is not plain with its transport's last bytes.
func TestADrainEndsATransportInOrder(t *testing.T) {
	s := newStage(t, stageConfig{handle: echo, inline: true, settings: processor.Settings{Transport: masked}})
	c, err := conntest.NewClient(s.dial())
	if err != nil {
		t.Fatal(err)
	}
	if err := converse(c, []int{1, 20_000}); err != nil {
		t.Fatal(err)
	}
	s.stop(deadline)
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
}
