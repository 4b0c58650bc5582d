# What is read out of the output of `go test -v`. Source it after lib.bash.

# explain LOG prints what failed: first with what came before it, then where tests stood
# when their time was over, then by name alone, so that the last lines say the most.
explain() {
	grep -E -B 30 'DATA RACE|^ *--- FAIL|^panic:' "$1" | tail -n 120 || true
	echo
	sed -n '/^panic: test timed out/,$p' "$1" |
		awk 'BEGIN { RS = ""; ORS = "\n\n" } /^panic: test timed out/ || /_test\.go:/' | head -n 80 || true
	grep -m 5 -A 20 '^# ' "$1" || true # what does not compile
	grep -E -m 60 '^ *--- FAIL|^FAIL|^panic:' "$1" || tail -n 60 "$1"
}

# A skipped test must have proven that it can't run.
#
# check_skips LOG fails if a test in the output of `go test -v` skipped that
# scripts/skips.allow does not name, and if none ran at all.
check_skips() {
	local log=$1 skipped
	grep -q '^ *--- PASS' "$log" || die "no test ran"
	sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$root/scripts/skips.allow" | sort -u >"$scratch/skips.allowed"
	sed -nE 's/^ *--- SKIP: ([^ ]+) .*/\1/p' "$log" | sort -u >"$scratch/skips"
	skipped=$(grep -vxFf "$scratch/skips.allowed" "$scratch/skips" || true)
	[[ -z $skipped ]] || die "skipped, and scripts/skips.allow does not say why they may: $skipped"
	say "$(grep -c '^ *--- PASS' "$log") passed, $(wc -l <"$scratch/skips") skipped as allowed"
}
