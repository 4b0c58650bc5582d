// Command metrics has the metrics of its server in a registry of its own, beside the
// program's other metrics.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kring"
	"kring/metrics"
)

// page registers the server's metrics and is what a program serves as /metrics.
func page(server *kring.Server) (http.Handler, error) {
	collector, err := metrics.New(server, metrics.Options{Version: "1.2.3"})
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector); err != nil {
		return nil, err
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), nil
}

func run(ctx context.Context) error {
	server, err := kring.New(kring.Config{Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}},
		kring.HandlerFunc(func(r kring.Request) { r.Respond(r.Payload()) }))
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Close()
	handler, err := page(server)
	if err != nil {
		return err
	}
	if err := ask(ctx, server); err != nil {
		return err
	}
	said := httptest.NewRecorder()
	handler.ServeHTTP(said, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for lines := bufio.NewScanner(said.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "kring_connections_accepted_total") {
			fmt.Println(lines.Text())
		}
	}
	return nil
}

// ask is a client with one request.
func ask(ctx context.Context, server *kring.Server) error {
	c, err := server.Dial(ctx, "")
	if err != nil {
		return err
	}
	defer c.Close()
	frame := append(binary.BigEndian.AppendUint32(nil, 5), "hello"...)
	if _, err := c.Write(frame); err != nil {
		return err
	}
	_, err = io.ReadFull(c, frame)
	return err
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
