#!/usr/bin/env bash
# Runs the same engine on giouring's ring: the whole io_uring suite, then real clients
# against a server built that way. Since Go 1.23 giouring does not link with stock
# flags, so it is built with -checklinkname=0.
#
# usage: scripts/giouring.sh

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/results.bash"
cd "$root"
flags=(-tags giouring -ldflags=-checklinkname=0)

go build "${flags[@]}" ./...
go test -v -vet=off -timeout 25m "${flags[@]}" ./uring/... >"$scratch/log" 2>&1 || {
	explain "$scratch/log"
	die "the suite failed on giouring's ring"
}
check_skips "$scratch/log"

build_kring "${flags[@]}"
grep -q giouring <<<"$(go version -m "$kring")" || die "the server was built without giouring"
(cd internal/clients && KRING_BIN=$kring KRING_ENGINES=io_uring go test -count=1 -run 'TestEveryRecordComesBackByteForByte' .)
