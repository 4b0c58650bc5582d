#!/usr/bin/env bash
# Runs clients against the secure listeners of kring on every engine: TLS, mutual TLS,
# PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER, with right credentials, with which
# records are written and read, and with wrong ones, which must be refused by TLS's alert or
# with Kafka's error.
#
# usage: scripts/secure.sh [-s] [-k] [-o CLIENT[,CLIENT...]] [-c CASES] [ENGINE...]
#
#   -s  short: each client meets one of the engines, in turn, so that all take part
#   -k  the same against Apache Kafka, with the same certificates and users
#   -o  only these clients: franz-go confluent sarama kafka-go confluent-python
#       kafka-python aiokafka kafkajs java tools
#   -c  only cases whose names match this expression (grep -E), such as 'tls'
#
# A refusal that a client does not report, for a fault of its own, must be in the server's
# log (scripts/secure/differences.allow). No secret may stand in that log.

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/kafka.bash"
source "$(dirname "$0")/secure/servers.bash"
source "$(dirname "$0")/secure/clients.bash"

short='' against_kafka='' only='' cases_matching=.
while getopts sko:c: option; do
	case $option in
	s) short=1 ;;
	k) against_kafka=1 ;;
	o) only=,$OPTARG, ;;
	c) cases_matching=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
engines "$@"
cache=${KRING_VERSIONS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-versions}
mkdir -p "$cache" "$scratch/out"

clients=()
for client in "${all_clients[@]}"; do
	[[ -n $only && $only != *",$client,"* ]] || clients+=("$client")
done
((${#clients[@]} > 0)) || die "none of the clients is called ${only//,/ }: there are ${all_clients[*]}"

need openssl openssl
build_kring
certs=$scratch/certs
"$root/scripts/test-certs.sh" -c alice "$certs" >/dev/null
fetch_clients

for engine in "${engines[@]}"; do
	start_secure_kring "$engine"
	server_pids+=("$kring_pid")
	kring_pid=
done
servers=("${engines[@]}")
if [[ -n $against_kafka ]]; then
	start_secure_kafka
	servers+=(kafka)
fi
turn=0
for client in "${clients[@]}"; do
	where=("${servers[@]}")
	if [[ -n $short ]]; then where=("${servers[turn++ % ${#servers[@]}]}"); fi
	for server in "${where[@]}"; do run_client "$client" "$server"; done
done
wait_clients
for server in "${servers[@]}"; do ignores_alpn "$server"; done
stop_servers
for engine in "${engines[@]}"; do no_secret_in "$scratch/$engine.log"; done
table
