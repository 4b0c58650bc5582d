package embedded

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// lockedLog is a log that several goroutines write.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// A setting's value may be a secret: no log shows it, at any level.
//
// Kafka: RC-01, RC-02.
func TestNoLogShowsTheValueOfASetting(t *testing.T) {
	const secret = "a-secret-nobody-may-read"
	log := &lockedLog{}
	c := open(t, Config{
		Seed:   []Topic{{"settings", 1}},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	alter := kmsg.NewPtrAlterConfigsRequest()
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "settings"
	setting := kmsg.NewAlterConfigsRequestResourceConfig()
	setting.Name, setting.Value = "ssl.key.password", kmsg.StringPtr(secret)
	r.Configs = append(r.Configs, setting)
	alter.Resources = append(alter.Resources, r)
	ask(t, c, alter)
	incremental := kmsg.NewPtrIncrementalAlterConfigsRequest()
	ir := kmsg.NewIncrementalAlterConfigsRequestResource()
	ir.ResourceType, ir.ResourceName = kmsg.ConfigResourceTypeTopic, "settings"
	is := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	is.Name, is.Value = "ssl.key.password", kmsg.StringPtr(secret)
	ir.Configs = append(ir.Configs, is)
	incremental.Resources = append(incremental.Resources, ir)
	ask(t, c, incremental)
	log.mu.Lock()
	defer log.mu.Unlock()
	if bytes.Contains(log.text.Bytes(), []byte(secret)) {
		t.Errorf("the log shows it:\n%s", log.text.String())
	}
}
