//go:build unix

package acceptor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// If descriptors are out when the first acceptor of a process begins, that is not
// remembered: it once made every server of the process refuse every connection.
func TestTheSpareIsHadOnceThereAreDescriptorsAgain(t *testing.T) {
	spare.mu.Lock()
	was, made := spare.fd, spare.made
	spare.made = false
	spare.mu.Unlock()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err := openSpare()
	if set := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); set != nil {
		t.Fatal(set)
	}
	if err == nil || !outOfDescriptors(err) {
		t.Fatalf("without descriptors a spare was opened: %v", err)
	}
	release, err := openSpare()
	if err != nil {
		t.Fatal(err)
	}
	release()
	if made { // one is enough
		spare.mu.Lock()
		_ = unix.Close(spare.fd)
		spare.fd = was
		spare.mu.Unlock()
	}
}
