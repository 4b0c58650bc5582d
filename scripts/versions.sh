#!/usr/bin/env bash
# Runs old and new clients against kring on every engine: a program for each client
# (scripts/versions), and a check that the stored batches are compressed as the client
# was told.
#
# usage: scripts/versions.sh [-s] [-k] [-o CLIENT[,CLIENT...]] [-r FILE] [ENGINE...]
#
#   -s  short: each version meets one of the engines, in turn, so that all take
#       part; what takes minutes to build or to start is left to the long form
#   -k  the same against Apache Kafka, which says what is right
#   -o  only these clients, by their names in scripts/versions/clients.bash
#   -r  add the request frames that the clients send to FILE, each shape once
#
# A part may fail only if scripts/versions/differences.allow says why. Everything is
# fetched by exact version and kept in KRING_VERSIONS_CACHE (default:
# kring-versions in the user's cache folder). JOBS (6) programs run at once.
# KRING_VERSIONS_NODES (1) is how many nodes the cluster has: kring can be a gateway.

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/kafka.bash"
source "$(dirname "$0")/versions/lists.bash"
source "$(dirname "$0")/versions/clients.bash"
source "$(dirname "$0")/versions/jobs.bash"

short='' kafka='' only='' frames=''
while getopts sko:r: option; do
	case $option in
	s) short=1 ;;
	k) kafka=1 ;;
	o) only=,$OPTARG, ;;
	r) frames=$(realpath -m "$OPTARG") ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
engines "$@"
cache=${KRING_VERSIONS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-versions}
mkdir -p "$cache" "$scratch/out"

clients=()
for client in "${all_clients[@]}"; do
	if [[ -n $only ]]; then
		[[ $only == *",$client,"* ]] && clients+=("$client")
	elif [[ -n $short && " ${long_clients[*]} " == *" $client "* ]]; then
		say "$client is in the long form only"
	else
		clients+=("$client")
	fi
done
((${#clients[@]} > 0)) || die "none of the clients is called ${only//,/ }: there are ${all_clients[*]}"

build_kring
(cd "$root/internal/clients" && go build -o "$scratch/stored" ./stored)
for client in "${clients[@]}"; do "fetch_$client"; done
if [[ -n $frames ]]; then (cd "$root/internal/clients" && go build -o "$scratch/record" ./record); fi

start_servers
turn=0
for client in "${clients[@]}"; do "run_$client"; done
wait_jobs
stop_servers
table || die "some parts failed"
