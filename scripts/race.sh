#!/usr/bin/env bash
# Runs all tests under the race detector, with the invariants checked.
#
# usage: scripts/race.sh [PACKAGE...]

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/results.bash"
cd "$root"

# Every process under the race detector sleeps for a second before it exits, and
# many tests start processes.
export GORACE="atexit_sleep_ms=20 ${GORACE:-}"
flags=(-race -tags invariants -vet=off) # lint.sh vets all of it

# alone are packages of which everything runs on one goroutine, the tests too: the race
# detector would find nothing, and takes ten times as long. What they read and compute is
# tested by test.sh.
alone=(kring/internal/lint kring/internal/conformance kring/bench/stats kring/bench/report kring/bench/goals)

# share N OF: every OFth test of the program, from the Nth on. They wait for processes one after
# the other, so they are run in shares beside each other. It becomes the test's process.
share() {
	local tests
	tests=$("$scratch/kring.test" -test.list . | awk -v n="$1" -v of="$2" '/^(Test|Fuzz|Example)/ && i++ % of == n' | paste -sd '|')
	cd cmd/kring
	exec "$scratch/kring.test" -test.v -test.timeout 25m -test.run "^($tests)\$" >"$scratch/log.$1" 2>&1
}

shares=4 running=()
end_others() {
	local pid
	for pid in "${running[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	wait "${running[@]}" 2>/dev/null || true
}
if (($# == 0)); then
	go test -c "${flags[@]}" -o "$scratch/kring.test" ./cmd/kring
	for ((n = 0; n < shares; n++)); do
		share "$n" "$shares" &
		running+=("$!")
	done
	mapfile -t rest < <(go list ./... | grep -vxF -e kring/cmd/kring "${alone[@]/#/-e}")
	set -- ./uring ./internal/contract ./processor "${rest[@]}" # the longest first: others run beside them
fi
status=0
go test -v "${flags[@]}" -p 2 -timeout 25m "$@" >"$scratch/log" 2>&1 || status=$?
for n in "${!running[@]}"; do
	failed=
	wait "${running[n]}" || failed=1
	unset "running[n]"
	[[ -z $failed ]] || {
		explain "$scratch/log.$n"
		die "go test -race failed in ./cmd/kring"
	}
	cat "$scratch/log.$n" >>"$scratch/log.program"
done
((status == 0)) || {
	explain "$scratch/log"
	die "go test -race failed"
}
grep -E '^ok .*kring' "$scratch/log" || true
check_skips "$scratch/log"
[[ ! -s $scratch/log.program ]] || check_skips "$scratch/log.program"
