#!/usr/bin/env bash
# Starts three nodes of Apache Kafka on this machine, to try kring gateway with, and ends
# them on Ctrl-C. Their data goes with them.
#
# usage: scripts/cluster.sh
#
#   KRING_KAFKA_CACHE  where the broker is kept once fetched from Maven Central
#                      (default: kring-kafka in the user's cache folder)

source "$(dirname "$0")/lib.bash"
source "$root/scripts/kafka.bash"
source "$root/scripts/cluster.bash"
end_others() { stop_cluster; }

fetch_cluster
start_cluster
say "three nodes listen on $cluster_upstream; their logs are in $scratch"
say "try: kring gateway --upstream $cluster_upstream --listen 127.0.0.1:9092 --node-ports 9100"
wait
