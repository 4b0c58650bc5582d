#!/usr/bin/env bash
# Upgrades kring under load, on every engine: each process takes over from the one before.
# 64 clients write, others connect again and again; no connection may be refused, and no
# request may fail that Kafka's clients do not repeat by themselves. Then three upgrades back
# to back, with clients that never leave.
#
# usage: scripts/upgrade.sh [-s] [UPGRADES [CLIENTS]]     (20 upgrades, 64 clients)
#
#   -s   short: 2 upgrades

source "$(dirname "$0")/lib.bash"
upgrades=20
if [[ ${1:-} == -s ]]; then
	upgrades=2
	shift
fi
upgrades=${1:-$upgrades} clients=${2:-64}

cd "$root/cmd/kring"
go test -c -ldflags='-s -w' -o "$scratch/kring.test" .
UPGRADES=$upgrades CLIENTS=$clients "$scratch/kring.test" -test.v -test.timeout 20m \
	-test.run '^(TestAnUpgradeOfTheProgramRefusesNobody|TestThreeUpgradesInARowRefuseNobody)$' >"$scratch/log" 2>&1 || {
	tail -n 60 "$scratch/log" >&2
	die "$upgrades upgrades with $clients clients failed"
}
grep -E '^ +(--- PASS|upgrade_linux_test.go)' "$scratch/log"
say "$upgrades upgrades with $clients clients on each engine, and 3 back to back: nobody was refused"
