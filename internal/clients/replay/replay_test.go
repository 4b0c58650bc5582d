package replay

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/clients/broker"
	"kring/internal/clients/raw"
)

func TestMain(m *testing.M) { os.Exit(broker.Main(m)) }

//go:embed frames.txt
var recorded string

// patience is longer than a group waits for members that never come back.
const patience = 2 * time.Minute

// abreast is how many frames are on their way at once.
const abreast = 32

func TestNoFrameOfARealClientIsAnsweredByAClose(t *testing.T) {
	var set Set
	if err := set.Read(strings.NewReader(recorded)); err != nil {
		t.Fatal(err)
	}
	frames := set.All()
	if len(frames) < 200 {
		t.Fatalf("only %d frames: record them anew (scripts/versions.sh -r)", len(frames))
	}
	broker.Each(t, func(t *testing.T, b *broker.Broker) {
		served, err := versions(b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		var sending sync.WaitGroup
		places := make(chan struct{}, abreast)
		n := 0
		for _, f := range frames {
			if r, ok := served[f.Key]; !ok || f.Version < r[0] || f.Version > r[1] {
				continue // a client would not send it here
			}
			n++
			sending.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				if err := answered(b.Addr, f); err != nil {
					t.Errorf("%v was not answered: %v\n%x", f, err, f.Payload)
				}
			})
		}
		sending.Wait()
		t.Logf("%d of %d frames are of announced versions, and were sent", n, len(frames))
		if 2*n < len(frames) {
			t.Errorf("only %d of %d frames are of versions that are announced", n, len(frames))
		}
	})
}

// answered sends a frame on a connection of its own and wants its answer.
func answered(addr string, f Frame) error {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write(raw.Frame(f.Payload)); err != nil {
		return err
	}
	if f.NoAnswer() {
		return raw.Ask(conn, 1) // what follows it is answered
	}
	answer, err := read(conn)
	if err != nil {
		return err
	}
	if got := int32(binary.BigEndian.Uint32(answer)); got != f.Correlation() {
		return fmt.Errorf("the answer to request %d says it answers %d", f.Correlation(), got)
	}
	return nil
}

func read(conn net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 4 || n > 64<<20 {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	answer := make([]byte, n)
	_, err := io.ReadFull(conn, answer)
	return answer, err
}

// versions asks what a server announces.
func versions(addr string) (map[int16][2]int16, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	req := kmsg.NewPtrApiVersionsRequest()
	if _, err := conn.Write(raw.Frame(raw.Header(req.Key(), 0, 1))); err != nil {
		return nil, err
	}
	answer, err := read(conn)
	if err != nil {
		return nil, err
	}
	var resp kmsg.ApiVersionsResponse
	if err := resp.ReadFrom(answer[4:]); err != nil {
		return nil, err
	}
	served := map[int16][2]int16{}
	for _, k := range resp.ApiKeys {
		served[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	return served, nil
}

func TestShapesTellApartWhatAServerMustBeAskedTwice(t *testing.T) {
	one := func(change func(*kmsg.MetadataRequest), behind string) Frame {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(9)
		change(req)
		f, err := Parse(append(req.AppendTo(append(raw.Header(req.Key(), 9, 7), 0)), behind...))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	topic := func(name string) func(*kmsg.MetadataRequest) {
		return func(req *kmsg.MetadataRequest) {
			of := kmsg.NewMetadataRequestTopic()
			of.Topic = &name
			req.Topics = append(req.Topics, of)
		}
	}
	all := func(*kmsg.MetadataRequest) {}
	for _, c := range []struct {
		what string
		a, b Frame
		same bool
	}{
		{"another topic", one(topic("a"), ""), one(topic("bcd"), ""), true},
		{"all topics and one", one(all, ""), one(topic("a"), ""), false},
		{"bytes behind the body", one(all, ""), one(all, "\x01\x00\x00"), false},
	} {
		if same := c.a.Shape() == c.b.Shape(); same != c.same {
			t.Errorf("%s: the shapes %q and %q: same is %v, want %v", c.what, c.a.Shape(), c.b.Shape(), same, c.same)
		}
	}
}
