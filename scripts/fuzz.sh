#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other. What a target finds it
# writes under testdata/fuzz beside it, to be committed with the repair; the
# committed inputs run with every `go test` from then on. Inputs that only reach
# more code stay in Go's cache, where the next run goes on.
#
# An hour of fuzzing is an hour over all targets together: the seconds here times
# the targets (scripts/fuzz.sh 720 with five of them). It may be run in rounds:
# 20 times scripts/fuzz.sh 36.
#
# usage: scripts/fuzz.sh [-p PROCESSES] [-t TARGET] [SECONDS]
#        (each target for 10, by as many processes as there are CPUs)

source "$(dirname "$0")/lib.bash"
cd "$root"
usage="usage: scripts/fuzz.sh [-p PROCESSES] [-t TARGET] [SECONDS]"
only= flags=()
while getopts p:t: option; do
	case $option in
	p) flags=(-parallel "$OPTARG") ;;
	t) only=$OPTARG ;;
	*) die "$usage" ;;
	esac
done
shift $((OPTIND - 1))
seconds=${1:-10}

# only_late LOG says that the time was over in the middle of an input, and that was
# all: before Go 1.27 go test takes that for a failure now and then (golang.org/issue/75804).
only_late() { grep -q 'context deadline exceeded' "$1" && ! grep -q 'Failing input' "$1"; }

# `go test -list` prints a package's targets, then its line "ok PACKAGE ...".
# Only packages that have targets are listed: the others need not compile.
mapfile -t folders < <(git grep -lE '^func Fuzz[A-Z]' -- '*_test.go' | xargs -rn1 dirname | sort -u)
((${#folders[@]} > 0)) || die "no fuzz target found"
ran=0
for folder in "${folders[@]}"; do
	mapfile -t targets < <(go test -list '^Fuzz' "./$folder" | grep '^Fuzz' || true)
	for target in "${targets[@]}"; do
		[[ -z $only || $target == "$only" ]] || continue
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" "${flags[@]}" "./$folder" >"$scratch/log" 2>&1 ||
			only_late "$scratch/log" || {
			cat "$scratch/log"
			die "$folder: $target found something; its input is under $folder/testdata/fuzz/$target"
		}
		say "$folder: $target: $(grep -o 'execs: [0-9]*' "$scratch/log" | tail -n 1) in $seconds s"
		ran=$((ran + 1))
	done
done
((ran > 0)) || die "no fuzz target ${only:-at all} ran"
