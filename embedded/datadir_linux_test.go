package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// After a start that failed kfake does not save what it was told until then: the
// next start would take it for all that there is, and tell it nothing.
func TestAStartThatFailsSavesNothing(t *testing.T) {
	dir, _, _ := openTransaction(t)
	inTheWay := filepath.Join(dir, manifestName+".tmp", "full")
	if err := os.MkdirAll(inTheWay, 0o755); err != nil {
		t.Fatal(err)
	}
	if c, err := Open(Config{DataDir: dir}); err == nil {
		_ = c.Close()
		t.Fatal("opened without a manifest")
	}
	if _, err := os.Stat(filepath.Join(dir, "session_state.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("kfake saved its transactions: %v", err)
	}
	if err := os.RemoveAll(filepath.Dir(inTheWay)); err != nil {
		t.Fatal(err)
	}
	c, err := Open(Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n := c.Loaded().OpenTxns; n != 1 {
		t.Errorf("%d transactions go on, want 1", n)
	}
}
