//go:build unix

package contestant

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inherited stay for good, of each run of the test: Input makes a second file of the
// descriptor, and once the first was garbage it would be closed again, when it is somebody
// else's.
var inherited []*os.File

// TestAPipeIsReadByWayOfThePoller: only such a file knows deadlines, and only its
// reader keeps no P.
func TestAPipeIsReadByWayOfThePoller(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe(ends[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[1])
	stdin := os.Stdin
	os.Stdin = os.NewFile(uintptr(ends[0]), "inherited")
	inherited = append(inherited, os.Stdin)
	defer func() { os.Stdin = stdin }()
	f := Input()
	defer f.Close()
	if err := f.SetReadDeadline(time.Now()); err != nil {
		t.Fatalf("the poller does not know it: %v", err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading past the deadline: %v", err)
	}
}
