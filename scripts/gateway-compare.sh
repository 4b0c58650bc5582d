#!/usr/bin/env bash
# Compares gateways in front of one node of Apache Kafka: kring gateway, multiplexed and
# dedicated, grepplabs/kafka-proxy and Kroxylicious, with the broker itself beside them.
# docs/gateway.md has the table that the raw results become.
#
# usage: scripts/gateway-compare.sh [-r ROUNDS] [-w WINDOW] [-o FILE] [-- BENCH FLAGS...]
#
#   -r ROUNDS  rounds behind the one that warms up (default 2: three minutes)
#   -w WINDOW  measured time of each run (default 1500ms)
#   -o FILE    the raw results (default: bench/results/gateways-TIME.jsonl)
#
#   KRING_BENCH          a built ./bench (default: it is built)
#   KRING_KAFKA_PROXY    the program kafka-proxy (default: as in PATH)
#   KRING_KROXYLICIOUS   the folder of Kroxylicious' distribution, started by its own
#                        bin/kroxylicious-start.sh; KRING_KROXYLICIOUS_JAVA is the JAVA_HOME
#                        of a Java that is new enough for it (default: JAVA_HOME)
#   KRING_KAFKA_CACHE    where the broker is kept once fetched from Maven Central
#                        (default: kring-kafka in the user's cache folder)
#   KRING_PEER_VERSIONS  what to call the peers, such as "kafka-proxy=0.4.3 Kroxylicious=0.23.0"
#
# A peer that is not there is left out, with a message. Everything runs on the processors
# of this machine, the generator too: the figures compare, and are no sizes.

source "$(dirname "$0")/lib.bash"
source "$root/scripts/kafka.bash"
rounds=2 window=1500ms out=$root/bench/results/gateways-$(date -u +%Y%m%dT%H%M%SZ).jsonl
while getopts r:w:o: option; do
	case $option in
	r) rounds=$OPTARG ;;
	w) window=$OPTARG ;;
	o) out=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))

gateways=()
end_others() {
	local pid
	for pid in "${gateways[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	stop_kafka
	[[ -z ${data:-} ]] || rm -rf "$data"
}

# await_port NAME PID PORT waits until a process listens.
await_port() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		kill -0 "$2" 2>/dev/null || die "$1 ended: $(tail -n 20 "$scratch/$1.log")"
		(exec 3<>"/dev/tcp/127.0.0.1/$3") 2>/dev/null && return
		sleep 0.1
	done
	die "$1 does not listen on port $3 within a minute: $(tail -n 20 "$scratch/$1.log")"
}

# add NAME PID PORT makes a process that was started a contestant.
add() {
	gateways+=("$2")
	await_port "$@"
	contestants+=("$1=127.0.0.1:$3/$2")
}

# The broker's node id is 1, so its clients connect to the second port of a range.
kring_gateway() {
	local base
	base=$(free_port)
	"$kring" gateway --upstream "$kafka_addr" --upstream-mode "$1" --listen 127.0.0.1:0 \
		--node-ports "$base-$((base + 1))" >"$scratch/kring-$1.log" 2>&1 </dev/null &
	add "kring-$1" $! $((base + 1))
}

kafka_proxy() {
	local program=${KRING_KAFKA_PROXY:-kafka-proxy} port
	if ! command -v "$program" >/dev/null; then
		say "kafka-proxy is left out: KRING_KAFKA_PROXY names no program, and none is in PATH"
		return
	fi
	port=$(free_port)
	"$program" server --bootstrap-server-mapping "$kafka_addr,127.0.0.1:$port" --http-disable \
		>"$scratch/kafka-proxy.log" 2>&1 </dev/null &
	add kafka-proxy $! "$port"
}

kroxylicious() {
	local base
	if [[ ! -x ${KRING_KROXYLICIOUS:-}/bin/kroxylicious-start.sh ]]; then
		say "Kroxylicious is left out: KRING_KROXYLICIOUS is not the folder of its distribution"
		return
	fi
	base=$(free_port)
	cat >"$scratch/kroxylicious.yaml" <<-END
		virtualClusters:
		  - name: compared
		    targetCluster:
		      bootstrapServers: $kafka_addr
		    gateways:
		    - name: gateway
		      portIdentifiesNode:
		        bootstrapAddress: 127.0.0.1:$base
	END
	JAVA_HOME=${KRING_KROXYLICIOUS_JAVA:-${JAVA_HOME:-}} PATH=${KRING_KROXYLICIOUS_JAVA:+$KRING_KROXYLICIOUS_JAVA/bin:}$PATH \
		"$KRING_KROXYLICIOUS/bin/kroxylicious-start.sh" --config "$scratch/kroxylicious.yaml" >"$scratch/Kroxylicious.log" 2>&1 </dev/null &
	# Ports behind that of its bootstrap address stand for node ids 0, 1, 2.
	add Kroxylicious $! $((base + 2))
	# It learns the brokers from a client of its bootstrap address, and closes the first who come to a
	# node's port before it has.
	"$scratch/bench" load "127.0.0.1:$base" --kind metadata --topic kring-greeting --duration 100ms >/dev/null ||
		die "Kroxylicious does not answer: $(tail -n 20 "$scratch/Kroxylicious.log")"
}

need java default-jre-headless
need mvn maven
fetch_maven "$root/scripts/kafka/pom.xml" "${KRING_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-kafka}"
build_kring
if [[ -n ${KRING_BENCH:-} ]]; then cp "$KRING_BENCH" "$scratch/bench"; else (cd "$root" && go build -o "$scratch/bench" ./bench); fi

# Its log lies in memory where there is some, and what was read is soon deleted: the disk is
# not what is compared.
data=$(mktemp -d -p "$([[ -w /dev/shm ]] && echo /dev/shm || echo "$scratch")")
port=$(free_port) controller=$(free_port)
kafka_addr=127.0.0.1:$port
{
	grep -vE "^log.retention.ms=" "$root/scripts/kafka/server.properties"
	echo "listeners=PLAINTEXT://$kafka_addr,CONTROLLER://127.0.0.1:$controller"
	echo "advertised.listeners=PLAINTEXT://$kafka_addr"
	echo "controller.quorum.voters=1@127.0.0.1:$controller"
	echo "log.dirs=$data"
	echo "log.segment.bytes=67108864"
	echo "log.retention.bytes=268435456"
	echo "log.retention.check.interval.ms=1000"
	echo "log.segment.delete.delay.ms=0"
} >"$scratch/kafka.properties"
run_kafka "$port"

contestants=("direct=$kafka_addr")
kring_gateway multiplexed
kring_gateway dedicated
kafka_proxy
kroxylicious

about=(--about "direct=Apache Kafka $(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$root/scripts/kafka/pom.xml")")
for version in ${KRING_PEER_VERSIONS:-}; do about+=(--about "$version"); done
mkdir -p "$(dirname "$out")"
(cd "$root" && "$scratch/bench" gateways "${contestants[@]}" --rounds "$rounds" --window "$window" "${about[@]}" --out "$out" "$@")
"$scratch/bench" gateways-table "$out"
say "raw results: $out"
