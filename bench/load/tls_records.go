package load

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net"
)

// The record layer of TLS 1.3 (RFC 8446, 5.2), of a client that must cost less than the
// servers it loads. crypto/tls runs the handshake, and its key log has the secrets; from then
// on records are sealed here, for all that leaves together, and opened where their bytes
// are looked at. Of the others the lengths are counted.
const (
	recordHeadBytes  = 5
	recordPlainMax   = 16 << 10
	recordSealBytes  = 16
	recordCostBytes  = recordHeadBytes + 1 + recordSealBytes
	recordBodyMax    = recordPlainMax + 256
	kindAlert        = 21
	kindHandshake    = 22
	kindData         = 23
	secretOfClient   = "CLIENT_TRAFFIC_SECRET_0 "
	secretOfServer   = "SERVER_TRAFFIC_SECRET_0 "
	labelOfTLS13     = "tls13 "
	nonceBytes       = 12
	sealedScratchMax = scratchBytes + scratchBytes/recordPlainMax*recordCostBytes + 2*recordCostBytes
)

// side is one direction's keys.
type side struct {
	aead  cipher.AEAD
	iv    [nonceBytes]byte
	count uint64 // of records
	nonce [nonceBytes]byte
}

// next is the nonce of the next record.
func (s *side) next() []byte {
	s.nonce = s.iv
	last := s.nonce[nonceBytes-8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^s.count)
	s.count++
	return s.nonce[:]
}

// records are a connection's, in both directions.
type records struct {
	seals, opens side

	unsent []byte // sealed, and not taken by the kernel
	head   [recordHeadBytes]byte
	heads  int    // bytes of head that are here
	body   []byte // what came of a record that is looked at
	left   int    // of the record's body that is to come; it is being skipped if seen is false
	size   int    // of the body
	seen   bool
}

// seal appends records of plain to wire.
func (r *records) seal(wire, plain []byte) []byte {
	for len(plain) > 0 {
		n := min(len(plain), recordPlainMax)
		at := len(wire)
		wire = append(wire, kindData, 3, 3, 0, 0)
		binary.BigEndian.PutUint16(wire[at+3:], uint16(n+1+recordSealBytes))
		wire = append(append(wire, plain[:n]...), kindData)
		body := wire[at+recordHeadBytes:]
		wire = append(wire[:at+recordHeadBytes], r.seals.aead.Seal(body[:0], r.seals.next(), body, wire[at:at+recordHeadBytes])...)
		plain = plain[n:]
	}
	return wire
}

// errAlert is what a server says at its end.
var errAlert = errors.New("the server sent an alert")

// take works off wire bytes. got is given what was opened, and skipped how many bytes of
// data were not looked at; look says whether a record that begins here is. Neither keeps
// what it is given.
func (r *records) take(wire []byte, look bool, got func([]byte) bool, skipped func(int) bool) (ok bool, err error) {
	for len(wire) > 0 {
		if r.left == 0 {
			n := copy(r.head[r.heads:], wire)
			wire = wire[n:]
			if r.heads += n; r.heads < recordHeadBytes {
				return true, nil
			}
			if r.size = int(binary.BigEndian.Uint16(r.head[3:])); r.size < recordSealBytes+1 || r.size > recordBodyMax || r.head[0] != kindData {
				return false, fmt.Errorf("load: a record of kind %d with %d bytes is none of TLS 1.3's", r.head[0], r.size)
			}
			r.left, r.seen, r.heads = r.size, look, 0
		}
		n := min(len(wire), r.left)
		r.left -= n
		piece := wire[:n]
		wire = wire[n:]
		switch {
		case !r.seen && r.left > 0:
		case !r.seen:
			r.opens.count++
			ok = skipped(r.size - recordSealBytes - 1)
		case r.left > 0 || len(r.body) > 0:
			if r.body = append(r.body, piece...); r.left > 0 {
				continue
			}
			ok, err = r.open(r.body, got)
			r.body = r.body[:0]
		default:
			ok, err = r.open(piece, got)
		}
		if r.left == 0 && (!ok || err != nil) {
			return ok, err
		}
	}
	return true, nil
}

