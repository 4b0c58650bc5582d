package main

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/views"
)

// command runs a command in this process.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(args, nil, &out, &err, nil)
	return status, out.String(), err.String()
}

// TestConnectionsAreListedAndClosedFromTheCommandLine, on every engine.
func TestConnectionsAreListedAndClosedFromTheCommandLine(t *testing.T) {
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			args, door := withHTTP(t, "--engine", engine, "--handler", "null", "--http-admin", "--log-level", "info")
			c := serve(t, args...)
			at := []string{"--http", args[len(args)-1]}
			one, two := dial(t, c.addr), dial(t, c.addr)
			ask(t, one, kmsg.NewPtrApiVersionsRequest())
			ask(t, two, kmsg.NewPtrApiVersionsRequest())
			var list views.Connections
			listed := func() int {
				status, out, stderr := command(t, append([]string{"connections", "list", "--json", "--sort", "requests"}, at...)...)
				if list = (views.Connections{}); status != exitOK || json.Unmarshal([]byte(out), &list) != nil {
					t.Fatalf("status %d, %s, %s", status, out, stderr)
				}
				return list.Open
			}
			until(t, "two connections that have asked", func() bool { return listed() == 2 && list.Connections[1].Requests == 1 })
			var out string
			until(t, "the first is listed", func() bool {
				_, out, _ = command(t, append([]string{"connections", "list", "--where", "remote=" + one.LocalAddr().String()}, at...)...)
				return strings.Contains(out, "2 open")
			})
			if !strings.Contains(out, one.LocalAddr().String()) || strings.Contains(out, two.LocalAddr().String()) || !strings.Contains(out, "1 of 1, 2 open") {
				t.Errorf("%s", out)
			}
			byAddress := map[string]string{}
			for _, c := range list.Connections {
				byAddress[c.Remote] = c.ID
			}
			status, out, stderr := command(t, append([]string{"connections", "close", byAddress[one.LocalAddr().String()], "77-77"}, at...)...)
			if status != exitFailure || out != "1 closed\n" || !strings.Contains(stderr, "77-77: no such connection") {
				t.Errorf("status %d, %q, %s", status, out, stderr)
			}
			where := append([]string{"connections", "close", "--where", "listener=PLAINTEXT"}, at...)
			until(t, "the other one matches, and the first has gone", func() bool {
				status, out, stderr = command(t, where...)
				return strings.Contains(stderr, "1 of 1 connections match, and none was closed; give --yes")
			})
			if status != exitUsage || out != "" {
				t.Errorf("status %d, %q, %s", status, out, stderr)
			}
			if status, out, stderr = command(t, append(where, "--yes")...); status != exitOK || out != "1 closed\n" {
				t.Errorf("status %d, %q, %s", status, out, stderr)
			}
			until(t, "both have ended", func() bool {
				_, out, _ := command(t, append([]string{"connections", "list", "--ended"}, at...)...)
				return strings.Count(out, "closed_by_admin") == 2
			})
			until(t, "/metrics counts them", func() bool { // which a processor does behind what it lists
				_, body := door.get("/metrics")
				return strings.Contains(body, `kring_connections_closed_total{reason="closed_by_admin"} 2`)
			})
			until(t, "the log says so", func() bool { return strings.Contains(c.stderr.String(), "connections were closed by --http-admin") })
		})
	}
}

// TestNobodyClosesConnectionsWithoutLeave: --http alone changes nothing.
func TestNobodyClosesConnectionsWithoutLeave(t *testing.T) {
	args, _ := withHTTP(t, "--handler", "null")
	c := serve(t, args...)
	client := dial(t, c.addr)
	ask(t, client, kmsg.NewPtrApiVersionsRequest())
	status, out, stderr := command(t, "connections", "close", "--where", "listener=PLAINTEXT", "--yes", "--http", args[len(args)-1])
	if status != exitFailure || out != "" || !strings.Contains(stderr, "start the server with --http-admin") {
		t.Errorf("status %d, %q, %s", status, out, stderr)
	}
	ask(t, client, kmsg.NewPtrApiVersionsRequest())
}

