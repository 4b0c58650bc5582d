package conn

import "slices"

// IsTLS says that a connection's first four bytes are the beginning of a TLS handshake: a
// record of that type, of a version 3.x.
func IsTLS(first []byte) bool {
	return len(first) >= 3 && first[0] == 0x16 && first[1] == 3 && first[2] <= 4
}

// methods are how HTTP requests begin.
var methods = []string{"GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE", "PATC", "CONN", "TRAC", "PRI "}

// IsHTTP says that a connection's first four bytes are the beginning of an HTTP request.
func IsHTTP(first []byte) bool {
	return len(first) >= 4 && slices.Contains(methods, string(first[:4]))
}
