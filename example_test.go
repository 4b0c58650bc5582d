package kring_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"kring"
)

// ask is a client: it sends a frame to the server's first listener and reads the answer.
func ask(s *kring.Server, payload string) string {
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
	if _, err := c.Write(frame); err != nil {
		return err.Error()
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err.Error()
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err.Error()
	}
	return string(answer)
}

// anyPort listens where nobody else does; a broker names its address.
var anyPort = []kring.ListenerConfig{{Address: "127.0.0.1:0"}}

// The smallest server: it answers each frame with itself.
func Example() {
	server, err := kring.New(kring.Config{Listeners: anyPort}, kring.HandlerFunc(func(r kring.Request) {
		r.Respond(r.Payload())
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ask(server, "hello"))

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(server.Shutdown(ctx))
	// Output:
	// hello
	// <nil>
}

// A request may be answered later and by another goroutine: keep a copy of it. Its Context
// ends when its client is gone, and whoever answers first wins.
func ExampleRequest_laterAnswer() {
	work := make(chan kring.Request)
	var workers sync.WaitGroup
	workers.Go(func() {
		for r := range work {
			select {
			case <-r.Context().Done(): // nobody waits for it
				r.NoResponse()
			case <-time.After(time.Millisecond): // the work
				b := r.Buffer(64)[:0] // sent without another copy
				r.Respond(fmt.Appendf(b, "%s, done", r.Payload()))
			}
		}
	})
	server, err := kring.New(kring.Config{Listeners: anyPort}, kring.HandlerFunc(func(r kring.Request) {
		work <- r
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ask(server, "a long job"))
	fmt.Println(server.Shutdown(context.Background()))
	close(work)
	workers.Wait()
	// Output:
	// a long job, done
	// <nil>
}

// A response may have ranges of files in it, which the server reads as fast as the client
// takes them. The file must stay open until it says that it needs it no more.
func ExampleRequest_files() {
	file, err := os.CreateTemp("", "records")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(file.Name())
	if _, err := file.WriteString("record 1, record 2, record 3"); err != nil {
		fmt.Println(err)
		return
	}
	var inUse sync.WaitGroup
	server, err := kring.New(kring.Config{Listeners: anyPort}, kring.HandlerFunc(func(r kring.Request) {
		inUse.Add(1)
		err := r.RespondParts([]kring.Part{
			{Bytes: []byte("from the file: ")},
			{File: file, Offset: 10, Length: 8},
		}, inUse.Done)
		if err != nil { // the parts make no frame
			inUse.Done()
			r.CloseConnection(kring.ReasonHandlerClosed)
		}
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ask(server, "the second record"))
	fmt.Println(server.Shutdown(context.Background()))
	inUse.Wait()
	fmt.Println(file.Close())
	// Output:
	// from the file: record 2
	// <nil>
	// <nil>
}

// Most settings change while the server serves: give it the Config that it should go by.
// One that needs a restart is refused by name, and then nothing has changed.
func ExampleServer_Reconfigure() {
	cfg := kring.Config{Listeners: anyPort}
	server, err := kring.New(cfg, kring.HandlerFunc(func(r kring.Request) { r.Respond(r.Payload()) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	cfg.Limits.FrameBytesMax = 1 << 20
	cfg.Timeouts.Idle = time.Minute
	fmt.Println(server.Reconfigure(cfg))

	cfg.Dispatch.BatchMax = 7
	fmt.Println(server.Reconfigure(cfg))
	// Output:
	// <nil>
	// kring: Reconfigure: Dispatch.BatchMax can't change from 64 to 7 while the Server serves: handlers have it for their life
}

// Stats counts everything since the start. What a request took is measured by its API; here
// there is only one, because nobody said how to tell them apart (Config.Dispatch.APIOf).
func ExampleServer_Stats() {
	server, err := kring.New(kring.Config{Listeners: anyPort}, kring.HandlerFunc(func(r kring.Request) {
		if len(r.Payload()) == 0 {
			r.CloseConnection(kring.ReasonHandlerClosed)
			return
		}
		r.Respond(r.Payload())
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	ask(server, "a")
	ask(server, "b")
	ask(server, "")
	if err := server.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}

	st := server.Stats()
	fmt.Println("connections:", st.Accepted, "requests:", st.Total.Requests)
	fmt.Println("closed by the handler:", st.ClosedBy()["handler_closed"])
	for _, api := range st.Requests {
		fmt.Println("answered or refused:", api.Total.Count, "by error code:", api.Errors)
		fmt.Println("99 % within a minute:", api.Total.Quantile(0.99) < 60_000_000)
	}
	// Output:
	// connections: 3 requests: 3
	// closed by the handler: 1
	// answered or refused: 3 by error code: map[-1:1 0:2]
	// 99 % within a minute: true
}
