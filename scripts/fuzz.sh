#!/usr/bin/env bash
# Runs every fuzz target for a while.
#
# usage: scripts/fuzz.sh [SECONDS]     (per target, 10)

source "$(dirname "$0")/lib.bash"
cd "$root"
seconds=${1:-10}

# `go test -list` prints a package's targets, then its line "ok PACKAGE ...".
# Only packages that have targets are listed: the others need not compile.
mapfile -t folders < <(git grep -lE '^func Fuzz[A-Z]' -- '*_test.go' | xargs -rn1 dirname | sort -u)
((${#folders[@]} > 0)) || die "no fuzz target found"
ran=0
for folder in "${folders[@]}"; do
	mapfile -t targets < <(go test -list '^Fuzz' "./$folder" | grep '^Fuzz' || true)
	for target in "${targets[@]}"; do
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" "./$folder" >"$scratch/log" 2>&1 || {
			cat "$scratch/log"
			die "$folder: $target found something; its input is under $folder/testdata/fuzz/$target"
		}
		say "$folder: $target: $(grep -o 'execs: [0-9]*' "$scratch/log" | tail -n 1)"
		ran=$((ran + 1))
	done
done
((ran > 0)) || die "no fuzz target ran"
