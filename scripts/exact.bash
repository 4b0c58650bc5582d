# Clients that know what they were promised, and two gateways behind one name for them.
# Source it after lib.bash, kafka.bash and cluster.bash.

exact_pid=
exact_to=() # by which the clients reach both gateways
exact_result= # what it counted
instance_pids=()
instance_addrs=(127.0.0.1 127.0.0.2) # one machine's, in place of two machines
instance_base=
instance_listen=
instance_args=()

# build_exact makes $exact.
build_exact() {
	exact=$scratch/exact
	(cd "$root/internal/clients" && go build -o "$exact" ./exact)
}

# start_instances MODE ENGINE starts two gateways with the same ports, each on an address of
# its own, that tell clients the name gateway.test.
start_instances() {
	instance_base=$(free_port)
	instance_listen=$(free_port)
	while ((instance_listen >= instance_base && instance_listen <= instance_base + 4)); do instance_listen=$(free_port); done
	instance_args=(--upstream "$cluster_upstream" --upstream-mode "$1" --engine "$2" --drain-timeout 5s
		--advertise "gateway.test:$instance_base" --node-ports "$instance_base-$((instance_base + 3))")
	exact_to=(-bootstrap "gateway.test:$instance_listen" -name "gateway.test=${instance_addrs[0]},${instance_addrs[1]}")
	: >"$scratch/kring.log"
	start_instance 0
	start_instance 1
}

start_instance() {
	local tries
	"$kring" gateway --listen "${instance_addrs[$1]}:$instance_listen" "${instance_args[@]}" \
		>"$scratch/instance-$1.out" 2>>"$scratch/kring.log" </dev/null &
	instance_pids[$1]=$!
	for ((tries = 0; tries < 600; tries++)); do
		grep -q 'ready on' "$scratch/instance-$1.out" && return
		kill -0 "${instance_pids[$1]}" 2>/dev/null || die "gateway $1 ended: $(tail -n 20 "$scratch/kring.log")"
		sleep 0.1
	done
	die "gateway $1 was not ready within a minute"
}

# restart_instance N SIGNAL ends a gateway, with TERM in order and with KILL at once, and starts
# it again.
restart_instance() {
	local status=0 wanted=0
	[[ $2 == TERM ]] || wanted=137
	kill "-$2" "${instance_pids[$1]}"
	wait "${instance_pids[$1]}" || status=$?
	((status == wanted)) || die "gateway $1 ended with status $status after SIG$2: $(tail -n 20 "$scratch/kring.log")"
	start_instance "$1"
}

stop_instances() {
	local pid
	for pid in "${instance_pids[@]}"; do
		kill -TERM "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	instance_pids=()
}

# start_exact [FLAGS...] starts the clients, which connect to both gateways in turn.
start_exact() {
	"$exact" "$@" "${exact_to[@]}" \
		-topics "exact-$RANDOM" >"$scratch/exact.out" 2>&1 </dev/null &
	exact_pid=$!
}

# await_exact NODES waits until every replica is in sync, and then until the clients were
# promised something more.
await_exact() {
	local tries lines
	"$exact" -bootstrap "$cluster_upstream" -await "$1" || die "the cluster did not come back: $(tail -n 20 "$scratch/exact.out")"
	lines=$(grep -c records= "$scratch/exact.out" || true)
	for ((tries = 0; tries < 2000; tries++)); do
		kill -0 "$exact_pid" 2>/dev/null || die "the clients ended: $(tail -n 20 "$scratch/exact.out")"
		(($(grep -c records= "$scratch/exact.out" || true) == lines)) || return 0
		sleep 0.1
	done
	die "the clients said nothing for three minutes"
}

# end_exact has the clients compare, and fails when something is missing, doubled or out of order.
end_exact() {
	local pid=$exact_pid status=0
	exact_pid=
	kill -TERM "$pid"
	wait "$pid" || status=$?
	exact_result=$(tail -n 1 "$scratch/exact.out" | sed 's/^exact: //')
	((status == 0)) || die "not exactly once: $(tail -n 20 "$scratch/exact.out")"
}

stop_exact() {
	[[ -n $exact_pid ]] || return 0
	kill -KILL "$exact_pid" 2>/dev/null || true
	wait "$exact_pid" 2>/dev/null || true
	exact_pid=
}
