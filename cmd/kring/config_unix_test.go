//go:build unix

package main

import (
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestKafkasConfigurationIsServedByFromTheStart, with one line for what is ignored, and a
// warning for a variable that is none.
func TestKafkasConfigurationIsServedByFromTheStart(t *testing.T) {
	t.Setenv("KRING_DATADIR", "x")
	c := serveConfig(t, "process.roles=broker,controller\nlisteners=PLAINTEXT://127.0.0.1:0,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n"+
		"inter.broker.listener.name=PLAINTEXT\nlog.dirs=/nowhere\nlog.retention.hours=1\nkring.seed-topic=orders:2\nkring.log-format=json\n")
	c.logged(`"msg":"the configuration was read","file":"[^"]+server.properties","settings":4,"ignored":"process.roles log.dirs log.retention.hours"`)
	c.logged(`"level":"WARN","msg":"the variable KRING_DATADIR of the environment is no setting of kring; is KRING_DATA_DIR meant\?"`)
	c.logged(`log.dirs is ignored`)
	ask(t, dial(t, c.addr), kmsg.NewPtrApiVersionsRequest())
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0", status)
	}
}
