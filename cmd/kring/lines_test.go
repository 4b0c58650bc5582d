package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestLinesAreDroppedAndCountedWhileNobodyReads, and never waited for. Those that were
// queued come out whole, and a line that counts stands where others are missing: at
// the end, or before it when the goroutine took the queue between two writes.
func TestLinesAreDroppedAndCountedWhileNobodyReads(t *testing.T) {
	r, w := io.Pipe() // without any buffer
	l := newLines(w, func(err error) { t.Error(err) })
	l.saying(func(n uint64) []byte { return fmt.Appendf(nil, "dropped %d\n", n) })
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const written = 4 * linesQueuedMax / 1024
	for range written {
		if n, err := l.Write(line); n != len(line) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	var out bytes.Buffer
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(&out, r)
		read <- err
	}()
	l.end()
	<-l.done // however long the reader takes
	_ = w.Close()
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	kept, missing := 0, 0
	for got := range strings.Lines(out.String()) {
		var n int
		switch _, err := fmt.Sscanf(got, "dropped %d\n", &n); {
		case got == string(line):
			kept++
		case err == nil:
			missing += n
		default:
			t.Fatalf("%.40q came after %d lines and a count of %d", got, kept, missing)
		}
	}
	if kept+missing != written || kept < linesQueuedMax/1024-1 || missing == 0 {
		t.Errorf("of %d lines %d came and %d are counted as dropped", written, kept, missing)
	}
}

// TestTheEndOfLinesIsNotWaitedForWithoutEnd.
func TestTheEndOfLinesIsNotWaitedForWithoutEnd(t *testing.T) {
	r, w := io.Pipe()
	var told error
	l := newLines(w, func(err error) { told = err })
	fmt.Fprintln(l, "nobody reads this")
	began := time.Now()
	l.end()
	if took := time.Since(began); took < linesPatience || took > deadline {
		t.Errorf("the end took %v", took)
	}
	fmt.Fprintln(l, "nor this")
	_ = r.CloseWithError(errors.New("closed")) // lets the goroutine go
	<-l.done
	if told == nil {
		t.Error("the error of writing is not told")
	}
}
