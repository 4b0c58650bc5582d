# The clients of scripts/secure.sh. Each program takes a file of cases, and prints a line
# for each: result, client, case, ok or FAIL and why.

source "$root/scripts/versions/lists.bash"
source "$root/scripts/versions/clients.bash" # its ways to fetch: cached, keep, fetch_wheels

all_clients=(franz-go confluent sarama kafka-go confluent-python kafka-python aiokafka kafkajs java tools)
client_pids=()
python_newest=${librdkafka_versions[-1]}

# fetch_clients gets what the clients need.
fetch_clients() {
	local client go=''
	for client in "${clients[@]}"; do
		case $client in
		franz-go | confluent | sarama | kafka-go) go=1 ;;
		confluent-python) need_python && fetch_wheels "librdkafka-$python_newest" "confluent-kafka==$python_newest" ;;
		kafka-python) need_python && fetch_wheels "kafka-python-${kafka_python_versions[-1]}" "kafka-python==${kafka_python_versions[-1]}" "${kafka_python_codecs[@]}" ;;
		aiokafka) need_python && fetch_wheels "aiokafka-${aiokafka_versions[-1]}" "aiokafka==${aiokafka_versions[-1]}" "${aiokafka_needs[@]}" ;;
		kafkajs)
			command -v node >/dev/null || need node nodejs
			command -v npm >/dev/null || need npm npm
			cp -r "$root/scripts/kafkajs" "$scratch/js"
			cp "$root/scripts/secure/secure.js" "$scratch/js/"
			thrice "$scratch/npm.log" npm --prefix "$scratch/js" ci --no-audit --no-fund --loglevel=error
			;;
		java | tools)
			need javac default-jdk-headless
			need mvn maven
			fetch_maven "$root/scripts/java/pom.xml" "${KRING_JAVA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-java-tools}"
			tool_jars=$jars
			;;
		esac
	done
	if [[ -n $go ]]; then (cd "$root/internal/clients" && go build -o "$scratch/secure-go" ./secure); fi
	if [[ " ${clients[*]} " == *' java '* ]]; then
		mkdir -p "$scratch/classes"
		javac -nowarn -cp "$tool_jars/*" -d "$scratch/classes" "$root/scripts/secure/Secure.java"
	fi
}

# run_client CLIENT SERVER starts it.
run_client() {
	local client=$1 server=$2 cases=$scratch/cases-$1-$2
	cases_for "$server" | awk -F '\t' -v names="$cases_matching" '$1 ~ names' >"$cases"
	[[ -s $cases ]] || die "no case is called $cases_matching"
	while (($(jobs -rp | wc -l) >= ${JOBS:-3} + ${#server_pids[@]} + ${kafka_pid:+1}+0)); do sleep 0.1; done
	start_client "$client" "$cases" "$server" >"$scratch/out/$client-$server" 2>"$scratch/out/$client-$server.err" &
	client_pids+=("$!")
}

start_client() {
	local client=$1 cases=$2
	case $client in
	franz-go | confluent | sarama | kafka-go) exec timeout 300 "$scratch/secure-go" "$client" "$cases" ;;
	confluent-python) in_python "librdkafka-$python_newest" "confluent-kafka==$python_newest" ;;
	kafka-python) in_python "kafka-python-${kafka_python_versions[-1]}" "kafka-python==${kafka_python_versions[-1]} ${kafka_python_codecs[*]}" ;;
	aiokafka) in_python "aiokafka-${aiokafka_versions[-1]}" "aiokafka==${aiokafka_versions[-1]} ${aiokafka_needs[*]}" ;;
	kafkajs) cd "$scratch/js" && exec timeout 300 node secure.js "$cases" ;;
	java) exec timeout 300 "${jvm[@]}" -cp "$tool_jars/*:$scratch/classes" Secure "$cases" ;;
	tools) tools_cases "$cases" "$3" ;;
	esac
}

# in_python NAME REQUIREMENTS runs the program with what fetch_wheels has kept.
in_python() {
	cached "$1" "$2" || die "$1 was not fetched"
	exec env PYTHONDONTWRITEBYTECODE=1 "PYTHONPATH=$kept" timeout 300 python3 "$root/scripts/secure/secure.py" "$client" "$cases"
}

