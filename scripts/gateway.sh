#!/usr/bin/env bash
# Runs Apache Kafka's own Java tools through kring gateway in front of three nodes of
# Apache Kafka, as scripts/java.sh runs them against kring serve. Then brokers are killed
# and started again, one after the other, under a producer: what was acknowledged must be
# there, once.
#
# usage: scripts/gateway.sh [-k N] [-s SEED] [ENGINE...]
#
#   -k N     then N more times: a broker, taken at random, is killed (SIGKILL) or ended
#            (SIGTERM) and started again, one of them on another port, and every third time
#            one of two gateways that share a name is killed or ended as well, in turn.
#            Idempotent and transactional producers, groups (classic and KIP-848) and a share
#            group work through both gateways meanwhile; what was acknowledged must be there
#            exactly once and in order, no offset of a group go back, and what the share group
#            accepted not come again (internal/clients/exact). What producers without
#            acknowledgements lost is counted
#   -s SEED  the chance of -k (default: another one each time, which is printed)
#
#   KRING_GATEWAY_MODES  multiplexed, dedicated, or both (the default)
#   KRING_GATEWAY_TOOLS  0: only kill brokers; and with KRING_GATEWAY_FAILOVER=0 only what
#                        -k asks for
#   KRING_KAFKA_CACHE    where the broker is kept once fetched from Maven Central
#                        (default: kring-kafka in the user's cache folder)

source "$(dirname "$0")/lib.bash"
source "$root/scripts/kafka.bash"
source "$root/scripts/cluster.bash"
source "$root/scripts/exact.bash"
end_others() {
	stop_exact
	stop_instances
	stop_cluster
}
kills=0 seed=$RANDOM
while getopts k:s: option; do
	case $option in
	k) kills=$OPTARG ;;
	s) seed=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
[[ $kills =~ ^[0-9]{1,4}$ && $seed =~ ^[0-9]{1,5}$ ]] || die "-k $kills -s $seed: whole numbers are wanted"
engines "$@"
build_kring
((kills == 0)) || build_exact

# tool CLASS ARGS... runs one of Kafka's tools.
tool() {
	timeout 300 java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx256m -cp "$jars/*" "org.apache.kafka.tools.$1" "${@:2}" 2>>"$scratch/tool.err"
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
		--group-id failover --reset-policy earliest --verbose >"$scratch/consumed" ||
		die "$mode on $engine: not all of $stored records could be read: $(tail -n 20 "$scratch/tool.err")"
	values record_data "$scratch/consumed" >"$scratch/read"
	[[ -z $(uniq -d "$scratch/read") ]] || die "$mode on $engine: read more than once: $(uniq -d "$scratch/read" | head)"
	[[ -z $(comm -23 <(sort "$scratch/acked") <(sort "$scratch/read")) ]] ||
		die "$mode on $engine: acknowledged and not there: $(comm -23 <(sort "$scratch/acked") <(sort "$scratch/read") | head)"
	say "$mode on $engine: three brokers killed, $(wc -l <"$scratch/acked") records acknowledged, $stored stored, each of those is there once"
	stop_kring
}

# tools_and_failover is what the program does without -k.
tools_and_failover() {
	[[ ${KRING_GATEWAY_TOOLS:-1}${KRING_GATEWAY_FAILOVER:-1} != 00 ]] || return 0
	start_cluster
	base=$(free_port)
	export KRING_COMMAND="gateway --upstream $cluster_upstream --upstream-mode $mode --node-ports $base-$((base + 3))"
	if [[ ${KRING_GATEWAY_TOOLS:-1} == 1 ]]; then
		KRING_BIN=$kring KRING_JAVA_PARTS="topics verifiable groups performance transactions shares" "$root/scripts/java.sh" "$engine"
		say "$mode on $engine: all tools"
	fi
	[[ ${KRING_GATEWAY_FAILOVER:-1} == 0 ]] || failover
	stop_cluster
	rm -rf "$scratch"/node-*
}

# bad_days kills brokers and restarts gateways at random, under load through both gateways.
bad_days() {
	local i node signal restarts=0 ends=(KILL TERM)
	RANDOM=$seed
	run_version "$share_version"
	start_cluster
	start_instances "$mode" "$engine"
	start_exact -next 2 -share 2
	for ((i = 1; i <= kills; i++)); do
		node=$((1 + RANDOM % 3))
		signal=KILL
		((RANDOM % 2 == 0)) || signal=TERM
		stop_node "$node" "$signal"
		sleep $((RANDOM % 3))
		((i != (kills + 1) / 2)) || move_node "$node"
		start_node "$node"
		if ((i % 3 == 0)); then
			restart_instance $((restarts / 2 % 2)) "${ends[restarts % 2]}"
			restarts=$((restarts + 1))
		fi
		await_node "$node"
		await_exact 3
	done
	end_exact
	stop_instances
	stop_cluster
	rm -rf "$scratch"/node-*
	cluster_jars=()
	say "$mode on $engine: $kills brokers ended and started again, one on another port, and gateways $restarts times (-s $seed): $exact_result"
}

fetch_cluster
for mode in ${KRING_GATEWAY_MODES:-multiplexed dedicated}; do
	for engine in "${engines[@]}"; do
		tools_and_failover
		((kills == 0)) || bad_days
	done
done
