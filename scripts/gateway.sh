#!/usr/bin/env bash
# Runs Apache Kafka's own Java tools through kring gateway in front of three nodes of
# Apache Kafka, as scripts/java.sh runs them against kring serve.
#
# usage: scripts/gateway.sh [ENGINE...]
#
#   KRING_GATEWAY_MODES  multiplexed, dedicated, or both (the default)
#   KRING_KAFKA_CACHE    where the broker is kept once fetched from Maven Central
#                        (default: kring-kafka in the user's cache folder)

source "$(dirname "$0")/lib.bash"
source "$root/scripts/kafka.bash"
source "$root/scripts/cluster.bash"
end_others() { stop_cluster; }
engines "$@"
build_kring

fetch_cluster
for mode in ${KRING_GATEWAY_MODES:-multiplexed dedicated}; do
	for engine in "${engines[@]}"; do
		start_cluster
		base=$(free_port)
		KRING_BIN=$kring KRING_JAVA_PARTS="topics verifiable groups performance transactions shares" \
			KRING_COMMAND="gateway --upstream $cluster_upstream --upstream-mode $mode --node-ports $base-$((base + 3))" \
			"$root/scripts/java.sh" "$engine"
		say "$mode on $engine: all tools"
		stop_cluster
		rm -rf "$scratch"/node-*
	done
done
