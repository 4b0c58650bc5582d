//go:build linux && !(giouring && (amd64 || arm64))

package uring

// pending are the SQEs that were given out and not submitted.
func pending(r *ring) (all []SQE) {
	for at := r.sqHead.Load(); at != r.tail; at++ {
		all = append(all, r.sqes[at&r.sqMask])
	}
	return all
}
