#!/usr/bin/env bash
# Holds everything, tests too, to the other systems that kring runs on. There only the
# portable engine serves; everything else must compile. The types are checked from the
# sources, which takes three seconds for each system: nothing is in assembly here, so what
# has types compiles.
#
# usage: scripts/crossbuild.sh [-l] [GOOS/GOARCH...]
#
#   -l  the long form: build and vet everything for each (100 s of a processor for each)

source "$(dirname "$0")/lib.bash"
cd "$root"
long=
while getopts l option; do
	case $option in
	l) long=1 ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
(($# > 0)) || set -- linux/arm64 darwin/arm64 freebsd/amd64 windows/amd64

if [[ -z $long ]]; then
	(cd scripts/tools && go build -o "$scratch/crosscheck" ./crosscheck)
	"$scratch/crosscheck" "$@" || die "not for every system: see above"
	say "$*"
	exit
fi
for target in "$@"; do
	export GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0
	go vet ./... # compiles everything, and type-checks the tests
	go build -o /dev/null ./cmd/kring
	say "$target"
done