// TestWrongUseOfTheCommandsOfTheSideDoorIsAnError with the remedy, and so is a server that is
// not there.
func TestWrongUseOfTheCommandsOfTheSideDoorIsAnError(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"connections list --http unix:/nowhere/http", exitFailure, "does kring serve run there with --http?"},
		{"top --http unix:/nowhere/http", exitFailure, "does kring serve run there with --http?"},
		{"connections list --sort x", exitUsage, "--sort x: give one of age,"},
		{"top --sort x", exitUsage, "--sort x: give one of age,"},
		{"top --every 1ms", exitUsage, "--every 1ms: give 100ms or more"},
		{"connections list --where color=red", exitUsage, "--where color=red: give KEY=VALUE, with one of the keys listener,"},
		{"connections close", exitUsage, "give ids, or --where KEY=VALUE"},
		{"connections close 0-1 --where id=0-1", exitUsage, "give ids, or --where KEY=VALUE"},
	} {
		status, _, stderr := command(t, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: status %d, %s; want %d, %s", c.args, status, stderr, c.status, c.says)
		}
	}
}

// TestTopWithoutATerminalPrintsTheClientsOnce.
func TestTopWithoutATerminalPrintsTheClientsOnce(t *testing.T) {
	args, _ := withHTTP(t, "--handler", "null")
	c := serve(t, args...)
	client := dial(t, c.addr)
	ask(t, client, kmsg.NewPtrApiVersionsRequest())
	var status int
	var out, stderr string
	until(t, "all processors have listed their clients", func() bool { // a busy machine may keep one from it
		status, out, stderr = command(t, "top", "--http", args[len(args)-1])
		return status != exitOK || strings.Contains(out, client.LocalAddr().String())
	})
	if status != exitOK || !strings.Contains(out, "clients 1-1 of 1 by requests_per_second") || !strings.Contains(out, client.LocalAddr().String()) || strings.Contains(out, "\x1b") {
		t.Errorf("status %d, %s, %s", status, out, stderr)
	}
}

// TestWhatListensInPlaceOfTheSideDoorIsToldApart: from nobody, and from one that hangs.
func TestWhatListensInPlaceOfTheSideDoorIsToldApart(t *testing.T) {
	for want, does := range map[string]func(net.Conn){
		"something else than the --http of kring": func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x00\x04none"))
			_ = c.Close()
		},
		"has not answered in time": func(net.Conn) {},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				defer c.Close()
				does(c)
			}
		}()
		timeout := "1m"
		if strings.Contains(want, "in time") {
			timeout = "10ms"
		}
		if status, _, stderr := command(t, "ready", "--http", l.Addr().String(), "--timeout", timeout); status != exitFailure || !strings.Contains(stderr, want) {
			t.Errorf("%d %s, want %q", status, stderr, want)
		}
	}
}

// TestProducersAreShown: with their topics and what the cluster knows of them.
func TestProducersAreShown(t *testing.T) {
	args, door := withHTTP(t, "--seed-topic", "orders:1")
	c := serve(t, args...)
	client := dial(t, c.addr)
	produce := kmsg.NewPtrProduceRequest()
	produce.Version, produce.Acks, produce.TimeoutMillis = 9, -1, 10_000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = "orders"
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = make([]byte, 61)
	topic.Partitions = append(topic.Partitions, part)
	produce.Topics = append(produce.Topics, topic)
	ask(t, client, produce)
	var got views.Producers
	until(t, "the producer", func() bool {
		_, body := door.get("/producers")
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		return len(got.Producers) == 1
	})
	p := got.Producers[0]
	if p.Topic != "orders" || p.Remote != client.LocalAddr().String() || !p.Connected || p.Requests != 1 || p.Bytes != 61 || time.Since(p.Last) > time.Hour {
		t.Errorf("%+v", p)
	}
	_ = client.Close()
	until(t, "it is not connected", func() bool {
		_, body := door.get("/producers?topic=orders")
		return strings.Contains(body, `"connected": false`)
	})
}
