#!/usr/bin/env bash
# 100,000 connections a minute that come and are reset, while nobody reads the log: level debug (a
# line for each connection), standard output closed, standard error a pipe that is full. Nothing
# may stall: all of them are accepted, and eight clients that stay wait less than a second for each
# answer. It ends in time when it is told to.
#
# usage: scripts/storm.sh [-r PER_MINUTE] [-s SECONDS] [ENGINE...]
#        (100,000 a minute for 60 s, on every engine)

source "$(dirname "$0")/lib.bash"
minute=100000 seconds=60
while getopts r:s: option; do
	case $option in
	r) minute=$OPTARG ;;
	s) seconds=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
engines "$@"
need curl curl
need python3 python3
build_kring
(cd "$root/internal/clients" && go build -o "$scratch/storm" ./storm)

mkfifo "$scratch/full"
exec 4<>"$scratch/full" # both ends, so that writing neither waits for a reader nor has one
timeout 2 head -c 1048576 /dev/zero >&4 || true # until it takes no more

door() { curl -sS --max-time 10 --unix-socket "$scratch/http" "http://kring/$1"; }

for engine in "${engines[@]}"; do
	rm -f "$scratch/http"
	kring_addr=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	"$kring" serve --engine "$engine" --listen "$kring_addr" --http "unix:$scratch/http" --log-level debug >&- 2>&4 </dev/null 4>&- &
	kring_pid=$!
	for ((i = 0; i < 600; i++)); do
		[[ $(door readyz 2>/dev/null) != ready* ]] || break
		kill -0 "$kring_pid" 2>/dev/null || die "$engine: it ended before it was ready"
		sleep 0.1
	done
	nice -n 5 "$scratch/storm" -bootstrap "$kring_addr" -rate "$(python3 -c "print($minute / 60)")" -for "${seconds}s" >"$scratch/storm.out" 2>&1 || die "$engine: $(cat "$scratch/storm.out")"
	made=$(sed -n 's/.* connections=\([0-9]*\).*/\1/p' "$scratch/storm.out")
	least=$((minute * seconds / 60 * 99 / 100))
	((made >= least)) || die "$engine: the generator made $made connections, $least are wanted: $(cat "$scratch/storm.out")"
	# Those that were reset in the queue are accepted as well.
	for ((i = 0; i < 100; i++)); do
		accepted=$(door metrics | sed -n 's/^kring_connections_accepted_total{[^}]*} //p; s/^kring_connections_accepted_total //p' | python3 -c 'import sys; print(int(sum(float(l) for l in sys.stdin)))')
		((accepted < made)) || break
		sleep 0.1
	done
	((accepted >= made)) || die "$engine: $made connections were made, and $accepted accepted"
	began=$SECONDS
	stop_kring
	say "$engine: $(sed 's/^storm: //' "$scratch/storm.out"); accepted $accepted; it ended within $((SECONDS - began + 1)) s"
done
