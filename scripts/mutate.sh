#!/usr/bin/env bash
# Mutated requests of every API against kring on each engine, beside an honest
# client: each is answered or costs its connection, none takes 10 ms of the
# server's processor time, memory stays flat. And what a hostile connection
# costs from connect to close, with -k beside Apache Kafka.
#
# usage: scripts/mutate.sh [-k] [-n REQUESTS_PER_API] [ENGINE...]     (-n 200)

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/kafka.bash"
requests=200 kafka=
while getopts kn: option; do
	case $option in
	k) kafka=1 ;;
	n) requests=$OPTARG ;;
	*) die "usage: scripts/mutate.sh [-k] [-n REQUESTS_PER_API] [ENGINE...]" ;;
	esac
done
shift $((OPTIND - 1))
rounds=$((requests < 200 ? 50 : 200)) # connections of each hostile kind
engines "$@"
build_kring
judge=$scratch/judge
(cd "$root/internal/clients" && go build -o "$judge" ./judge)

if [[ -n $kafka ]]; then
	need java default-jre-headless
	need mvn maven
	trap 'stop_kafka; on_exit' EXIT
	fetch_maven "$root/scripts/kafka/pom.xml" "${KRING_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-kafka}"
	start_kafka
	"$judge" cost -n "$rounds" "kafka=$kafka_addr=$kafka_pid"
	stop_kafka
fi
for engine in "${engines[@]}"; do
	start_kring "$engine"
	"$judge" cost -n "$rounds" -most 1ms "$engine=$kring_addr=$kring_pid"
	"$judge" mutate -n "$requests" "$engine=$kring_addr=$kring_pid"
	stop_kring
done
