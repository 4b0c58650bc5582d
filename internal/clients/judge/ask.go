package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/clients/raw"
)

// question is what is sent on one connection.
type question struct {
	family, variant string
	asks            []ask
	// tail is sent behind the asks: bytes that are no whole frame.
	tail []byte
	// anyAnswer compares only whether there is a response, not its content.
	anyAnswer bool
	// bytewise sends one byte at a time.
	bytewise bool
	// per, if set, makes the asks for one server.
	per func(*server) []ask
	// fin ends the sending side instead of sending a next request.
	fin bool
	// talk, if set, asks one request after the other instead, each made of the
	// answers so far, and says what is to be compared.
	talk func(*talk)
}

// ask is one request of a question.
type ask struct {
	frame        []byte
	key, version int16 // how a response is read
	correlation  int32
}

const (
	// nextCorrelation is of the request behind a question.
	nextCorrelation = 0x6e657874
	// answerWithin is after how long a server without a response is called silent.
	answerWithin = 30 * time.Second
	// talkWithin is how long a talk of many requests may take.
	talkWithin = 2 * time.Minute
	// silentAfter is that for a server that is known to say nothing.
	silentAfter = time.Second
	// frameBytesMax bounds what is believed of a response's size.
	frameBytesMax = 64 << 20
)

// put sends q and returns what a client saw.
func (s *server) put(q question, patience time.Duration) (string, error) {
	conn, err := s.dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if q.talk != nil {
		if err := conn.SetDeadline(time.Now().Add(talkWithin)); err != nil {
			return "", err
		}
		return s.hold(conn, q.talk), nil
	}
	if q.per != nil {
		q.asks = q.per(s)
	}
	send(conn, q) // a failure is a close, which reading sees
	return outcome(conn, q), nil
}

func send(conn net.Conn, q question) {
	var all []byte
	for _, a := range q.asks {
		all = append(all, a.frame...)
	}
	all = append(all, q.tail...)
	if !q.fin {
		all = append(all, raw.Frame(raw.Header(raw.KeyApiVersions, 0, nextCorrelation))...)
	}
	step := len(all)
	if q.bytewise {
		step = 1
	}
	for at := 0; at < len(all); at += step {
		if _, err := conn.Write(all[at : at+step]); err != nil {
			return
		}
	}
	if q.fin {
		_ = conn.(*net.TCPConn).CloseWrite() // a connection that is closed already says so when read
	}
}

// outcome reads until the next request is answered or the connection ends.
func outcome(conn net.Conn, q question) string {
	var seen []string
	asked := q.asks
	for {
		payload, err := readFrame(conn)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return join(seen, "silent")
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
			return join(seen, "closed")
		case err != nil:
			return join(seen, err.Error())
		}
		correlation := int32(binary.BigEndian.Uint32(payload))
		if correlation == nextCorrelation && !q.fin {
			return join(seen, "next is answered")
		}
		at := slices.IndexFunc(asked, func(a ask) bool { return a.correlation == correlation })
		if at < 0 {
			return join(seen, "an answer to what was not asked, or out of order")
		}
		if q.anyAnswer {
			seen = append(seen, "an answer")
		} else {
			seen = append(seen, describe(asked[at], payload[4:]))
		}
		asked = asked[at+1:]
	}
}

func join(seen []string, end string) string { return strings.Join(append(shorten(seen), end), ", ") }

// shorten says "ok x3" instead of "ok, ok, ok".
func shorten(seen []string) (out []string) {
	for i := 0; i < len(seen); {
		n := 1
		for i+n < len(seen) && seen[i+n] == seen[i] {
			n++
		}
		if n > 1 {
			out = append(out, fmt.Sprintf("%s x%d", seen[i], n))
		} else {
			out = append(out, seen[i])
		}
		i += n
	}
	return out
}

func readFrame(conn net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > frameBytesMax {
		return nil, fmt.Errorf("a response of %d bytes", n)
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(conn, payload)
	return payload, err
}

// describe reads a response and says its errors.
func describe(a ask, body []byte) string {
	resp := kmsg.ResponseForKey(a.key)
	if resp == nil {
		return "an answer"
	}
	resp.SetVersion(a.version)
	if resp.IsFlexible() && a.key != raw.KeyApiVersions {
		if len(body) == 0 || body[0] != 0 {
			return "an answer with tags in its header"
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return "an answer that is malformed"
	}
	return errorsOf(resp)
}

// errorsOf names the errors in a response; "ok" if there are none.
func errorsOf(resp kmsg.Response) string {
	var names []string
	for _, code := range codesOf(resp) {
		names = append(names, codeName(code))
	}
	if len(names) == 0 {
		return "ok"
	}
	slices.Sort(names)
	return strings.Join(names, " + ")
}

// codesOf are the error codes in a response but 0, each once.
func codesOf(resp kmsg.Response) []int16 {
	codes := map[int16]bool{}
	errorCodes(reflect.ValueOf(resp).Elem(), codes)
	delete(codes, 0)
	return slices.Collect(maps.Keys(codes))
}

func codeName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return fmt.Sprintf("error %d", code)
}

// errorCodes collects every ErrorCode of a response.
func errorCodes(v reflect.Value, codes map[int16]bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			if v.Type().Field(i).Name == "ErrorCode" && f.Kind() == reflect.Int16 {
				codes[int16(f.Int())] = true
				continue
			}
			errorCodes(f, codes)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			errorCodes(v.Elem(), codes)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				errorCodes(v.Index(i), codes)
			}
		}
	}
}

func (s *server) dial() (net.Conn, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(answerWithin))
}

// exchange asks one request and reads its response.
func (s *server) exchange(req kmsg.Request) (kmsg.Response, error) {
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(asking(req, 1).frame); err != nil {
		return nil, err
	}
	payload, err := readFrame(conn)
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	body := payload[4:]
	if resp.IsFlexible() && req.Key() != raw.KeyApiVersions && len(body) > 0 {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// askVersions learns what a server serves.
func (s *server) askVersions() error {
	resp, err := s.exchange(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		return err
	}
	s.versions = map[int16]versionRange{}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		s.versions[k.ApiKey] = versionRange{k.MinVersion, k.MaxVersion}
	}
	return nil
}
