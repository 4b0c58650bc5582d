package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// partNamed is a part that counts, for tests.
func partNamed(name string, prepared, applied *int, prepareErr, applyErr *error) reloadable {
	return reloadable{again: name + " was read again", kept: name + " stays", prepare: func() (func() error, error) {
		*prepared++
		return func() error { *applied++; return *applyErr }, *prepareErr
	}}
}

// TestWhatIsReadAgainIsTakenAsAWholeOrNotAtAll.
func TestWhatIsReadAgainIsTakenAsAWholeOrNotAtAll(t *testing.T) {
	var prepared, applied [3]int
	var prepareErr, applyErr [3]error
	var out strings.Builder
	r := newRereads(slog.New(slog.NewTextHandler(&out, nil)))
	for i, name := range []string{"a", "b", "c"} {
		part := partNamed(name, &prepared[i], &applied[i], &prepareErr[i], &applyErr[i])
		if name == "b" {
			part.around = func(rest func()) error {
				if applied[0] != applied[2] || applied[0] > applied[1] {
					t.Errorf("others were applied before what may fail: %v", applied)
				}
				if applied[1]++; applyErr[1] == nil {
					rest()
				}
				return applyErr[1]
			}
		}
		r.add(part)
	}
	r.all(os.Interrupt)
	if prepared != [3]int{1, 1, 1} || applied != [3]int{1, 1, 1} || strings.Count(out.String(), "was read again") != 3 {
		t.Errorf("prepared %v, applied %v:\n%s", prepared, applied, out.String())
	}
	prepareErr[2] = errors.New("c.file: bad")
	prepareErr[0] = errors.New("a.file: bad")
	r.all(os.Interrupt)
	if prepared != [3]int{2, 2, 2} || applied != [3]int{1, 1, 1} ||
		!regexp.MustCompile(`(?s)level=ERROR msg="a stays" error="a.file: bad".*msg="c stays" error="c.file: bad".*nothing was changed`).MatchString(out.String()) {
		t.Errorf("two are bad: prepared %v, applied %v:\n%s", prepared, applied, out.String())
	}
	prepareErr, applyErr[1] = [3]error{}, errors.New("b can't")
	r.all(os.Interrupt)
	if applied != [3]int{1, 2, 1} || !strings.Contains(out.String(), `msg="b stays" error="b can't"`) {
		t.Errorf("b can't be applied: applied %v:\n%s", applied, out.String())
	}
}

// TestAWatchedFileIsReadAgainWhenItHasSettled: once for each change, and not while it is
// being written.
func TestAWatchedFileIsReadAgainWhenItHasSettled(t *testing.T) {
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(one, "1")
	var prepared, applied int
	var none error
	part := partNamed("it", &prepared, &applied, &none, &none)
	part.watched = []string{one, other}
	r := newRereads(slog.New(slog.DiscardHandler))
	r.add(part)
	looks := func(want int, what string) {
		t.Helper()
		for range 3 {
			r.look()
		}
		if applied != want {
			t.Errorf("%s: read %d times, want %d", what, applied, want)
		}
	}
	looks(0, "nothing changed")
	write(one, "12")
	r.look()
	if applied != 0 {
		t.Error("it was read at the first look, while it may still be written")
	}
	write(one, "123")
	r.look()
	if applied != 0 {
		t.Error("it was read though it had changed since the last look")
	}
	looks(1, "a file grew")
	write(other, "1")
	looks(2, "a file appeared")
	write(filepath.Join(dir, "new"), "abc")
	if err := os.Rename(filepath.Join(dir, "new"), one); err != nil {
		t.Fatal(err)
	}
	looks(3, "a file was replaced by one of the same size")
	then := time.Now().Add(time.Hour)
	if err := os.Chtimes(one, then, then); err != nil {
		t.Fatal(err)
	}
	looks(4, "a file has another time")
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	looks(5, "a file went")
	write(one, "12345")
	r.all(os.Interrupt)
	looks(6, "a signal was first")
}

// TestAWatchedFileThatCouldNotBeReadIsTriedAgain: the reason may pass without the file changing. It
// is said once.
func TestAWatchedFileThatCouldNotBeReadIsTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules")
	var prepared, applied int
	var fault, none error
	part := partNamed("it", &prepared, &applied, &fault, &none)
	part.watched = []string{path}
	var out strings.Builder
	r := newRereads(slog.New(slog.NewTextHandler(&out, nil)))
	r.add(part)
	fault = errors.New("too many open files")
	if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		r.look()
	}
	if n := strings.Count(out.String(), "too many open files"); n != 1 || applied != 0 || prepared < 10 || prepared > 1000/retryLooksMax+20 {
		t.Errorf("said %d times, prepared %d times, applied %d times:\n%s", n, prepared, applied, out.String())
	}
	fault = nil
	for range retryLooksMax {
		r.look()
	}
	if applied != 1 {
		t.Errorf("applied %d times, once it could be read", applied)
	}
	before := prepared
	for range 100 {
		r.look()
	}
	if prepared != before {
		t.Error("it is read again for nothing")
	}
}

// TestAWatchedFileIsReadAgainWithoutASignal, by the goroutine of start.
func TestAWatchedFileIsReadAgainWithoutASignal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	var out safeBuffer
	r := newRereads(slog.New(slog.NewTextHandler(&out, nil)))
	r.every = time.Millisecond
	r.add(reloadable{again: "the file was read again", watched: []string{file}, prepare: func() (func() error, error) { return func() error { return nil }, nil }})
	defer r.start(nil)()
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !out.await(regexp.MustCompile("the file was read again")) {
		t.Error("it was not read again")
	}
}

// TestNothingIsSaidOfQuotasThatThereAreNone.
func TestNothingIsSaidOfQuotasThatThereAreNone(t *testing.T) {
	var out strings.Builder
	r := newRereads(slog.New(slog.NewTextHandler(&out, nil)))
	c := serveOf(t)
	c.Config = "server.properties" // which could have quotas later
	quotas, err := c.quotas()
	if err != nil {
		t.Fatal(err)
	}
	r.add(rereadQuotas(quotas, func() *serveCmd { return c }))
	if r.all(os.Interrupt); out.String() != "" {
		t.Errorf("it says %s", out.String())
	}
	c.Quotas.Quota = []string{"client-id=a,requests=1"}
	if r.all(os.Interrupt); !strings.Contains(out.String(), "limits=1") || strings.Contains(out.String(), "file=") {
		t.Errorf("it says %s", out.String())
	}
}