# tools_cases CASES SERVER lists topics by kafka-topics.sh: a JVM for each case, so only for some.
tools_cases() {
	local one addr ca cert key mechanism user password want protocol verdict file
	while IFS=$'\t' read -r one addr ca cert key mechanism user password want; do
		[[ $one =~ ^(tls|mtls.*|scram-sha-512-ssl.*)$ ]] || continue
		file=$scratch/tools-$2-$one.properties protocol=PLAINTEXT
		[[ $ca == - ]] || protocol=SSL
		{
			if [[ $mechanism != - ]]; then
				protocol=SASL_$protocol
				echo "sasl.mechanism=$mechanism"
				echo "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"$user\" password=\"$password\";"
			fi
			echo "security.protocol=$protocol"
			printf 'ssl.truststore.type=PEM\nssl.truststore.location=%s\n' "$ca"
			[[ $cert == - ]] || printf 'ssl.keystore.type=PKCS12\nssl.keystore.location=%s\nssl.keystore.password=%s\n' "${cert%.pem}.p12" "$(cat "$certs/password")"
		} >"$file"
		verdict=ok
		timeout 120 "${jvm[@]}" -cp "$tool_jars/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$addr" --command-config "$file" --list >"$file.out" 2>&1 || verdict=refused
		case $want,$verdict in
		ok,ok) ;;
		tls*,refused) grep -Eq "SslAuthenticationException|SSL handshake failed|post-handshake" "$file.out" || verdict="FAIL $(tail -n 3 "$file.out" | tr '\n\t' '  ')" ;;
		sasl,refused) grep -Eq "SaslAuthenticationException|Authentication failed" "$file.out" || verdict="FAIL $(tail -n 3 "$file.out" | tr '\n\t' '  ')" ;;
		*) verdict="FAIL $verdict: $(tail -n 3 "$file.out" | tr '\n\t' '  ')" ;;
		esac
		printf 'result\ttools\t%s\t%s\n' "$one" "${verdict/#refused/ok}"
	done <"$1"
}

wait_clients() {
	local pid
	for pid in "${client_pids[@]}"; do wait "$pid" 2>/dev/null || true; done # what is missing is seen in the table
	client_pids=()
}

# table prints how each client fared, and fails if a case failed or has no result.
table() {
	local file client server one verdict failed=0 good told bad planned proof
	for file in "$scratch"/cases-*; do
		read -r client server <<<"$(basename "$file" | sed -E 's/^cases-(.*)-([^-]*)$/\1 \2/')"
		good=0 told=0 bad=0
		planned=$(cut -f 1 "$file")
		[[ $client != tools ]] || planned=$(grep -E '^(tls|mtls.*|scram-sha-512-ssl.*)$' <<<"$planned") || continue
		for one in $planned; do
			verdict=$(awk -F '\t' -v name="$one" '$1 == "result" && $3 == name { print $4; exit }' "$scratch/out/$client-$server")
			if [[ $verdict == ok ]]; then
				good=$((good + 1))
			elif allowed "$client" "$one" "$server" "$verdict"; then
				told=$((told + 1))
			else
				bad=$((bad + 1)) failed=1
				say "$client on $server, $one: ${verdict:-no result: $(tail -n 2 "$scratch/out/$client-$server.err")}"
			fi
		done
		if [[ $server == kafka ]]; then proof="in other words than expected, without proof"; else proof="refused as the server's log alone proves"; fi
		say "$client on $server: $good as they should be, $told $proof, $bad not"
	done
	((failed == 0)) || die "some cases failed"
}

# allowed CLIENT CASE SERVER VERDICT: differences.allow has lines of a client, an
# expression of cases, what the client says instead of the refusal, for what reason the
# server must have closed its connection, and why.
allowed() {
	local client cases says reason why
	while IFS=$'\t' read -r client cases says reason why; do
		[[ $client == "$1" && $2 =~ ^($cases)$ && $4 =~ ^FAIL\ .*($says) ]] && refused_by_server "$3" "$reason" "$4" && return 0
	done < <(grep -v '^#' "$root/scripts/secure/differences.allow")
	return 1
}

# refused_by_server SERVER REASON VERDICT is true if the server's log has that end of a
# connection whose port the client names, or where it names none, as many as cases have
# asked so far. Apache Kafka's log does not say it, so nothing is proven there.
declare -A asked=() # SERVER,REASON: cases that name no port
refused_by_server() {
	local log=$scratch/$1.log port ports
	if [[ $1 == kafka ]]; then
		say "not proven on Apache Kafka, whose log has no such line: ${3:0:100}"
		return 0
	fi
	ports=$(grep -oE -- '<-[0-9]+\]' <<<"$3" | tr -dc '0-9\n' | sort -u)
	for port in $ports; do
		! grep -Eq "connection closed\" .* remote=127\.0\.0\.1:$port reason=$2( |\$)" "$log" || return 0
	done
	[[ -z $ports ]] || return 1
	asked[$1,$2]=$((${asked[$1,$2]:-0} + 1))
	(($(grep -Ec "connection closed\" .* reason=$2( |\$)" "$log") >= asked[$1,$2]))
}
