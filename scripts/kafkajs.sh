#!/usr/bin/env bash
# Runs kafkajs against kring: scripts/kafkajs/matrix.js on every engine.
#
# usage: scripts/kafkajs.sh [ENGINE...]

source "$(dirname "$0")/lib.bash"
engines "$@"
command -v node >/dev/null || need node nodejs
command -v npm >/dev/null || need npm npm
build_kring

# Installed beside the scratch files, never into the checkout; npm ci installs
# exactly what the lock file says, checked by its hashes.
cp -r "$root/scripts/kafkajs" "$scratch/js"
(cd "$scratch/js" && npm ci --no-audit --no-fund --loglevel=error >"$scratch/npm.log" 2>&1) ||
	die "npm ci failed: $(tail -n 20 "$scratch/npm.log")"

for engine in "${engines[@]}"; do
	start_kring "$engine"
	(cd "$scratch/js" && timeout 400 node matrix.js "$kring_addr") || die "$engine: kafkajs failed"
	stop_kring
	say "$engine: all of kafkajs's matrix holds"
done
