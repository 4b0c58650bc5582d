#!/usr/bin/env bash
# Measures what a scrape of /metrics costs the clients: latency of 64 busy connections beside
# many idle ones. The time is cut into slices, of which one of each two has a scrape, and the
# other one asks for /healthz at the same moment, so that what asking takes of the CPUs is in
# both. It says by how much each percentile is larger in a slice with scrapes than in its
# neighbour: the median of the pairs, and where it lies with 95 %. Run it on a machine that does
# nothing else. It judges nothing but that every scrape is answered.
#
# usage: scripts/scrape.sh [-i IDLE] [-n PAIRS] [-s SECONDS] [-r RATE] [-e SECONDS] [-1] [ENGINE...]
#        (20,000 idle connections, or as many as the limit of open files allows; 90 pairs of
#        slices of 1 s; 10,000 requests a second; io_uring)
#        (-e: between two scrapes of a slice, 1 s)
#        (-1: the server has one CPU, and the generator another)

source "$(dirname "$0")/lib.bash"
cd "$root"
idle=20000 pairs=90 seconds=1 rate=10000 every=1 server=() generator=()
while getopts i:n:s:r:e:1 option; do
	case $option in
	i) idle=$OPTARG ;;
	n) pairs=$OPTARG ;;
	s) seconds=$OPTARG ;;
	r) rate=$OPTARG ;;
	e) every=$OPTARG ;;
	1) server=(taskset -c 0) generator=(taskset -c 1) ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
engines=(io_uring)
(($# == 0)) || engines=("$@")

build_kring
if ((${#server[@]} > 0)); then # from its start, so that Go knows of one CPU
	printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${server[*]}" "$(realpath "$kring")" >"$scratch/pinned"
	chmod +x "$scratch/pinned"
	kring=$scratch/pinned
fi
go build -o "$scratch/bench" ./bench

# The server keeps 3,974 descriptors back, and some for itself.
ulimit -n "$((idle + 5000))" 2>/dev/null || ulimit -n "$(ulimit -Hn)"
(($(ulimit -n) - 4200 >= idle)) || {
	idle=$(($(ulimit -n) - 4200))
	say "the limit of open files leaves $idle idle connections"
}

holder=
end_others() { [[ -z $holder ]] || kill "$holder" 2>/dev/null || true; }

for engine in "${engines[@]}"; do
	mkfifo "$scratch/hold.in"
	start_kring "$engine" --handler null --http "unix:$scratch/http" --idle-timeout 1h --max-connections "$((idle + 200))"
	"${generator[@]}" "$scratch/bench" hold "$kring_addr" --conns "$idle" --source 0 <"$scratch/hold.in" >"$scratch/hold.out" 2>&1 &
	holder=$!
	exec 3>"$scratch/hold.in"
	for ((i = 0; i < 600; i++)); do
		! grep -q ready "$scratch/hold.out" || break
		kill -0 "$holder" 2>/dev/null || die "$engine: the idle connections are not held: $(cat "$scratch/hold.out")"
		sleep 0.1
	done
	grep -q ready "$scratch/hold.out" || die "$engine: $idle connections were not open within a minute"
	"${generator[@]}" "$scratch/bench" scrape "$kring_addr" --http "unix:$scratch/http" -c 64 -r "$rate" --pairs "$pairs" --slice "${seconds}s" --every "${every}s" >"$scratch/said" ||
		die "$engine: the scrapes were not answered"
	exec 3>&-
	kill "$holder" 2>/dev/null || true
	wait "$holder" 2>/dev/null || true
	holder=
	stop_kring
	rm "$scratch/hold.in"
	say "$engine, $idle idle connections and 64 busy ones at $rate requests/s, slices of $seconds s, scrapes $every s apart:"
	sed 's/^/  /' "$scratch/said"
done
