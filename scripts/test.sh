#!/usr/bin/env bash
# Runs the README's test command, exactly as it stands there. In addition, no test may
# skip without a reason.
#
# usage: scripts/test.sh

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/results.bash"
cd "$root"

grep -qE '^go test \./\.\.\.( |$)' README.md || die "README.md no longer names 'go test ./...' as the test command: mend one of the two"

# By the environment, so that the command itself stays the README's: -v, a timeout for a
# busy machine (uring took 8 minutes beside hogs), three packages at once, because the
# longest is the last, and without vet, of which lint.sh has all.
GOFLAGS="${GOFLAGS:-} -v -p=3 -timeout=25m -vet=off" go test ./... >"$scratch/log" 2>&1 || {
	explain "$scratch/log"
	die "go test ./... failed"
}
grep -E '^(ok|---) .*kring' "$scratch/log" || true
check_skips "$scratch/log"
