package processor_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"kring/internal/cachedread"
	"kring/processor"
	"kring/reqchan"
)

// ask sends a frame and returns the answer, with its size.
func ask(c net.Conn, payload string) ([]byte, error) {
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)); err != nil {
		return nil, err
	}
	return readFrame(c)
}

// fileOf is an open file with some content, for the length of the test.
func fileOf(t *testing.T, content []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// slowFile is a file that is read by whoever may wait for a disk.
func slowFile(t *testing.T) (file *os.File, content []byte) {
	t.Helper()
	if runtime.GOOS != "linux" {
		content = bytes.Repeat([]byte("cold"), 16<<10)
		return fileOf(t, content), content
	}
	const name = "/proc/version" // of which no page is in the cache
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if file, err = os.Open(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file, content
}

// A file that is not in memory may take as long as its disk: whoever asked for
// it waits, and nobody else on the same processor does.
//
// Kafka: Q-10.
func TestAFileThatIsSlowToReadKeepsNobodyElseWaiting(t *testing.T) {
	file, content := slowFile(t)
	for _, inline := range []bool{true, false} {
		asked := make(chan struct{})
		s := newStage(t, stageConfig{inline: inline, requests: 8, handlers: 1, handle: func(r reqchan.Request) {
			if string(r.Payload()) != "file" {
				r.Respond(r.Payload())
				return
			}
			if err := r.RespondParts([]reqchan.Part{{File: file, Length: int64(len(content))}}, nil); err != nil {
				t.Error(err)
			}
			close(asked)
		}})
		release := processor.HoldFileReaders()
		fetcher, other := s.dial(), s.dial()
		fetched := make(chan []byte, 1)
		go func() {
			got, err := ask(fetcher, "file")
			if err != nil {
				t.Error(err)
			}
			fetched <- got
		}()
		<-asked
		for range 1000 {
			if got, err := ask(other, "quick"); err != nil || !bytes.HasSuffix(got, []byte("quick")) {
				t.Fatalf("answer %q, %v", got, err)
			}
		}
		select {
		case <-fetched:
			t.Error("the file was read while every reader was held: by the processor itself")
		default:
		}
		release()
		if got := <-fetched; !bytes.HasSuffix(got, content) {
			t.Errorf("%d bytes of the file came, not its %d", len(got), len(content))
		}
		_, _ = fetcher.Close(), other.Close()
		s.stop(time.Second)
	}
}

// TestAFileInMemoryWaitsForNoDisk: it is read while every reader waits for one.
func TestAFileInMemoryWaitsForNoDisk(t *testing.T) {
	content := bytes.Repeat([]byte("warm"), 16<<10)
	file := fileOf(t, content)
	if _, cached := cachedread.At(file, make([]byte, 1), 0); !cached {
		return // this system, or tmpfs, can't say what is in memory
	}
	s := newStage(t, stageConfig{requests: 8, handlers: 1, handle: func(r reqchan.Request) {
		if err := r.RespondParts([]reqchan.Part{{File: file, Length: int64(len(content))}}, nil); err != nil {
			t.Error(err)
		}
	}})
	release := processor.HoldFileReaders()
	c := s.dial()
	if got, err := ask(c, "file"); err != nil || !bytes.HasSuffix(got, content) {
		t.Errorf("%d bytes of the file came, not its %d: %v", len(got), len(content), err)
	}
	release()
	_ = c.Close()
	s.stop(time.Second)
}
