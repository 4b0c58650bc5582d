#!/usr/bin/env bash
# Runs random pipelines of 1 to 64 requests whose handlers finish in random order, on
# each engine, with a pool of handlers and inline. No response may be out of order,
# lost or doubled.
#
# usage: scripts/pipelines.sh [-n REQUESTS_PER_ENGINE] [-s SEED] [ENGINE...]
#        (-n 10000000, a seed of its own)

source "$(dirname "$0")/lib.bash"
requests=10000000 seed=$RANDOM
while getopts n:s: option; do
	case $option in
	n) requests=$OPTARG ;;
	s) seed=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
engines "$@"
cd "$root"
go test -c -o "$scratch/contract" ./internal/contract
for engine in "${engines[@]}"; do
	for dispatch in pool inline; do
		KRING_PIPELINE_REQUESTS=$((requests / 2)) KRING_PIPELINE_SEED=$seed "$scratch/contract" -test.v -test.timeout 0 \
			-test.run "^TestRandomPipelinesAreAnsweredOnceAndInOrder\$/^$engine\$/^$dispatch\$" >"$scratch/log" 2>&1 || {
			cat "$scratch/log"
			die "$engine, $dispatch: see above; the seed is $seed"
		}
		say "$engine, $dispatch: $(grep -o 'seed [0-9]*: .*' "$scratch/log")"
	done
done
