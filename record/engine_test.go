package record_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/record"
)

// stuck is a disk that takes nothing, until it is let go, and then fails.
type stuck struct{ let chan struct{} }

func (s stuck) Write([]byte) (int, error) {
	<-s.let
	return 0, errors.New("no space left on device")
}

func (s stuck) Close() error { return nil }

// TestADiskThatBlocksOrFailsHoldsUpNoClient, on every engine and dispatch.
func TestADiskThatBlocksOrFailsHoldsUpNoClient(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		disk := stuck{make(chan struct{})}
		let := sync.OnceFunc(func() { close(disk.let) })
		defer let()
		told := make(chan error, 1)
		r, err := record.New(disk, record.Config{QueueBytesMax: 64 << 10, Payloads: true, Ended: func(err error) { told <- err }})
		if err != nil {
			t.Fatal(err)
		}
		null, err := kafka.NewNull(kafka.NullConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		s := servertest.Start(t, cfg, r.Handler(kafka.NewFilter(null.Versions(), null)))
		c := servertest.Dial(t, s)
		versions := "\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff" // ApiVersions 0
		var answer string
		ask := func() {
			c.Send(versions)
			if answer = c.Receive(); answer[:4] != "\x00\x00\x00\x07" {
				t.Fatalf("%q", answer)
			}
		}
		for range 1000 {
			ask()
		}
		if r.Stats().Lost == 0 {
			t.Error("all of that is held in memory")
		}
		let()
		if err := <-told; err == nil {
			t.Error("it is not said that the disk failed")
		}
		for range 10 {
			ask()
		}
		servertest.Shutdown(t, s)
		ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
		defer cancel()
		if err := r.Close(ctx); err == nil {
			t.Error("Close says that the file is whole")
		}
	})
}
