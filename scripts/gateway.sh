#!/usr/bin/env bash
# Runs Apache Kafka's own Java tools through kring gateway in front of three nodes of
# Apache Kafka, as scripts/java.sh runs them against kring serve. Then brokers are killed
# and started again, one after the other, under a producer: what was acknowledged must be
# there, once.
#
# usage: scripts/gateway.sh [ENGINE...]
#
#   KRING_GATEWAY_MODES  multiplexed, dedicated, or both (the default)
#   KRING_GATEWAY_TOOLS  0: only kill brokers
#   KRING_KAFKA_CACHE    where the broker is kept once fetched from Maven Central
#                        (default: kring-kafka in the user's cache folder)

source "$(dirname "$0")/lib.bash"
source "$root/scripts/kafka.bash"
source "$root/scripts/cluster.bash"
end_others() { stop_cluster; }
engines "$@"
build_kring

# tool CLASS ARGS... runs one of Kafka's tools.
tool() {
	java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx256m -cp "$jars/*" "org.apache.kafka.tools.$1" "${@:2}" 2>>"$scratch/tool.err"
}

# values prints the numbers of the messages that a verifiable tool says it has $1.
values() { grep -o "\"name\":\"$1\".*" "$2" | grep -o '"value":"[0-9]*"' | grep -o '[0-9]*' | sort -n; }

failover() {
	local producer node stored
	start_kring "$engine"
	tool TopicCommand --bootstrap-server "$kring_addr" --create --topic failover --partitions 3 --replication-factor 3 >/dev/null
	tool VerifiableProducer --bootstrap-server "$kring_addr" --topic failover --max-messages 15000 --throughput 500 --acks -1 >"$scratch/produced" &
	producer=$!
	for node in 1 2 3; do
		sleep 3
		stop_node "$node" KILL
		sleep 1
		start_node "$node"
		await_node "$node"
	done
	wait "$producer" || true # it counts what was not acknowledged as well
	values producer_send_success "$scratch/produced" >"$scratch/acked"
	# All that is there: also what was stored and, as its broker ended, not acknowledged.
	stored=$(tool GetOffsetShell --bootstrap-server "$kring_addr" --topic failover | awk -F : '{ n += $3 } END { print n }')
	tool VerifiableConsumer --bootstrap-server "$kring_addr" --topic failover --max-messages "$stored" \
		--group-id failover --reset-policy earliest --verbose >"$scratch/consumed"
	values record_data "$scratch/consumed" >"$scratch/read"
	[[ -z $(uniq -d "$scratch/read") ]] || die "$mode on $engine: read more than once: $(uniq -d "$scratch/read" | head)"
	[[ -z $(comm -23 <(sort "$scratch/acked") <(sort "$scratch/read")) ]] ||
		die "$mode on $engine: acknowledged and not there: $(comm -23 <(sort "$scratch/acked") <(sort "$scratch/read") | head)"
	say "$mode on $engine: three brokers killed, $(wc -l <"$scratch/acked") records acknowledged, $stored stored, each of those is there once"
	stop_kring
}

fetch_cluster
for mode in ${KRING_GATEWAY_MODES:-multiplexed dedicated}; do
	for engine in "${engines[@]}"; do
		start_cluster
		base=$(free_port)
		export KRING_COMMAND="gateway --upstream $cluster_upstream --upstream-mode $mode --node-ports $base-$((base + 3))"
		if [[ ${KRING_GATEWAY_TOOLS:-1} == 1 ]]; then
			KRING_BIN=$kring KRING_JAVA_PARTS="topics verifiable groups performance transactions shares" "$root/scripts/java.sh" "$engine"
			say "$mode on $engine: all tools"
		fi
		failover
		stop_cluster
		rm -rf "$scratch"/node-*
	done
done
