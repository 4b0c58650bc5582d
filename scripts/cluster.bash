# Three nodes of Apache Kafka on this machine. Source it after lib.bash and kafka.bash.
#
# Each node is broker and controller (KRaft), with replicas on all three, in a folder of
# its own in $scratch.

cluster_pids=()
cluster_addrs=() # by node id; those of controllers are 10 further
cluster_jars=()  # by node id, of those that run another version than $jars
cluster_format=(--feature share.version=1)

# fetch_cluster fetches the broker; $jars is where it lies.
fetch_cluster() {
	need java default-jre-headless
	need mvn maven
	fetch_maven "$root/scripts/kafka/pom.xml" "${KRING_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-kafka}"
}

# run_version VERSION has nodes run this version of Apache Kafka, and not that of $jars.
run_version() {
	local newest=$jars
	sed "s:<kafka.version>.*</kafka.version>:<kafka.version>$1</kafka.version>:" "$root/scripts/kafka/pom.xml" >"$scratch/pom-$1.xml"
	fetch_maven "$scratch/pom-$1.xml" "${KRING_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-kafka}"
	cluster_jars=([1]=$jars [2]=$jars [3]=$jars)
	jars=$newest
}

# share_version is the first whose share groups franz-go can use (ShareFetch 2).
share_version=4.2.0

# start_cluster starts three nodes, with ids 1 to 3, and waits until they listen.
# $cluster_upstream has their addresses with commas between.
start_cluster() {
	local node voters port used=' '
	for node in 1 2 3 11 12 13; do
		port=$(free_port)
		while [[ $used == *" $port "* ]]; do port=$(free_port); done
		used+="$port "
		cluster_addrs[node]=127.0.0.1:$port
	done
	voters=1@${cluster_addrs[11]},2@${cluster_addrs[12]},3@${cluster_addrs[13]}
	for node in 1 2 3; do
		{
			grep -vE '^(node.id|.*replication.factor|.*min.isr)=' "$root/scripts/kafka/server.properties"
			echo "node.id=$node"
			echo "listeners=PLAINTEXT://${cluster_addrs[node]},CONTROLLER://${cluster_addrs[node + 10]}"
			echo "advertised.listeners=PLAINTEXT://${cluster_addrs[node]}"
			echo "controller.quorum.voters=$voters"
			echo "log.dirs=$scratch/node-$node"
			echo default.replication.factor=3
			echo min.insync.replicas=2
			for topic in offsets transaction.state.log share.coordinator.state; do
				echo "$topic.topic.replication.factor=3" | sed 's/log.topic/log/'
			done
			echo transaction.state.log.min.isr=2
			echo share.coordinator.state.topic.min.isr=2
		} >"$scratch/node-$node.properties"
		java -XX:+UseSerialGC -Xshare:auto -Xmx256m -cp "${cluster_jars[$node]:-$jars}/*" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw \
			-c "$scratch/node-$node.properties" "${cluster_format[@]}" >"$scratch/node-$node.log" 2>&1 ||
			die "the storage of node $node could not be made: $(tail -n 20 "$scratch/node-$node.log")"
		start_node "$node"
	done
	for node in 1 2 3; do
		await_node "$node"
	done
	cluster_upstream=${cluster_addrs[1]},${cluster_addrs[2]},${cluster_addrs[3]}
}

# start_node NODE starts a node whose storage is there.
start_node() {
	java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xmx512m -cp "${cluster_jars[$1]:-$jars}/*" kafka.Kafka "$scratch/node-$1.properties" \
		>>"$scratch/node-$1.log" 2>&1 </dev/null &
	cluster_pids[$1]=$!
}

# move_node NODE gives a node that is stopped another port for its clients.
move_node() {
	local was=${cluster_addrs[$1]} port
	port=$(free_port)
	cluster_addrs[$1]=127.0.0.1:$port
	sed -i "/listeners=/s/$was/${cluster_addrs[$1]}/" "$scratch/node-$1.properties"
	cluster_upstream=${cluster_addrs[1]},${cluster_addrs[2]},${cluster_addrs[3]}
}

# await_node NODE waits until a node listens.
await_node() {
	local port=${cluster_addrs[$1]##*:} tries
	for ((tries = 0; tries < 1800; tries++)); do
		kill -0 "${cluster_pids[$1]}" 2>/dev/null || die "node $1 ended: $(tail -n 30 "$scratch/node-$1.log")"
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
		sleep 0.1
	done
	die "node $1 was not ready within 3 minutes: $(tail -n 30 "$scratch/node-$1.log")"
}

# stop_node NODE [SIGNAL] ends a node: with TERM in order, with KILL at once.
stop_node() {
	local pid=${cluster_pids[$1]:-}
	[[ -n $pid ]] || return 0
	kill "-${2:-KILL}" "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	cluster_pids[$1]=
}

stop_cluster() {
	local node
	for node in 1 2 3; do
		stop_node "$node"
	done
}
