package processor_test

import (
	"errors"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

// closedNetwork opens no engine, as when memory or descriptors have run out.
type closedNetwork struct{ engine.Network }

var errNoEngine = errors.New("no engine")

func (closedNetwork) Open(engine.Wait) (engine.Engine, error) { return nil, errNoEngine }

func TestAProcessorWithoutAnEngineIsNotWaitedFor(t *testing.T) {
	p := processor.New(processor.Config{
		Network:    closedNetwork{},
		ConnConfig: processor.ConnConfig{Memory: &slab.Pool{}, Channel: reqchan.New(reqchan.Config{RequestsMax: 1, BytesMax: 1 << 20})},
	})
	var opened error
	if err := p.Run(func(err error) { opened = err }); !errors.Is(err, errNoEngine) || !errors.Is(opened, errNoEngine) {
		t.Errorf("Run returned %v, and said %v before", err, opened)
	}
	p.Cut()
	select {
	case <-p.Drained():
	case <-time.After(time.Minute):
		t.Fatal("a processor that never opened is never drained: who stops the server waits for ever")
	}
	p.Stop()
}
