#!/usr/bin/env bash
# Checks the system calls of a loaded io_uring server: its clients' sockets are served
# by io_uring_enter alone.
#
# usage: scripts/strace.sh [SECONDS]
#
# It makes two passes over the same load. One records the descriptors of all calls that
# move bytes or change an epoll set: none may be a TCP connection. The other counts every
# system call, as `strace -f -c` prints them: none may come near one per request (the few
# that remain wake a sleeping thread or write the log).

source "$(dirname "$0")/lib.bash"
seconds=${1:-8}
need strace strace
build_kring
build_load

moving=read,write,readv,writev,pread64,pwrite64,recvfrom,recvmsg,recvmmsg,sendto,sendmsg,sendmmsg,sendfile,splice
per_request=$moving,epoll_ctl,accept,accept4

# traced OUTPUT FLAGS... loads the server while strace watches all its threads.
tracer=
traced() {
	local output=$1 pass=$2 tries
	shift 2
	strace -f -qq -o "$output" -p "$kring_pid" "$@" 2>"$scratch/strace.log" &
	tracer=$!
	# Attached is when every thread has a tracer.
	for ((tries = 0; ; tries++)); do
		((tries < 300)) || die "strace did not attach to every thread within 30 s: $(cat "$scratch/strace.log")"
		grep -q '^TracerPid:[[:space:]]*0$' "/proc/$kring_pid"/task/*/status 2>/dev/null || break
		kill -0 "$tracer" 2>/dev/null || die "strace ended: $(cat "$scratch/strace.log")"
		sleep 0.1
	done
	"$load" -bootstrap "$kring_addr" -busy 16 -idle 16 -seconds "$seconds" -topics "strace-$pass" >"$scratch/load.out"
	kill -INT "$tracer"
	wait "$tracer" || true
	requests=$(sed -n 's/.* requests=\([0-9]*\).*/\1/p' "$scratch/load.out")
	((requests > 500)) || die "only $requests requests in $seconds s: too little load to tell"
}

sockets() { grep -c '<TCP' "$scratch/calls" || true; }

# The same look at a server that is known to make such calls: a check that
# can't find them there would prove nothing.
start_kring epoll --log-level warn
traced "$scratch/calls" control -yy -e "trace=$per_request"
stop_kring
(($(sockets) > requests)) || die "strace shows only $(sockets) calls on sockets for $requests requests on epoll: it can't be trusted to show io_uring's"

start_kring io_uring --log-level warn
traced "$scratch/calls" calls -yy -e "trace=$per_request"
(($(sockets) == 0)) ||
	die "$(sockets) calls on clients' sockets beside the ring, the first: $(grep -m 3 '<TCP' "$scratch/calls")"

traced "$scratch/counts" counts -c
stop_kring
# The table's columns: % time, seconds, usecs/call, calls, [errors,] syscall.
awk -v limit=$((requests / 10)) -v watched="$per_request" '
	BEGIN { n = split(watched, names, ","); for (i = 1; i <= n; i++) watch[names[i]] = 1 }
	$NF in watch && $4 > limit { printf "%s %s times\n", $NF, $4; bad = 1 }
	END { exit bad }' "$scratch/counts" >"$scratch/bad" ||
	die "more than one call in ten requests ($requests): $(cat "$scratch/bad"); of $(cat "$scratch/counts")"
grep -q ' io_uring_enter$' "$scratch/counts" || die "no io_uring_enter at all: $(cat "$scratch/counts")"
head -n 12 "$scratch/counts"
say "$requests requests: no read, write, recv, send or epoll_ctl on any client's socket"
