package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// answerBytesMax bounds an answer of the target.
const answerBytesMax = 512 << 20

// errAnswer says that the target's answer is none.
var errAnswer = errors.New("the target answers what is no answer to the request")

// appendFrame writes the size, the header and the body of a request.
func appendFrame(b []byte, key, version int16, correlation int32, clientID *string, body []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	if header := kafka.HeaderVersion(key, version); header >= 1 {
		if clientID == nil {
			b = append(b, 0xff, 0xff)
		} else {
			b = binary.BigEndian.AppendUint16(b, uint16(len(*clientID)))
			b = append(b, *clientID...)
		}
		if header >= 2 {
			b = append(b, 0)
		}
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// answerStep is how much memory is taken for an answer ahead of what has come.
const answerStep = 1 << 20

// readAnswer reads a frame into b. It grows with what comes.
func readAnswer(in io.Reader, b []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return b, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 || size > answerBytesMax {
		return b, fmt.Errorf("%w: %d bytes", errAnswer, size)
	}
	b = b[:0]
	for len(b) < size {
		n, was := min(size-len(b), answerStep), len(b)
		if cap(b)-was < n {
			b = append(make([]byte, 0, was*2+n), b...)
		}
		b = b[:was+n]
		if _, err := io.ReadFull(in, b[was:]); err != nil {
			return b, err
		}
	}
	return b, nil
}

// bodyOf is what of an answer is behind its header.
func bodyOf(key, version int16, answer []byte) []byte {
	n := len(kafka.AppendResponseHeader(nil, key, version, 0))
	return answer[min(n, len(answer)):]
}

// asker asks one thing after the other of a connection: for what is not part of the replay.
type asker struct {
	net.Conn
	patience time.Duration
	next     int32
}

// clientID is what the replay calls itself where it asks for itself.
var clientID = "kring-replay"

func (a *asker) ask(q kmsg.Request) (kmsg.Response, error) {
	a.next++
	version := q.GetVersion()
	if err := a.SetDeadline(time.Now().Add(a.patience)); err != nil {
		return nil, err
	}
	name := kmsg.NameForKey(q.Key())
	if _, err := a.Write(appendFrame(nil, q.Key(), version, a.next, &clientID, q.AppendTo(nil))); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b, err := readAnswer(a, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int32(binary.BigEndian.Uint32(b)) != a.next {
		return nil, fmt.Errorf("%s: %w", name, errAnswer)
	}
	resp := q.ResponseKind()
	if err := kafka.DecodeResponse(bodyOf(q.Key(), version, b), resp); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, errAnswer, err)
	}
	return resp, nil
}

// login authenticates, if c says how.
func (a *asker) login(c *Config) error {
	if c.Mechanism == "" {
		return nil
	}
	shake := kmsg.NewPtrSASLHandshakeRequest()
	shake.Version, shake.Mechanism = 1, c.Mechanism
	resp, err := a.ask(shake)
	if err != nil {
		return err
	}
	if r := resp.(*kmsg.SASLHandshakeResponse); r.ErrorCode != 0 {
		return fmt.Errorf("mechanism %s: %w; the target has %v", c.Mechanism, kerr.ErrorForCode(r.ErrorCode), r.SupportedMechanisms)
	}
	return c.Login(func(token []byte) ([]byte, error) {
		q := kmsg.NewPtrSASLAuthenticateRequest()
		q.Version, q.SASLAuthBytes = 1, token
		resp, err := a.ask(q)
		if err != nil {
			return nil, err
		}
		r := resp.(*kmsg.SASLAuthenticateResponse)
		if r.ErrorCode != 0 {
			text := ""
			if r.ErrorMessage != nil {
				text = *r.ErrorMessage
			}
			return nil, fmt.Errorf("%w: %.200q", kerr.ErrorForCode(r.ErrorCode), text)
		}
		return r.SASLAuthBytes, nil
	})
}
