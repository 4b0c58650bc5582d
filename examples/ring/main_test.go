//go:build linux

package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestEveryByteComesBackInOrder: more connections and more bytes than there are
// buffers.
func TestEveryByteComesBackInOrder(t *testing.T) {
	listener, bound, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan error)
	go func() { // for as long as the process lives, like the program
		runtime.LockOSThread()
		s, err := open(listener)
		opened <- err
		if err == nil {
			t.Log(s.serve())
		}
	}()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	for range 3 { // descriptors are used again
		var clients sync.WaitGroup
		for i := range 20 {
			clients.Go(func() {
				if err := converse(bound.String(), uint64(i)); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			})
		}
		clients.Wait()
	}
}

func converse(address string, seed uint64) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	said := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(said)
	go func() {
		_, _ = c.Write(said)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	heard, err := io.ReadAll(c)
	if err == nil && !bytes.Equal(heard, said) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
