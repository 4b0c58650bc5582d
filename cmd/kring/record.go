package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"kring/record"
)

// recordFlags are about a file of what clients ask.
type recordFlags struct {
	Record         string `group:"observe" placeholder:"FILE" help:"Record the requests of clients, with their times and without their records, into FILE, for kring replay. If there is FILE, FILE.1 to FILE.9 are tried. It is readable by its owner only. Passwords, tokens and their like are never in it, but topics, groups and client ids are. docs/record.md says what is kept. Default: nothing is recorded."`
	RecordMax      size   `group:"observe" placeholder:"BYTES" help:"Largest size of the file of --record. When it is reached, recording ends and serving goes on. Default: 1GiB."`
	RecordPayloads bool   `group:"observe" help:"Record what clients send whole, with the keys and values of their records. What may be a password or a token is left out all the same."`
}

// recordPatience is how long the end waits for the file.
const recordPatience = 5 * time.Second

func (f *recordFlags) validate(handler string) (faults []error) {
	if f.Record == "" && (f.RecordMax != 0 || f.RecordPayloads) {
		faults = append(faults, errors.New("--record-max and --record-payloads: nothing is recorded; give --record FILE as well"))
	}
	if f.RecordMax != 0 && f.RecordMax < record.BytesLeast {
		faults = append(faults, fmt.Errorf("--record-max %d: give %d or more", f.RecordMax, record.BytesLeast))
	}
	if f.Record != "" && handler == handlerEcho {
		faults = append(faults, errors.New("--record: --handler echo does not speak Kafka; leave one of the two out"))
	}
	return faults
}

// memory is what a recording may take: what waits for the file, and as much again until it is
// collected.
func (f *recordFlags) memory() int64 {
	if f.Record == "" {
		return 0
	}
	return 2 * record.QueueBytesMaxDefault
}

// recording is a Recorder of the program.
type recording struct {
	to   *record.Recorder
	name string
	file os.FileInfo // as it was made; nil: the system does not say
	log  *slog.Logger
}

// open begins the recording. That there are too many files already does not keep the server
// from serving: it may have been started again, and nobody looks.
func (f *recordFlags) open(log *slog.Logger) (*recording, error) {
	if f.Record == "" {
		return nil, nil
	}
	file, err := record.Create(f.Record)
	if errors.Is(err, record.ErrFilesMax) {
		log.Error("nothing is recorded", "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--record: %w; name a file in a folder that this process may write to", err)}
	}
	r := &recording{name: file.Name(), log: log}
	r.file, _ = file.Stat()
	r.to, err = record.New(file, record.Config{
		BytesMax: int64(f.RecordMax), Payloads: f.RecordPayloads, Software: "kring " + programVersion(),
		Ended: r.ended,
	})
	if err != nil { // validate has looked
		_ = file.Close()
		r.remove()
		return nil, usageError{err}
	}
	log.Info("recording what clients ask", "file", r.name, "payloads", f.RecordPayloads)
	return r, nil
}

// ended logs that the recording has ended by itself. Its goroutine may wait for the log.
func (r *recording) ended(err error) {
	if err != nil {
		r.log.Error("recording has ended; serving goes on", "file", r.name, "error", err)
		return
	}
	r.log.Warn("recording has ended at --record-max; serving goes on", "file", r.name)
}

// before puts the recording in front of a service, if there is one.
func (f *recordFlags) before(served service, log *slog.Logger) (service, error) {
	r, err := f.open(log)
	if err != nil && served.close != nil {
		_ = served.close() // the error says more
	}
	if r == nil || err != nil {
		return served, err
	}
	rest := served.close
	served.handler = r.to.Handler(served.handler)
	served.close = func() error {
		r.end()
		if rest == nil {
			return nil
		}
		return rest()
	}
	return served, nil
}

// end writes what is left, if the disk takes it. A recording without a request is removed: else
// starts that fail would use up the names.
func (r *recording) end() {
	ctx, cancel := context.WithTimeout(context.Background(), recordPatience)
	defer cancel()
	err := r.to.Close(ctx)
	st := r.to.Stats()
	say := []any{"file", r.name, "requests", st.Requests, "bytes", st.Bytes, "lost", st.Lost}
	if err != nil {
		r.log.Warn("the recording is not whole", append(say, "error", err)...)
		if ctx.Err() == nil && r.empty() {
			r.remove()
			r.log.Info("no request has reached the file: it is removed", "file", r.name)
		}
		return
	}
	if st.Requests == 0 && st.Lost == 0 {
		r.remove()
		r.log.Info("nothing came that could be recorded: the file is removed", "file", r.name)
		return
	}
	r.log.Info("recorded", say...)
}

// empty says that no request is in the file, which nobody writes any more. What the disk has taken of it is
// not known otherwise.
func (r *recording) empty() bool {
	f, err := os.Open(r.name)
	if err != nil {
		return false
	}
	defer f.Close()
	if is, err := f.Stat(); err != nil || !is.Mode().IsRegular() || is.Size() > record.BytesLeast {
		return false
	}
	in, err := record.NewReader(f)
	if err != nil {
		return errors.Is(err, record.ErrTorn) || errors.Is(err, record.ErrFormat)
	}
	var e record.Entry
	for err = in.Next(&e); err == nil; err = in.Next(&e) {
		if e.Kind == record.Request {
			return false
		}
	}
	return errors.Is(err, record.ErrTorn) || errors.Is(err, io.EOF)
}

// remove removes the file, unless another one has its name by now.
func (r *recording) remove() {
	if is, err := os.Lstat(r.name); err == nil && r.file != nil && os.SameFile(r.file, is) {
		_ = os.Remove(r.name) // it stays, and is nobody's worry
	}
}
