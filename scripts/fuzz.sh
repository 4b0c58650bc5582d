#!/usr/bin/env bash
# Runs every fuzz target for a while. A target writes what it finds under
# testdata/fuzz beside it, to be committed with the repair; committed inputs run
# with every `go test`. Inputs that only reach more code stay in Go's cache, and the
# next run goes on from there.
#
# An hour of fuzzing is an hour over all targets together: the seconds here times
# the targets (scripts/fuzz.sh 720 with five of them). It may be run in rounds:
# 20 times scripts/fuzz.sh 36.
#
# usage: scripts/fuzz.sh [-j TARGETS] [-p PROCESSES] [-t TARGET] [SECONDS]
#        (each target for 10, one after the other, by as many processes as there
#        are CPUs; with -j so many at a time, by one process each)

source "$(dirname "$0")/lib.bash"
cd "$root"
only= at_once=1 processes=
while getopts j:p:t: option; do
	case $option in
	j) at_once=$OPTARG ;;
	p) processes=$OPTARG ;;
	t) only=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
seconds=${1:-10}
[[ $at_once =~ ^[1-9][0-9]*$ ]] || die "-j $at_once: give a number of targets; $(usage)"
[[ -n $processes || $at_once == 1 ]] || processes=1

# only_late LOG is true if the only failure is that the time ended in the middle of an
# input: before Go 1.27 go test sometimes reports that as one (golang.org/issue/75804).
only_late() { grep -q '^ *context deadline exceeded$' "$1" && ! grep -Eq 'Failing input|^ +--- FAIL' "$1"; }

# fuzz FOLDER TARGET runs a target; the result is in its log.
fuzz() {
	local parallel=()
	[[ -z $processes ]] || parallel=(-parallel "$processes")
	# Go makes an input smaller that reaches more code for a minute by default: all the time that there is.
	go test -vet=off -run '^$' -fuzz "^$2\$" -fuzztime "${seconds}s" -fuzzminimizetime 2s "${parallel[@]}" "./$1" >"$scratch/$2.log" 2>&1
}

# settle waits for the running targets, and prints how far each came.
running=() names=()
settle() {
	local i folder target status found=
	for i in "${!running[@]}"; do
		read -r folder target <<<"${names[i]}"
		status=0
		wait "${running[i]}" || status=$?
		! grep -q 'no fuzz tests to fuzz' "$scratch/$target.log" || die "$folder: $target is not built here: $(cat "$scratch/$target.log")"
		if ((status == 0)) || only_late "$scratch/$target.log"; then
			say "$folder: $target: $(grep -o 'execs: [0-9]*' "$scratch/$target.log" | tail -n 1) in $seconds s"
			continue
		fi
		cat "$scratch/$target.log"
		found+=" $folder: $target found something; its input is under $folder/testdata/fuzz/$target."
	done
	running=() names=()
	[[ -z $found ]] || die "${found# }"
}

# By the sources, not by `go test -list`, for which each package would be linked once more.
mapfile -t targets < <(git grep -oE '^func Fuzz[A-Z][A-Za-z0-9_]*' -- '*_test.go' | sed -E 's|^|./|; s|/[^/]*:func | |; s|^\./||')
ran=0
for one in "${targets[@]}"; do
	read -r folder target <<<"$one"
	[[ -z $only || $target == "$only" ]] || continue
	fuzz "$folder" "$target" &
	running+=("$!") names+=("$one")
	ran=$((ran + 1))
	((${#running[@]} < at_once)) || settle
done
settle
((ran > 0)) || die "no fuzz target ${only:-at all} ran"
