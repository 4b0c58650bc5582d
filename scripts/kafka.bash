# Apache Kafka beside kring. Source it after lib.bash.
#
#   KRING_KAFKA_CACHE  where the broker is kept once fetched (default:
#                      kring-kafka in the user's cache folder)

kafka_pid=
kafka_addr=
kafka_advertise=

# fetch_maven POM CACHE fills the folder $jars with what POM names, from Maven
# Central or from CACHE. The folder is named after what it holds, so another POM
# is another folder; it appears under that name only when it is complete.
fetch_maven() {
	local pom=$1 cache=$2 try
	jars=$cache/$(sha256sum <"$pom" | cut -c 1-16)
	[[ ! -d $jars ]] || return 0
	say "fetching what $pom names into $jars"
	for try in 1 2 3; do
		rm -rf "$scratch/jars"
		mvn -q -B -ntp -f "$pom" dependency:copy-dependencies -DoutputDirectory="$scratch/jars" \
			-DincludeScope=runtime >"$scratch/mvn.log" 2>&1 && break
		((try < 3)) || die "mvn failed: $(tail -n 20 "$scratch/mvn.log")"
	done
	mkdir -p "$cache"
	mv "$scratch/jars" "$jars" 2>/dev/null || cp -r "$scratch/jars" "$jars"
}

# free_port prints a port that nobody listens on.
free_port() {
	local port
	for ((;;)); do
		port=$((20000 + RANDOM % 12000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# start_kafka [FLAGS...] starts one KRaft node, its storage made with FLAGS, and
# waits until it answers. With $kafka_advertise set clients are told that address.
start_kafka() {
	local port controller
	port=$(free_port) controller=$(free_port)
	while [[ $controller == "$port" ]]; do controller=$(free_port); done
	kafka_addr=127.0.0.1:$port
	{
		cat "$root/scripts/kafka/server.properties"
		echo "listeners=PLAINTEXT://$kafka_addr,CONTROLLER://127.0.0.1:$controller"
		echo "advertised.listeners=PLAINTEXT://${kafka_advertise:-$kafka_addr}"
		echo "controller.quorum.voters=1@127.0.0.1:$controller"
		echo "log.dirs=$scratch/kafka"
	} >"$scratch/kafka.properties"
	run_kafka "$port" "$@"
}

# run_kafka PORT [FLAGS...] starts the node that $scratch/kafka.properties describes, its
# storage made with FLAGS, and waits until it listens on PORT. It is to be ended by stop_kafka.
kafka_options=() # of its Java
run_kafka() {
	local java=(java -XX:+UseSerialGC -Xshare:auto -Xmx1g "${kafka_options[@]}" -cp "$jars/*") port=$1 tries
	"${java[@]}" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "$scratch/kafka.properties" "${@:2}" \
		>"$scratch/kafka.log" 2>&1 || die "Apache Kafka's storage could not be made: $(tail -n 20 "$scratch/kafka.log")"
	"${java[@]}" kafka.Kafka "$scratch/kafka.properties" >>"$scratch/kafka.log" 2>&1 </dev/null &
	kafka_pid=$!
	for ((tries = 0; tries < 1800; tries++)); do
		kill -0 "$kafka_pid" 2>/dev/null || die "Apache Kafka ended: $(tail -n 30 "$scratch/kafka.log")"
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
		sleep 0.1
	done
	die "Apache Kafka was not ready within 3 minutes: $(tail -n 30 "$scratch/kafka.log")"
}

stop_kafka() {
	[[ -n $kafka_pid ]] || return 0
	kill -KILL "$kafka_pid" 2>/dev/null || true
	wait "$kafka_pid" 2>/dev/null || true
	kafka_pid=
}
