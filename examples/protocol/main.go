// Command protocol serves a protocol of its own: a frame is "set KEY VALUE" or "get KEY",
// and its answer a frame.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"kring"
)

type store struct{ values sync.Map }

// Handle answers a request. Its payload is kring's again afterwards, so what stays is copied.
func (s *store) Handle(r kring.Request) {
	word, rest, _ := bytes.Cut(r.Payload(), []byte(" "))
	key, value, _ := bytes.Cut(rest, []byte(" "))
	switch string(word) {
	case "set":
		s.values.Store(string(key), string(value))
		r.Respond([]byte("ok"))
	case "get":
		v, _ := s.values.Load(string(key))
		r.Respond(fmt.Append(nil, v))
	default:
		r.CloseConnection(kring.ReasonHandlerClosed)
	}
}

func run() error {
	server, err := kring.New(kring.Config{Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}}, &store{})
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	if err := talk(server.Addrs()[0].String()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
