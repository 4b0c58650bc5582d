// Package testcerts makes certificate authorities and certificates for tests, and for
// trying TLS out.
//
// Job: keys, certificates and chains, as PEM and PKCS#12, protected or not.
//
// Flow: New makes an Authority; its Issue makes certificates; the methods of a Cert write
// them in the forms that programs read.
//
// Ownership: an Authority may be used by any goroutine.
//
// Never: for production: the authority's key lies beside what it issued.
//
// Kernel: none.
package testcerts
