#!/usr/bin/env bash
# Runs clients that push their own metrics (KIP-714) against kring: without client
# telemetry, with it and nothing subscribed, and with the default subscription. Without it no
# client may say anything; with it librdkafka says at level info which id it got, and
# nothing else may be said. With the default subscription every client must have pushed, and
# what it pushed must be in /connections and /metrics.
#
# usage: scripts/telemetry.sh [-a] [ENGINE]
#
#   -a  all clients; without it the newest Java client and two versions of librdkafka
#
# The clients come from Maven Central and PyPI, by exact version, and are kept in
# KRING_VERSIONS_CACHE, as those of scripts/versions.sh.

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/versions/lists.bash"
source "$(dirname "$0")/versions/clients.bash"

java=(4.1.2)
librdkafka=(2.5.0 2.16.1)
while getopts a option; do
	case $option in
	a)
		java=(3.7.2 3.9.2 4.1.2)
		librdkafka=(2.5.0 2.5.3 2.6.1 2.8.2 2.10.1 2.16.1)
		;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
engine=${1:-io_uring}
cache=${KRING_VERSIONS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-versions}
mkdir -p "$cache" "$scratch/classes"
need curl curl
need_python
build_kring
fetch_java
javac -nowarn -cp "$java_jars/4.1.2/jars/*" -d "$scratch/classes" "$root/scripts/telemetry/Telemetry.java"
for version in "${librdkafka[@]}"; do fetch_wheels "librdkafka-$version" "confluent-kafka==$version"; done

# What clients may say: librdkafka has a line of level info for the id that it gets.
declare -A expected=([off]='' [empty]='/GETSUBSCRIPTIONS.*client instance id changed/d' [on]='/GETSUBSCRIPTIONS.*client instance id changed/d')

pids=()
end_others() { for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done; }

# get PATH asks the side door.
get() { curl -sS --max-time 10 --unix-socket "$scratch/http" "http://kring$1"; }

# figure NAME prints the sum of a metric's series.
figure() { get /metrics | awk -v name="$1" '$1 ~ "^" name "[{]" || $1 == name {sum += $2} END {printf "%d\n", sum}'; }

# until_figure NAME LEAST waits until a metric is as large.
until_figure() {
	local tries
	for ((tries = 0; tries < 1200; tries++)); do
		(($(figure "$1") >= $2)) && return
		sleep 0.1
	done
	die "$mode: $1 is $(figure "$1") after two minutes, and not $2"
}

start_clients() {
	pids=()
	rm -f "$scratch/stop"
	for version in "${java[@]}"; do
		java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
			-cp "$scratch/classes:$java_jars/$version/jars/*" Telemetry "$kring_addr" "java-$version" "$scratch/stop" \
			>"$scratch/$mode-java-$version.out" 2>"$scratch/$mode-java-$version.err" &
		pids+=($!)
	done
	for version in "${librdkafka[@]}"; do
		cached "librdkafka-$version" "confluent-kafka==$version"
		PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$kept python3 "$root/scripts/telemetry/rdkafka.py" "$kring_addr" "librdkafka-$version" "$scratch/stop" \
			>"$scratch/$mode-librdkafka-$version.out" 2>"$scratch/$mode-librdkafka-$version.err" &
		pids+=($!)
	done
}

# stop_clients has them end; each must have ended as it should, and have said nothing.
stop_clients() {
	local pid out said loud=0
	touch "$scratch/stop"
	for pid in "${pids[@]}"; do wait "$pid" || say "$mode: a client ended with status $?"; done
	pids=()
	for out in "$scratch/$mode"-*.out; do
		said=$(sed "${expected[$mode]}; s/^/    /" "${out%.out}.err")
		if ! grep -q '^done' "$out" || [[ -n $said ]]; then
			say "$mode: $(basename "${out%.out}") was not quiet:"$'\n'"$said" >&2
			loud=1
		fi
	done
	((loud == 0)) || die "$mode: not every client was quiet"
	say "$mode: $((${#java[@]} + ${#librdkafka[@]})) clients were quiet on $engine"
}

# serve MODE [FLAGS...] starts a server, and clients that use it.
serve() {
	mode=$1
	shift
	start_kring "$engine" --http "unix:$scratch/http" --seed-topic telemetry:1 "$@"
	start_clients
}

instances=$((2 * (${#java[@]} + ${#librdkafka[@]})))
serve off
until_figure kafka_network_requestmetrics_requests_total 2000
stop_clients
stop_kring
serve empty --client-telemetry --client-telemetry-subscription 'metrics= interval.ms=1000'
until_figure kring_telemetry_subscriptions_total $((3 * instances))
stop_clients
stop_kring
serve on --client-telemetry --client-telemetry-subscription 'interval.ms=1000'
until_figure kring_telemetry_pushes_total $((4 * instances))
until_figure kring_telemetry_instances "$instances"
get '/connections?limit=1000' >"$scratch/connections.json"
get /metrics >"$scratch/metrics"
stop_clients
python3 - "$scratch/connections.json" "${java[@]/#/java-}" "${librdkafka[@]/#/librdkafka-}" <<'PYTHON' || die "on: what clients pushed is not shown"
import json, sys

shown = {}
for c in json.load(open(sys.argv[1]))["connections"]:
    if "telemetry" in c:
        shown.setdefault(c["client_id"], {}).update(c["telemetry"]["values"])
missing = []
for name in sys.argv[2:]:
    for kind in "producer", "consumer":
        values = shown.get(f"{name}-{kind}", {})
        print(f"telemetry: {name}-{kind}: {len(values)} metrics")
        if not any(m.startswith(f"org.apache.kafka.{kind}.connection.creation.") for m in values):
            missing.append(f"{name}-{kind}: {sorted(values)}")
sys.exit("\n".join(missing) if missing else 0)
PYTHON
(($(grep -c '^kring_client_metric_clients{' "$scratch/metrics") >= 4)) || die "on: /metrics has no client metrics"
! grep -q 'client_instance_id=' "$scratch/metrics" || die "on: /metrics has labels of instances"
(($(awk '/^kring_telemetry_rejected_total/ {sum += $2} END {print sum + 0}' "$scratch/metrics") == 0)) ||
	die "on: requests were rejected: $(grep rejected_total "$scratch/metrics")"
stop_kring
