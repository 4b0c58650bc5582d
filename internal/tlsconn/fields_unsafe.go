package tlsconn

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// crypto/tls reads records into a buffer of each connection that never shrinks (go.dev/issue/43563):
// after one record of 16 KiB a connection has 17 KiB more for its life. So it is given
// records where they lie: its buffer is made to be the record, and forgotten when that was
// read. That is why there is no buffer for each connection, and no copy of what is received.
//
// Sound: the fields are found by name, and used only if they have the types that they are
// used as; the address lies within the tls.Conn; only the goroutine that has its Read
// called touches them, between two calls. If a release of Go has other fields, the same
// bytes go through net.Conn's Read, into the buffer.
var fields = find(reflect.TypeFor[tls.Conn]())

type offsets struct {
	known                 bool
	rawInput, input, hand uintptr
}

// find finds the fields of crypto/tls.Conn.
func find(of reflect.Type) (o offsets) {
	offset := func(name string, as reflect.Type) uintptr {
		f, ok := of.FieldByName(name)
		o.known = o.known && ok && f.Type == as
		return f.Offset
	}
	o.known = true
	o.rawInput = offset("rawInput", reflect.TypeFor[bytes.Buffer]())
	o.hand = offset("hand", reflect.TypeFor[bytes.Buffer]())
	o.input = offset("input", reflect.TypeFor[bytes.Reader]())
	return o
}

func rawInput(c *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), fields.rawInput)) // within c, see fields
}

func input(c *tls.Conn) *bytes.Reader {
	return (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c), fields.input)) // within c, see fields
}

func hand(c *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), fields.hand)) // within c, see fields
}
