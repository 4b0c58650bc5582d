#!/usr/bin/env bash
# Builds and vets everything for the other systems that kring runs on. There only
# the portable engine serves; everything else must compile.
#
# usage: scripts/crossbuild.sh [GOOS/GOARCH...]

source "$(dirname "$0")/lib.bash"
cd "$root"
(($# > 0)) || set -- linux/arm64 darwin/arm64 freebsd/amd64 windows/amd64

for target in "$@"; do
	export GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0
	go vet ./... # compiles everything, and type-checks the tests
	go build -o /dev/null ./cmd/kring
	say "$target"
done
