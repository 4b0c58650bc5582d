#!/usr/bin/env bash
# Sends mutated requests of every API to kring on each engine, beside an honest client.
# Each must be answered or close its connection, take less than 10 ms of the server's
# CPU time, and leave memory as it was. It also measures what a hostile connection costs
# from connect to close, with -k also on Apache Kafka.
#
# usage: scripts/mutate.sh [-k] [-n REQUESTS_PER_API] [-s SEED] [ENGINE...]     (-n 200 -s 1)
#
# Other seeds are other requests: five runs of 2000 are as good as one of 10000.

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/kafka.bash"
requests=200 seed=1 kafka=
while getopts kn:s: option; do
	case $option in
	k) kafka=1 ;;
	n) requests=$OPTARG ;;
	s) seed=$OPTARG ;;
	*) die "$(usage)" ;;
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
	end_others() { stop_kafka; }
	fetch_maven "$root/scripts/kafka/pom.xml" "${KRING_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-kafka}"
	start_kafka
	"$judge" cost -n "$rounds" "kafka=$kafka_addr=$kafka_pid"
	stop_kafka
fi
for engine in "${engines[@]}"; do
	start_kring "$engine"
	"$judge" cost -n "$rounds" -most 1ms "$engine=$kring_addr=$kring_pid"
	"$judge" mutate -n "$requests" -seed "$seed" "$engine=$kring_addr=$kring_pid"
	stop_kring
done