// open opens a record where it lies.
func (r *records) open(body []byte, got func([]byte) bool) (bool, error) {
	plain, err := r.opens.aead.Open(body[:0], r.opens.next(), body, r.head[:])
	if err != nil {
		return false, fmt.Errorf("load: opening a record: %w", err)
	}
	plain = bytes.TrimRight(plain, "\x00") // padding, see RFC 8446, 5.4: the kind is never 0
	if len(plain) == 0 {
		return false, errors.New("load: a record without a kind")
	}
	kind, plain := plain[len(plain)-1], plain[:len(plain)-1]
	switch kind {
	case kindData:
		return got(plain), nil
	case kindHandshake:
		return true, nil // a session ticket
	default:
		return false, errAlert
	}
}

// secrets take both traffic secrets out of crypto/tls's key log.
type secrets struct{ client, server []byte }

func (s *secrets) Write(line []byte) (int, error) {
	for label, into := range map[string]*[]byte{secretOfClient: &s.client, secretOfServer: &s.server} {
		if rest, ok := bytes.CutPrefix(line, []byte(label)); ok {
			_, secret, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
			*into = make([]byte, hex.DecodedLen(len(secret)))
			if _, err := hex.Decode(*into, secret); err != nil {
				return 0, err
			}
		}
	}
	return len(line), nil
}

// shakeRecords runs the handshake on conn, of which it reads no byte behind it.
func (c *Config) shakeRecords(conn net.Conn) (*records, error) {
	var keys secrets
	with := c.clientTLS()
	with.KeyLogWriter = &keys
	t := tls.Client(&recordwise{Conn: conn}, with)
	if err := t.Handshake(); err != nil {
		return nil, fmt.Errorf("load: the TLS handshake: %w", err)
	}
	suite := t.ConnectionState().CipherSuite
	r := &records{}
	err := r.seals.use(suite, keys.client)
	if err == nil {
		err = r.opens.use(suite, keys.server)
	}
	return r, err
}

// use derives a direction's keys from its secret (RFC 8446, 7.3).
func (s *side) use(suite uint16, secret []byte) error {
	keyBytes, sum, with := 16, sha256.New, crypto.SHA256
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		keyBytes, sum, with = 32, sha512.New384, crypto.SHA384
	default:
		return fmt.Errorf("load: the server chose %s, and this generator has AES-GCM of TLS 1.3: have the server allow one of those", tls.CipherSuiteName(suite))
	}
	if len(secret) != with.Size() {
		return fmt.Errorf("load: crypto/tls logged a secret of %d bytes, and %s has %d", len(secret), tls.CipherSuiteName(suite), with.Size())
	}
	key, err := expand(sum, secret, "key", keyBytes)
	if err != nil {
		return err
	}
	iv, err := expand(sum, secret, "iv", nonceBytes)
	if err != nil {
		return err
	}
	copy(s.iv[:], iv)
	block, err := aes.NewCipher(key)
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		return fmt.Errorf("load: AES-GCM: %w", err)
	}
	return nil
}

// expand is HKDF-Expand-Label without a context.
func expand(sum func() hash.Hash, secret []byte, label string, n int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len(labelOfTLS13)+len(label)))
	info = append(append(append(info, labelOfTLS13...), label...), 0)
	out, err := hkdf.Expand(sum, secret, string(info), n)
	if err != nil {
		return nil, fmt.Errorf("load: HKDF: %w", err)
	}
	return out, nil
}

// recordwise gives a Read no byte of the record behind the one it is for: what comes behind
// a handshake is not crypto/tls's.
type recordwise struct {
	net.Conn
	head  [recordHeadBytes]byte
	heads int
	left  int
}

func (r *recordwise) Read(b []byte) (int, error) {
	if r.left > 0 {
		n, err := r.Conn.Read(b[:min(len(b), r.left)])
		r.left -= n
		return n, err
	}
	n, err := r.Conn.Read(b[:min(len(b), recordHeadBytes-r.heads)])
	copy(r.head[r.heads:], b[:n])
	if r.heads += n; r.heads == recordHeadBytes {
		r.heads, r.left = 0, int(binary.BigEndian.Uint16(r.head[3:]))
	}
	return n, err
}
