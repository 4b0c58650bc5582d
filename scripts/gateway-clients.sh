#!/usr/bin/env bash
# Runs clients through kring gateway in front of three nodes of Apache Kafka: Java's of ten
# versions with classic, KIP-848 and share groups and transactions, Kafka Streams with
# exactly-once and Connect in distributed mode (scripts/versions.sh), and franz-go's own suite
# (scripts/conformance.sh), which also runs without the gateway, against Apache Kafka 4.2: its
# share groups need that.
#
# usage: scripts/gateway-clients.sh [ENGINE...]
#
#   KRING_GATEWAY_MODES    multiplexed, dedicated, or both (the default)
#   KRING_GATEWAY_CLIENTS  clients of scripts/versions.sh (default: java,streams,connect; "" for none)
#   KRING_GATEWAY_SUITE    0: without franz-go's suite; gateway: not without the gateway
#   KRING_KAFKA_CACHE      where the broker is kept once fetched from Maven Central
#                          (default: kring-kafka in the user's cache folder)
#
# docs/gateway-findings.md says what differs through the gateway, and why.

source "$(dirname "$0")/lib.bash"
source "$root/scripts/kafka.bash"
source "$root/scripts/cluster.bash"
end_others() { stop_cluster; }
(($# > 0)) || set -- auto
build_kring
export KRING_BIN=$kring KRING_VERSIONS_NODES=3 KGO_TEST_RF=3 KRING_CONFORMANCE_ALLOW=$root/scripts/gateway-suite.allow
clients=${KRING_GATEWAY_CLIENTS-java,streams,connect} suite=${KRING_GATEWAY_SUITE:-1}

# fresh_cluster starts nodes without topics: the clients' have the same names each time.
fresh_cluster() {
	stop_cluster
	rm -rf "$scratch"/node-*
	start_cluster
	base=$(free_port)
	export KRING_COMMAND="gateway --upstream $cluster_upstream --upstream-mode ${mode:-} --node-ports $base-$((base + 3))"
}

fetch_cluster
run_version "$share_version"
share_jars=${cluster_jars[1]}
if [[ $suite == 1 ]]; then
	fresh_cluster
	KGO_SEEDS=$cluster_upstream "$root/scripts/conformance.sh"
fi
for mode in ${KRING_GATEWAY_MODES:-multiplexed dedicated}; do
	for engine; do
		if [[ -n $clients ]]; then
			cluster_jars=()
			fresh_cluster
			JOBS=${JOBS:-2} "$root/scripts/versions.sh" -o "$clients" "$engine"
			say "$mode on $engine: $clients"
		fi
		if [[ $suite != 0 ]]; then
			cluster_jars=([1]=$share_jars [2]=$share_jars [3]=$share_jars)
			fresh_cluster
			"$root/scripts/conformance.sh" "$engine"
			say "$mode on $engine: franz-go's suite"
		fi
	done
done
