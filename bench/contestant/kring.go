package contestant

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"time"

	"kring"
	"kring/embedded"
	"kring/kafka"
	"kring/reqchan"
)

const answerClose = reqchan.AnswerClose

// kringServer is kring as a program would use it.
type kringServer struct{ s *kring.Server }

func openKring(c ServeConfig) (server, error) {
	var h kring.Handler = kring.HandlerFunc(func(r kring.Request) { r.Respond(r.Payload()) })
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	switch {
	case c.Handler != nil:
		h = c.Handler
	case c.Embedded:
		return openEmbedded(cfg)
	case c.Kafka:
		if h, err = nullHandler(); err != nil {
			return nil, err
		}
	}
	s, err := kring.New(cfg, h)
	if err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return &kringServer{s}, nil
}

// config is what a program would write.
func (c *ServeConfig) config() (kring.Config, error) {
	cfg := kring.Config{
		Listeners:  []kring.ListenerConfig{{Address: "127.0.0.1:0"}},
		Engine:     kring.Engine(c.Engine),
		Dispatch:   kring.DispatchConfig{Mode: kring.DispatchMode(c.Dispatch), BatchMax: c.HandlerBatch},
		Processors: kring.ProcessorsConfig{Wait: kring.Wait(c.Wait), BigFrameBytes: c.BigFrameBytes},
		Limits:     kring.LimitsConfig{PipelineMax: max(c.Pipeline, 1)},
	}
	if t, err := c.tls(); err != nil {
		return cfg, err
	} else if t != nil {
		if c.PlainToo {
			cfg.Listeners = []kring.ListenerConfig{{Name: "PLAIN", Address: "127.0.0.1:0"}, {Name: "TLS", Address: "127.0.0.1:0"}}
		}
		cfg.Listeners[len(cfg.Listeners)-1].TLS = &kring.TLSConfig{Config: func() *tls.Config { return t }}
	}
	for _, setting := range c.URing {
		key, value, _ := strings.Cut(setting, "=")
		if err := cfg.URing.Set(key, value); err != nil {
			return cfg, err
		}
	}
	if c.Adjust != nil {
		c.Adjust(&cfg)
	}
	return cfg, nil
}

// openEmbedded is kring with its one-node cluster, as 'kring serve' opens it.
func openEmbedded(cfg kring.Config) (server, error) {
	cluster, err := embedded.Open(embedded.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	s, err := kring.New(cfg, cluster)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		return nil, errors.Join(err, cluster.Close())
	}
	at := s.Addrs()[0]
	cluster.Advertise(at.Addr().String(), at.Port())
	return &kringServer{s}, nil
}

func (k *kringServer) addr() string {
	var all []string
	for _, a := range k.s.Addrs() {
		all = append(all, a.String())
	}
	return strings.Join(all, ",")
}

func (k *kringServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = k.s.Shutdown(ctx) // the process ends either way
}

// own adds what the engines and the processors count.
func (k *kringServer) own(o Own) {
	st := k.s.Stats()
	o["now_memory_mapped"] = float64(st.MemoryMapped)
	o["now_open"], o["now_queued"] = float64(st.Open), float64(st.QueuedRequests)
	o["accepted"], o["opened"] = float64(st.Accepted), float64(st.Total.Opened)
	o["requests"], o["responses"] = float64(st.Total.Requests), float64(st.Total.Responses)
	o["sends"], o["held"] = float64(st.Total.Sends), float64(st.Total.Held)
	o["bytes_direct"] = float64(st.Total.BytesDirect)
	o["bytes_in_copied"], o["bytes_out_copied"] = float64(st.Total.BytesInCopied), float64(st.Total.BytesOutCopied)
	for _, p := range st.Processors {
		if e := p.Engine; e != nil {
			o["enters"] += float64(e.Enters.Load())
			o["submitted"] += float64(e.Submitted.Load())
			o["completed"] += float64(e.Completed.Load())
			o["wakes"] += float64(e.Wakes.Load())
			o["exhausted"] += float64(e.Exhausted.Load())
			o["rearmed"] += float64(e.Rearmed.Load())
			o["starved"] += float64(e.Starved.Load())
			o["overflows"] += float64(e.Overflows.Load())
		}
	}
}

// nullHandler speaks Kafka and throws data away.
func nullHandler() (kring.Handler, error) {
	n, err := kafka.NewNull(kafka.NullConfig{})
	if err != nil {
		return nil, err
	}
	return kafka.NewFilter(n.Versions(), n), nil
}
