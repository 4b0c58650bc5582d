#!/usr/bin/env bash
# Opens and closes many connections in every way (finished, reset, with and without
# a request, in the middle of a frame), against every engine, with handlers in a pool
# and inline. Afterwards descriptors, goroutines, kernel threads, buffers, request
# bytes and resident memory must be what they were before.
#
# usage: scripts/churn.sh [CYCLES] [ENGINE...]     (20,000 for each engine)

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/state.bash"
cycles=20000
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
	cycles=$1
	shift
fi
engines "$@"
build_kring
churn=$scratch/churn
(cd "$root/internal/clients" && go build -o "$churn" ./churn)

# So many connections fill the pools and start the threads before the count begins.
warm=3000
# How much resident memory may grow: Go's heap is collected when it has doubled.
growth_max_kib=$((16 * 1024))

# round CYCLES
round() {
	"$churn" -bootstrap "$kring_addr" -cycles "$1" >"$scratch/churn.out" 2>&1 || die "$engine, $dispatch: $(cat "$scratch/churn.out")"
	settled "$engine, $dispatch"
}

# back WHAT BEFORE AFTER [ROOM]
back() {
	(($3 <= $2 + ${4:-0})) || die "$engine, $dispatch: $1: $2 before, $3 after $((cycles / 2)) connections: $state"
}

for engine in "${engines[@]}"; do
	for dispatch in pool inline; do
		start_kring "$engine" --handler null --dispatch "$dispatch"
		round "$warm"
		goroutines=$(field goroutines) mapped=$(field mapped_bytes) accepted=$(field accepted)
		descriptors=$(fds) memory=$(rss_kib)
		round $((cycles / 2))
		made=$(sed -n 's/.* connections=\([0-9]*\).*/\1/p' "$scratch/churn.out")
		for what in open queued_requests buffers_lent lent_bytes kernel_threads; do
			now=$(field "$what")
			((now == 0)) || die "$engine, $dispatch: $what is $now with every client gone: $state"
		done
		# A processor keeps a little of the capacity for its next requests.
		back "request bytes" 0 "$(field request_bytes)" $(($(nproc) * 192 * 1024))
		back goroutines "$goroutines" "$(field goroutines)"
		# Memory that is kept for reuse was in use at one time: at most a frame of
		# each connection that was open.
		back "mapped bytes" "$mapped" "$(field mapped_bytes)" $((32 << 20))
		(($(field accepted) == accepted + made)) || die "$engine, $dispatch: $made connections were made, $(($(field accepted) - accepted)) accepted: $state"
		back descriptors "$descriptors" "$(fds)"
		back "resident memory in KiB" "$memory" "$(rss_kib)" "$growth_max_kib"
		say "$engine, $dispatch: $(sed 's/^churn: //' "$scratch/churn.out"); descriptors $descriptors, then $(fds); goroutines $(field goroutines); resident $memory KiB, then $(rss_kib) KiB"
		# Each request that was in flight at one time keeps its response memory for
		# the next: one for each connection, and more if connections closed before
		# their request was handled. A leak would add as many again.
		pieces=$(field pieces_lent)
		if ((pieces > 80)); then
			round $((cycles / 2))
			back "pieces of memory in use" "$pieces" "$(field pieces_lent)" 40
		fi
		stop_kring
	done
done
