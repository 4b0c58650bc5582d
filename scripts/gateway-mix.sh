#!/usr/bin/env bash
# Ten thousand clients of three nodes of Apache Kafka, without a gateway and through kring
# gateway with 8 connections for short requests, 8 for writes and 500 for those that wait, for
# each broker: 4,000 that do nothing, 4,000 that produce every 20 s, 1,500 that produce every
# 2 s with acks=all, and 500 that wait for records. Every client has to make progress in each of its
# intervals through the gateway (internal/clients/throng). Prints what it costs the brokers and the gateway.
#
# usage: scripts/gateway-mix.sh [-s SECONDS] [-d N] [ENGINE...]
#
#   -s SECONDS  how long (default 60)
#   -d N        one N-th of the clients of each kind (default 1: all of them)
#
#   KRING_GATEWAY_MIX  direct, gateway, or both (the default)
#   KRING_KAFKA_CACHE  where the broker is kept once fetched from Maven Central
#                      (default: kring-kafka in the user's cache folder)
#
# The clients are one process with 10,000 descriptors, the gateway another with 10,000 and
# up to 1,548 to brokers: both need a limit of open files of 12,000 at least.

source "$(dirname "$0")/lib.bash"
source "$root/scripts/kafka.bash"
source "$root/scripts/cluster.bash"
throng_pid=
end_others() {
	[[ -z $throng_pid ]] || kill -KILL "$throng_pid" 2>/dev/null || true
	stop_cluster
}
seconds=60 part=1
while getopts s:d: option; do
	case $option in
	s) seconds=$OPTARG ;;
	d) part=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
[[ $part =~ ^[1-9][0-9]{0,2}$ ]] || die "-d $part: a whole number from 1 is wanted"
(($# > 0)) || set -- auto
ulimit -n "$(ulimit -Hn)"
(($(ulimit -n) >= 12000 / part)) || die "$(ulimit -n) open files are allowed, and $((12000 / part)) needed: raise nofile, or give -d"
build_kring
(cd "$root/internal/clients" && go build -o "$scratch/throng" ./throng)

# cpu PID... prints the processor time of processes together, in hundredths of a second.
cpu() {
	local pid sum=0 fields
	for pid; do
		fields=$(sed 's/.*) //' "/proc/$pid/stat")
		sum=$((sum + $(awk '{ print $12 + $13 }' <<<"$fields")))
	done
	echo "$sum"
}

# rss PID... prints the resident memory of processes together, in MiB.
rss() {
	local pid sum=0
	for pid; do sum=$((sum + $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"))); done
	echo $((sum / 1024))
}

# connections ADDRESS... prints how many connections there are to servers of this machine.
connections() {
	local address ports=
	for address; do ports+=$(printf ' %04X' "${address##*:}"); done
	# Its second field is the local address, the fourth the state: 01 is ESTABLISHED.
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		awk -v ports="$ports" 'BEGIN { split(ports, p, " "); for (i in p) want[p[i]] = 1 }
			$4 == "01" { n = split($2, a, ":"); if (want[a[n]]) count++ } END { print count + 0 }'
}

# throng WHAT BOOTSTRAP TOPIC runs the clients, and prints what they and the servers did.
throng() {
	local line brokers=("${cluster_pids[@]}") before after gateway_before=0 gateway_after=0 begun took idle
	idle=$(connections "${cluster_addrs[@]}")
	coproc THRONG { exec "$scratch/throng" -bootstrap "$2" -topic "$3" -seconds "$seconds" -idle $((4000 / part)) \
		-seldom $((4000 / part)) -producers $((1500 / part)) -consumers $((500 / part)) 2>"$scratch/throng.err"; }
	throng_pid=$THRONG_PID
	read -r -t 180 line <&"${THRONG[0]}" && [[ $line == ready ]] || die "$1: the clients did not connect: $(tail -n 5 "$scratch/throng.err")"
	begun=$EPOCHREALTIME
	before=$(cpu "${brokers[@]}")
	[[ -z $kring_pid ]] || gateway_before=$(cpu "$kring_pid")
	while read -r line <&"${THRONG[0]}" && [[ -n $line ]]; do
		say "$1: ${line#throng: }"
	done
	after=$(cpu "${brokers[@]}")
	[[ -z $kring_pid ]] || gateway_after=$(cpu "$kring_pid")
	took=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
	say "$1: connections at the brokers $(connections "${cluster_addrs[@]}") (their own: $idle)," \
		"brokers' processors $(awk -v n=$((after - before)) -v t="$took" 'BEGIN { printf "%.2f", n / 100 / t }'), RSS $(rss "${brokers[@]}") MiB"
	[[ -z $kring_pid ]] || say "$1: kring's processors $(awk -v n=$((gateway_after - gateway_before)) -v t="$took" 'BEGIN { printf "%.2f", n / 100 / t }')," \
		"RSS $(rss "$kring_pid") MiB, descriptors $(find "/proc/$kring_pid/fd" -mindepth 1 | wc -l)"
	local input=${THRONG[1]} status=0
	exec {input}>&-
	wait "$throng_pid" || status=$?
	throng_pid=
	((status == 0)) && return
	# Without a gateway it says what this machine and the brokers do by themselves.
	[[ -z $kring_pid ]] || die "$1: $(tail -n 5 "$scratch/throng.err")"
	say "$1: $(tail -n 5 "$scratch/throng.err")"
}

fetch_cluster
start_cluster
if [[ ${KRING_GATEWAY_MIX:-both} != gateway ]]; then
	throng direct "${cluster_addrs[1]}" direct
fi
if [[ ${KRING_GATEWAY_MIX:-both} != direct ]]; then
	for engine; do
		base=$(free_port)
		export KRING_COMMAND="gateway --upstream $cluster_upstream --upstream-connections 8 --upstream-waiting 500 --node-ports $base-$((base + 3))"
		start_kring "$engine"
		throng "gateway on $engine" "$kring_addr" "gateway-$engine"
		stop_kring
	done
fi
