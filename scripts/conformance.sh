#!/usr/bin/env bash
# Runs franz-go's own client tests against kring: the whole suite of its kgo package,
# with group, transaction and share-group tests against a live cluster.
#
# usage: scripts/conformance.sh [ENGINE...]
#
#   KGO_TEST_RECORDS  records per exactly-once pipeline (default 5000; the
#                     suite's own default is 500000)
#   KGO_RUN           a pattern of tests to run (default: all)
#   KGO_TEST_RF       replicas of topics (default 1)
#   KGO_SEEDS         another cluster, which is tested instead of a kring
#   KRING_CONFORMANCE_ALLOW  another list than scripts/conformance.allow
#
# scripts/conformance.allow names the tests that may fail or skip, and why.
# Anything else that fails or skips fails this script, and so does a test on
# the list that passes: then the list is out of date.
# docs/conformance-franz-go.md has the findings.

source "$(dirname "$0")/lib.bash"
if [[ -n ${KGO_SEEDS:-} ]]; then
	engines=(direct)
else
	engines "$@"
	build_kring
fi
allow=${KRING_CONFORMANCE_ALLOW:-$root/scripts/conformance.allow}

# The suite is part of a module that the main module uses, so its source is in the
# module cache. It runs from a copy, which Go may write to.
module=$(cd "$root" && go mod download -json github.com/twmb/franz-go | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
[[ -d $module/pkg/kgo ]] || die "franz-go's source is not in the module cache: $module"
cp -r "$module" "$scratch/franz-go"
chmod -R u+w "$scratch/franz-go"
# TestShareGroupETL shortens the lock of a share group. kfake would store that and
# not obey it, so kring refuses it; the test runs with the preset of 30 s.
sed -i '/"share.record.lock.duration.ms", "15000",/d' "$scratch/franz-go/pkg/kgo/share_test.go"
(cd "$scratch/franz-go" && GOFLAGS=-mod=mod go test -c -o "$scratch/kgo.test" ./pkg/kgo)

sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$allow" | sort >"$scratch/allowed"

for engine in "${engines[@]}"; do
	[[ -n ${KGO_SEEDS:-} ]] || start_kring "$engine"
	results=$scratch/results.$engine
	status=0
	(cd "$scratch/franz-go/pkg/kgo" &&
		KGO_SEEDS=${KGO_SEEDS:-$kring_addr} KGO_TEST_RF=${KGO_TEST_RF:-1} KGO_TEST_RECORDS=${KGO_TEST_RECORDS:-5000} \
			KGO_TEST_MAX_TOPIC_PARTS=7 KGO_LOG_LEVEL=none \
			"$scratch/kgo.test" -test.v -test.timeout 10m -test.run "${KGO_RUN:-.}" >"$results" 2>&1) || status=$?

	# A suite that crashed did not print what failed.
	grep -Eq '^(PASS|FAIL)$' "$results" || die "$engine: the suite did not finish (status $status): $(tail -n 40 "$results")"

	passed=$(grep -c '^--- PASS' "$results" || true)
	grep -Eq '^--- (PASS|FAIL)' "$results" || die "$engine: no test ran"
	sed -nE 's/^--- (FAIL|SKIP): ([^ ]+).*/\2/p' "$results" | sort >"$scratch/not-passed"
	if ! unexpected=$(comm -23 "$scratch/not-passed" "$scratch/allowed") || [[ -n $unexpected ]]; then
		for test in $unexpected; do
			awk -v test="$test" '/^=== / { mine = $3 == test; next } /^ *--- / { mine = $3 == test } mine' "$results" | head -n 60 >&2 || true
			grep -- "^--- [A-Z]*: $test " "$results" >&2 || true
		done
		die "$engine: failed or skipped, and not in $allow: $unexpected"
	fi
	if [[ -z ${KGO_RUN:-} ]]; then
		outdated=$(comm -13 "$scratch/not-passed" "$scratch/allowed")
		[[ -z $outdated ]] || die "$engine: passes now, take it off $allow: $outdated"
	fi
	[[ -n ${KGO_SEEDS:-} ]] || stop_kring
	say "$engine: $passed of franz-go's tests passed, $(wc -l <"$scratch/not-passed") not, as expected"
done
