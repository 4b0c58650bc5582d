# Servers, programs and results of scripts/versions.sh. Source it after
# kafka.bash.

# The servers by name, the process ids of all that runs, and what was planned.
declare -A addrs=()
servers=() server_pids=() job_pids=() planned=()

# end_others ends the programs first: timeout passes the signal on to its group.
end_others() {
	local pid
	for pid in "${job_pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
	for pid in "${server_pids[@]}" $proxy_pid; do kill -KILL "$pid" 2>/dev/null || true; done
	stop_kafka
}

# start_servers starts kring on each engine and, with -k, Apache Kafka; with -r
# clients reach each by a proxy that writes down what they send. The proxy comes
# first, because a server has to tell its clients the proxy's address; it reads
# the server's own from a file once a client comes.
start_servers() {
	local engine
	[[ -z $frames ]] || start_proxy "${engines[@]}" ${kafka:+kafka}
	for engine in "${engines[@]}"; do
		start_kring "$engine" ${proxied[$engine]:+--advertise "${proxied[$engine]}"}
		server_pids+=("$kring_pid")
		kring_pid=
		serve_at "$engine" "$kring_addr"
	done
	if [[ -n $kafka ]]; then
		fetch_maven "$root/scripts/kafka/pom.xml" "${KRING_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-kafka}"
		kafka_advertise=${proxied[kafka]:-}
		start_kafka --feature share.version=1 # share groups are off by default in 4.1
		serve_at kafka "$kafka_addr"
	fi
	say "servers: ${servers[*]}"
}

# serve_at NAME ADDRESS makes a server known to the plan, and to the proxy.
serve_at() {
	servers+=("$1")
	addrs[$1]=${proxied[$1]:-$2}
	echo "$2" >"$scratch/$1.target"
}

# start_proxy NAME... starts the proxy and learns its address for each server.
declare -A proxied=()
proxy_pid=''
start_proxy() {
	local server addr tries
	: >"$scratch/proxied"
	# Apache Kafka speaks to itself by the same listener, and stored is no client.
	"$scratch/record" -frames "$frames" -skip '^(AddPartitionsManager|Persister|broker-|kring-stored)' $(for server in "$@"; do echo "$server=$scratch/$server.target"; done) >"$scratch/proxied" &
	proxy_pid=$!
	for ((tries = 0; tries < 300; tries++)); do
		while read -r server addr; do proxied[$server]=$addr; done <"$scratch/proxied"
		((${#proxied[@]} == $#)) && return
		sleep 0.1
	done
	die "the proxy did not say its addresses within 30 s"
}

# stop_servers demands that kring ends as it should.
stop_servers() {
	local pid i=0
	for pid in "${server_pids[@]}"; do
		kring_pid=$pid
		server_pids[i++]=
		stop_kring
	done
	server_pids=()
	stop_kafka
	[[ -n $proxy_pid ]] || return 0
	kill -TERM "$proxy_pid"
	wait "$proxy_pid" || die "the proxy failed"
	proxy_pid=
}

# plan CLIENT VERSION puts into $where the servers that this version meets: every
# one, or with -s one engine, and Apache Kafka.
plan() {
	where=()
	if [[ -n $short ]]; then
		where=("${engines[turn++ % ${#engines[@]}]}")
		[[ -z $kafka ]] || where+=(kafka)
	else
		where=("${servers[@]}")
	fi
	local server
	for server in "${where[@]}"; do planned+=("$1 $2 $server"); done
}

# job NAME COMMAND... runs a program as soon as fewer than JOBS run. Its output
# and errors are kept under its name.
job() {
	local name=$1
	shift
	while (($(running) >= ${JOBS:-6})); do wait -n "${job_pids[@]}" 2>/dev/null || true; done
	timeout -k 10 "${LIMIT:-600}" nice -n "${NICE:-0}" "$@" >"$scratch/out/$name.out" 2>"$scratch/out/$name.err" </dev/null &
	job_pids+=("$!")
}

# running prints how many programs run, and forgets those that ended.
running() {
	local pid n=0
	for pid in "${job_pids[@]}"; do
		if kill -0 "$pid" 2>/dev/null; then n=$((n + 1)); fi
	done
	echo "$n"
}

# wait_jobs waits for all; how each went is in its output.
wait_jobs() {
	wait "${job_pids[@]}" || true
	job_pids=()
	local server with=()
	for server in "${servers[@]}"; do with+=("$server=${addrs[$server]}"); done
	timeout 600 "$scratch/stored" "${with[@]}" >"$scratch/out/stored.out" 2>"$scratch/out/stored.err" || true
}

# table prints a line for each client, version and server, and fails if one of
# them failed in a way that differences.allow does not name, or did not end.
table() {
	printf '%s\n' "${planned[@]}" >"$scratch/planned"
	cat "$scratch"/out/*.out >"$scratch/results"
	awk -f "$root/scripts/versions/table.awk" "$root/scripts/versions/differences.allow" "$scratch/planned" "$scratch/results" && return
	local name
	for name in $(grep -l 'FAIL' "$scratch"/out/*.out; grep -L 'done' "$scratch"/out/*.out); do
		[[ -s ${name%out}err ]] || continue
		printf '\n%s said last:\n' "$(basename "$name" .out)"
		tail -n 4 "${name%out}err" | cut -c 1-400
	done | head -n 100 >&2
	return 1
}
