#!/usr/bin/env bash
# Upgrades three nodes of Apache Kafka from 3.9 to 4.1, one after the other and then their
# features, while idempotent and transactional producers and a group work through two kring
# gateways with one name. What was acknowledged must be there exactly once and in order, and no
# offset of the group go back (internal/clients/exact). Then new producers have to use
# transactions of version 2, by which each end of a transaction raises their epoch (KIP-890), and
# the others too when the gateways were restarted: clients learn of features when they connect.
#
# usage: scripts/gateway-upgrade.sh [ENGINE...]
#
#   KRING_GATEWAY_MODES  multiplexed, dedicated, or both (the default)
#   KRING_KAFKA_CACHE    where the brokers are kept once fetched from Maven Central
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
old_version=3.9.1
(($# > 0)) || set -- auto
build_kring
build_exact

# features WORDS... runs Kafka's own tool against a broker.
features() {
	timeout 120 java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx128m -cp "$jars/*" org.apache.kafka.tools.FeatureCommand \
		--bootstrap-server "${cluster_addrs[1]}" "$@" 2>"$scratch/tool.err" || die "features $*: $(tail -n 10 "$scratch/tool.err")"
}

# finalized prints the level of a feature that the cluster agreed on.
finalized() { features describe | sed -n "s/^Feature: $1\t.*FinalizedVersionLevel: \([^\t]*\).*/\1/p"; }

# counted NAME prints what the clients last said of a count.
counted() { grep records= "$scratch/exact.out" | tail -n 1 | sed "s/.* $1=\([0-9]*\).*/\1/"; }

# await_new waits until a producer that connects now uses transactions of version 2.
await_new() {
	local tries result
	for ((tries = 0; tries < 18; tries++)); do
		result=$(timeout -s TERM 5 "$exact" "${exact_to[@]}" -topics "new-$tries" -transactional 1 -producers 1 -members 1 -silent 0 2>&1 | tail -n 1) || true
		[[ $result =~ transactions=([0-9]+)\ raised=([0-9]+) ]] && ((BASH_REMATCH[1] > 0 && BASH_REMATCH[1] == BASH_REMATCH[2])) && return
	done
	die "90 s after the upgrade transactions of a new producer raise no epoch: $result"
}

# await_raised waits until every end of a transaction raises the epoch of its producer: for as
# many as there are in two seconds, of all producers.
await_raised() {
	local tries transactions raised
	for ((tries = 0; tries < 90; tries++)); do
		transactions=$(counted transactions) raised=$(counted raised)
		sleep 2
		(($(counted transactions) < transactions + 10 || $(counted transactions) - transactions != $(counted raised) - raised)) || return 0
	done
	die "three minutes later ends of transactions raise no epoch: $(tail -n 3 "$scratch/exact.out")"
}

upgrade() {
	local node since
	cluster_format=()
	cluster_jars=([1]=$old_jars [2]=$old_jars [3]=$old_jars)
	start_cluster
	start_instances "$mode" "$engine"
	start_exact
	await_exact 3
	say "$mode on $engine: metadata.version $(finalized metadata.version)"
	for node in 1 2 3; do
		stop_node "$node" TERM
		unset "cluster_jars[$node]"
		start_node "$node"
		await_node "$node"
		await_exact 3
		say "$mode on $engine: node $node upgraded"
	done
	features upgrade --release-version "$new_version" >"$scratch/features"
	await_exact 3
	say "$mode on $engine: metadata.version $(finalized metadata.version), transaction.version $(finalized transaction.version)"
	since=$SECONDS
	await_new
	say "$mode on $engine: a new producer's transactions are of version 2 after $((SECONDS - since)) s, and $(counted raised) of the $(counted transactions) of those that are connected"
	restart_instance 0 TERM
	restart_instance 1 TERM
	await_raised
	say "$mode on $engine: all transactions are of version 2 when the gateways were restarted: $(counted transactions) so far, of which $(counted raised) raised an epoch"
	await_exact 3
	end_exact
	stop_instances
	stop_cluster
	say "$mode on $engine: upgraded from $old_version under load: $exact_result"
	rm -rf "$scratch"/node-*
}

fetch_cluster
run_version "$old_version"
old_jars=${cluster_jars[1]}
new_version=4.1
for mode in ${KRING_GATEWAY_MODES:-multiplexed dedicated}; do
	for engine; do upgrade; done
done
