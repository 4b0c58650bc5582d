package handover

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Version of the messages. Another one is refused: both processes then stay as they are.
const Version = 1

const (
	// MessageBytesMax bounds a message.
	MessageBytesMax = 1 << 20
	// DescriptorsMax bounds the descriptors of one message; the kernel takes 253.
	DescriptorsMax = 64
	// AddressesMax bounds the addresses of one message, so that it is within MessageBytesMax.
	AddressesMax = 8192

	headerBytes = 8
)

// magic begins every message, of every version.
var magic = [4]byte{'K', 'R', 'H', 'O'}

// Kind says what a message is about.
type Kind string

// The messages, in their order. The predecessor serves; the successor takes over.
const (
	Hello   Kind = "hello"   // successor: who it is
	Offer   Kind = "offer"   // predecessor: what it has
	Take    Kind = "take"    // successor: stop accepting and hand over
	Sockets Kind = "sockets" // predecessor: descriptors; as many messages as it takes
	Open    Kind = "open"    // predecessor: connections that it still has; likewise
	Taken   Kind = "taken"   // predecessor: that is all
	Ready   Kind = "ready"   // successor: it could accept
	Yours   Kind = "yours"   // predecessor: accept
	Began   Kind = "began"   // successor: it accepts; there is no way back
	Left    Kind = "left"    // predecessor: connections that have ended since
	Noted   Kind = "noted"   // successor: it counts them no more
	Failed  Kind = "failed"  // either: why not
)

// Message is one message. Fields that its Kind does not need are empty.
type Message struct {
	Kind    Kind
	Version int    `json:",omitempty"` // of Hello and Offer
	PID     int    `json:",omitempty"` // of Offer
	Program string `json:",omitempty"`
	Text    string `json:",omitempty"` // of Failed

	Exclusive bool              `json:",omitempty"` // Offer: it ends its work before another may begin
	Accept    string            `json:",omitempty"` // Offer: how connections are accepted
	Listeners []Listener        `json:",omitempty"` // Offer
	Items     []Item            `json:",omitempty"` // Sockets: one for each descriptor
	Values    map[string][]byte `json:",omitempty"` // Taken

	Total   int64                `json:",omitempty"` // Open, Left
	ByName  map[string]int64     `json:",omitempty"`
	ByIP    map[netip.Addr]int64 `json:",omitempty"`
	Number  uint64               `json:",omitempty"` // Left, Noted
	Timeout int64                `json:",omitempty"` // Offer: seconds from Take to Ready

	FDs []int `json:"-"` // received
}

// Listener is one that is offered.
type Listener struct {
	Name    string
	Address string // as it was configured
	Bound   string // where it is bound; "" if no socket is open
}

// Item says what a descriptor is: the socket of a listener, or a file.
type Item struct {
	Listener string `json:",omitempty"`
	File     string `json:",omitempty"`
	// Own says that the file of a Unix domain socket is to be removed at the end.
	Own bool `json:",omitempty"`
}

func encode(m *Message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("message %q: %w", m.Kind, err)
	}
	if len(body) > MessageBytesMax {
		return nil, fmt.Errorf("message %q has %d bytes: at most %d are possible", m.Kind, len(body), MessageBytesMax)
	}
	head := binary.BigEndian.AppendUint32(append([]byte(nil), magic[:]...), uint32(len(body)))
	return append(head, body...), nil
}

// bodyBytes reads a header.
func bodyBytes(head []byte) (int, error) {
	n := binary.BigEndian.Uint32(head[4:headerBytes])
	switch {
	case [4]byte(head[:4]) != magic:
		return 0, errors.New("what came is no message of kring: does another program use this socket?")
	case n == 0 || n > MessageBytesMax:
		return 0, fmt.Errorf("a message of %d bytes was announced: at most %d are possible", n, MessageBytesMax)
	}
	return int(n), nil
}

func decode(r io.Reader, n int) (*Message, error) {
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	m := new(Message)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("a message can't be read: %w", err)
	}
	return m, nil
}
