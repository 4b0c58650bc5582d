package kring

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"kring/uring"
)

// planOf is what a server with defaults does with so much memory, as many connections as
// that is enough for, and a handler that takes what kring serve's does.
func planOf(engine Engine, limit int64) (Config, MemoryPlan) {
	left := 2 * min(max(limit/64, 2<<20), 1<<30) // what clients leave behind in the cluster, and fetch sessions
	c := Config{Memory: MemoryConfig{BytesMax: limit, HandlerBytes: max(limit/5, (limit-800<<20)/2) + left}, Processors: ProcessorsConfig{Count: 1}, Engine: engine}
	c.Conns.Max = int(limit / connsPart / c.connMemory())
	return c.planned()
}

// TestThePlanInTheDocsIsTheOneThatIsComputed: constants, and the table of defaults.
func TestThePlanInTheDocsIsTheOneThatIsComputed(t *testing.T) {
	text, err := os.ReadFile("docs/memory.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for term, bytes := range map[string]int64{
		"base": memoryBase, "ring": memoryOfEngine, "connection": memoryOfConn, "connection of the portable engine": memoryOfConnByGo,
	} {
		if row := regexp.MustCompile(`(?m)^\| ` + term + ` \| (\d+)`).FindStringSubmatch(doc); row == nil || row[1] != strconv.FormatInt(bytes, 10) {
			t.Errorf("%s: %v, the code has %d", term, row, bytes)
		}
	}
	for _, says := range []string{
		fmt.Sprintf("frames get %d parts of 100, held bytes %d and responses %d", requestsShare, heldShare, responsesShare),
		fmt.Sprintf("its default: %d MiB (× 5/4), %d MiB and %d MiB", queuedRequestBytesDefault>>20, heldMemoryDefault>>20, responseMemoryDefault>>20),
		fmt.Sprintf("%d MiB are enough for a server of few processors", MemoryMaxLeast>>20),
		fmt.Sprintf("a sixteenth of the limit, %d at most", memoryReserveMost),
	} {
		if !strings.Contains(strings.Join(strings.Fields(doc), " "), says) {
			t.Errorf("docs/memory.md does not say %q", says)
		}
	}
	var table []string
	for limit := int64(128 << 20); limit <= 2<<30; limit *= 2 {
		c, m := planOf(EngineURing, limit)
		table = append(table, fmt.Sprintf("| %d MiB | %d | %s | %s | %s | %s | %s |", limit>>20, m.ConnsMax, mebibytes(c.Memory.RequestBytesMax),
			mebibytes(m.Held), mebibytes(m.Responses), mebibytes(m.Handler), mebibytes(int64(m.FrameBytesMax))))
	}
	if want := strings.Join(table, "\n"); !strings.Contains(doc, want) {
		t.Errorf("docs/memory.md should have:\n%s", want)
	}
}

// TestThePlanKeepsToItsLimit, whatever the limit, the engine and the number of processors,
// and what the formula says is what it adds up to.
func TestThePlanKeepsToItsLimit(t *testing.T) {
	for _, engine := range []Engine{EngineAuto, EngineURing, EngineEpoll, EnginePortable} {
		for _, processors := range []int{1, 2, 8} {
			for limit := int64(MemoryMaxLeast); limit <= 64<<30; limit += limit / 3 {
				c := Config{Memory: MemoryConfig{BytesMax: limit, HandlerBytes: limit / 5}, Engine: engine, Processors: ProcessorsConfig{Count: processors}}
				if processors == 8 && limit < 512<<20 {
					continue // those who have so many have more memory
				}
				c, m := c.planned()
				if m.Total() > limit {
					t.Errorf("%s, %d processors: %d bytes of %d", engine, processors, m.Total(), limit)
				}
				if err := c.Validate(); err != nil {
					t.Errorf("%s, %d processors, %d bytes: %v", engine, processors, limit, err)
				}
				sum := m.Base + m.Engines + m.Reserve + int64(c.Conns.Max)*c.connMemory() + c.Memory.RequestBytesMax*5/4 + c.Memory.HeldBytesMax + m.Responses + c.Memory.HandlerBytes
				if d := m.Total() - sum; d < -4 || d > 4 {
					t.Errorf("%d bytes are planned and %d are what the formula says", m.Total(), sum)
				}
				if m.GoLimit() > limit || m.GoLimit() < m.Base {
					t.Errorf("Go gets %d of %d", m.GoLimit(), limit)
				}
			}
		}
	}
}

func TestSettingsThatDoNotFitIntoMemoryMaxAreRefused(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		says []string
	}{
		{Config{Memory: MemoryConfig{BytesMax: 32 << 20}}, []string{"Memory.BytesMax is 33554432", "100663296", "negative number"}},
		{Config{Memory: MemoryConfig{BytesMax: 512 << 20, RequestBytesMax: 1 << 30}}, []string{"Memory.BytesMax is 536870912", "Memory.RequestBytesMax 1073741824"}},
		{Config{Memory: MemoryConfig{BytesMax: 512 << 20, HeldBytesMax: 512 << 20}}, []string{"Memory.BytesMax", "Memory.HeldBytesMax 536870912"}},
		{Config{Memory: MemoryConfig{BytesMax: 512 << 20}, Conns: ConnsConfig{Max: 1 << 20}}, []string{"Memory.BytesMax", "set are Conns.Max 1048576; defaults are Memory.RequestBytesMax"}},
		{Config{Memory: MemoryConfig{BytesMax: 512 << 20, HandlerBytes: 1 << 30}}, []string{"Memory.BytesMax", "Memory.HandlerBytes 1073741824"}},
		{Config{Memory: MemoryConfig{BytesMax: 256 << 20}, URing: uring.Config{Buffers: 32768}}, []string{"Memory.BytesMax", "rings and receive buffers 677904384"}},
		{Config{Memory: MemoryConfig{BytesMax: 256 << 20}, Limits: LimitsConfig{FrameBytesMax: 200 << 20}}, []string{"Memory.BytesMax", "Memory.RequestBytesMax 2"}},
		{Config{Memory: MemoryConfig{HeldBytesMax: 1 << 20}, Processors: ProcessorsConfig{Count: 2}}, []string{"Memory.HeldBytesMax is 1048576", "choose at least"}},
		{Config{Memory: MemoryConfig{HandlerBytes: -1}}, []string{"Memory.HandlerBytes is -1"}},
	} {
		err := c.cfg.Validate()
		for _, says := range c.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%+v: %v, it should say %q", c.cfg, err, says)
			}
		}
	}
	if err := (Config{Memory: MemoryConfig{BytesMax: -1, RequestBytesMax: 1 << 40}}).Validate(); err != nil {
		t.Errorf("without a bound: %v", err)
	}
}
