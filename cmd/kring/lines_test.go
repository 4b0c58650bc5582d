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

// TestLinesAreDroppedAndCountedWhileNobodyReads, and never waited for; those that
// were queued come out whole and in order, the count where the others are missing.
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
	kept := strings.Count(out.String(), string(line))
	want := fmt.Sprintf("dropped %d\n", written-kept)
	if kept < linesQueuedMax/1024 || kept > 2*linesQueuedMax/1024 || out.Len() != kept*len(line)+len(want) || !strings.HasSuffix(out.String(), want) {
		t.Errorf("%d of %d lines came, in %d bytes; the last is %.40q, want %q", kept, written, out.Len(), out.String()[max(0, out.Len()-40):], want)
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
