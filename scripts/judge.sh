#!/usr/bin/env bash
# Apache Kafka as the judge: the same frames, good, old, unknown, oversized,
# truncated, pipelined and hostile, those that real clients sent, and talks of
# several requests, to Apache Kafka and to kring on each engine; what a client can
# see must be the same, or be listed with its reason in
# internal/clients/judge/differences.txt.
#
# usage: scripts/judge.sh [-w] [ENGINE...]     (-w: write the list anew, keeping reasons)
#
# Apache Kafka comes from Maven Central by scripts/kafka/pom.xml; see
# scripts/kafka.bash.

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/kafka.bash"
write=
if [[ ${1:-} == -w ]]; then
	write=1
	shift
fi
engines "$@"
need java default-jre-headless
need mvn maven
build_kring
judge=$scratch/judge
(cd "$root/internal/clients" && go build -o "$judge" ./judge)

# Several servers run at once here: each is kept by its process id.
pids=()
end_others() {
	local pid
	for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	stop_kafka
}

fetch_maven "$root/scripts/kafka/pom.xml" "${KRING_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-kafka}"
start_kafka
servers=("kafka=$kafka_addr=$kafka_pid")
for engine in "${engines[@]}"; do
	start_kring "$engine"
	servers+=("$engine=$kring_addr=$kring_pid")
	pids+=("$kring_pid")
	kring_pid=
done

list=$root/internal/clients/judge/differences.txt
if [[ -n $write ]]; then
	"$judge" compare -differences "$list" -write "$list" "${servers[@]}"
else
	"$judge" compare -differences "$list" "${servers[@]}"
fi
