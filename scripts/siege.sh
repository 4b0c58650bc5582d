#!/usr/bin/env bash
# A server in a memory cgroup, attacked in every way that costs it memory, all at once,
# beside clients that mean well: it must not be killed, every good client must be served,
# and the memory must come back.
#
# It needs root and a memory controller (version 1 or 2) whose groups it can make. Where
# it can't, the server is told the same limit (--memory-max), and its RSS must keep to it.
#
# The attackers are nice (-n), because they share CPUs with the server and with the good
# clients; other people's attackers have machines of their own. The good clients are a
# process of their own.
#
# usage: scripts/siege.sh [-t SECONDS] [-m MIB] [-w KINDS] [-i IDLE] [-n NICE] [-p MILLISECONDS] [-v] [ENGINE...]
#
#   -t  how long for each engine (default 600)
#   -m  the cgroup's limit (default 512)
#   -w  attacks to leave out, separated by commas: fetches, partial, claims, idle, pipeliner
#   -i  idle connections (default 16000, or what descriptors leave)
#   -n  how nice the attackers are, 0 to 19 (default 19)
#   -p  the longest p99 of good requests (default 50 from a minute on, else any)
#   -v  say every five seconds how the good clients fare

source "$(dirname "$0")/lib.bash"
seconds=600 mib=512 without= idle=16000 nice=19 p99=
verbose=
while getopts t:m:w:i:n:p:v option; do
	case $option in
	t) seconds=$OPTARG ;;
	m) mib=$OPTARG ;;
	w) without=$OPTARG ;;
	i) idle=$OPTARG ;;
	n) nice=$OPTARG ;;
	p) p99=$OPTARG ;;
	v) verbose=-v ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
engines "$@"
[[ -n $p99 ]] || p99=$((seconds >= 60 ? 50 : 0))
build_kring
siege=$scratch/siege
(cd "$root/internal/clients" && go build -o "$siege" ./siege)
ulimit -n 65536 2>/dev/null || true

# make_group makes a group with the limit: $group, and the names of its files. It fails
# where that needs another user, or another system.
group=
make_group() {
	if [[ -f /sys/fs/cgroup/memory/memory.limit_in_bytes ]]; then
		group=/sys/fs/cgroup/memory/kring-siege.$$
		limit=memory.limit_in_bytes used=memory.usage_in_bytes peak=memory.max_usage_in_bytes kills=memory.oom_control
	elif grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
		group=/sys/fs/cgroup/kring-siege.$$
		limit=memory.max used=memory.current peak=memory.peak kills=memory.events
		{ echo +memory >/sys/fs/cgroup/cgroup.subtree_control; } 2>/dev/null || return
	else
		return 1
	fi
	mkdir "$group" 2>/dev/null && { echo $((mib << 20)) >"$group/$limit"; } 2>/dev/null
}
end_others() {
	[[ -z $kring_pid ]] || { kill -KILL "$kring_pid" && wait "$kring_pid"; } 2>/dev/null || true
	kring_pid=
	[[ -z $group ]] || rmdir "$group" || true
}

bound=()
if make_group; then # the server enters it by itself before it is what it is
	real=$kring
	kring=$scratch/grouped
	cat >"$kring" <<EOF
#!/bin/sh
echo \$\$ >$group/cgroup.procs && exec $real "\$@"
EOF
	chmod +x "$kring"
else
	[[ ! -d $group ]] || rmdir "$group"
	group=
	bound=(--memory-max "${mib}MiB")
	say "no memory cgroup can be made here (it takes root and a memory controller): the server is told ${bound[*]}, and its RSS is held to it"
fi

mib_of() { echo $((($1 + 524288) >> 20)); }
# status_bytes is a field of the server's /proc/PID/status.
status_bytes() { awk -v field="$1:" '$1 == field { print $2 * 1024 }' "/proc/$kring_pid/status" 2>/dev/null || echo 0; }
used_now() { if [[ -n $group ]]; then echo "$(<"$group/$used")"; else status_bytes VmRSS; fi; }
peak_now() { if [[ -n $group ]]; then echo "$(<"$group/$peak")"; else status_bytes VmHWM; fi; }
killed() {
	if [[ -n $group ]]; then
		awk '$1 == "oom_kill" { n = $2 } END { print n + 0 }' "$group/$kills"
	else
		echo $(($(status_bytes VmHWM) > mib << 20))
	fi
}

besiege() {
	local engine=$1 before after status=0 places
	[[ -z $group || $peak != memory.max_usage_in_bytes ]] || echo 0 >"$group/$peak"
	start_kring "$engine" "${bound[@]}" --seed-topic big:1 --seed-topic good:64
	grep -o 'memory [^·]*' "$scratch/kring.out" | head -n 1
	"$siege" -role fill -topic $((mib / 24)) -address "$kring_addr" || die "$engine: the topic can't be filled"
	before=$(used_now)
	places=$(sed -n 's/.*msg=descriptors .*connections=\([0-9]*\).*/\1/p' "$scratch/kring.log" | head -n 1)
	local rest=$((${places:-20000} - 5000 - 60 - 53 - 64 - 100))
	local idles=$((rest < idle ? (rest > 0 ? rest : 0) : idle))
	"$siege" -address "$kring_addr" -t "${seconds}s" -p99 "${p99}ms" -idle "$idles" -nice "$nice" -without "$without" $verbose || status=$?
	local most
	most=$(status_bytes VmHWM)
	# By itself the server gives memory back when it was quiet for ten seconds.
	((seconds >= 60)) || kill -USR1 "$kring_pid" || true
	after=$(used_now)
	local tries
	for ((tries = 0; tries < 1200 && after > before + (32 << 20); tries++)); do
		sleep 0.1
		after=$(used_now)
	done
	say "$engine: $idles idle; peak $(mib_of "$(peak_now)") of $mib MiB, RSS at most $(mib_of "${most:-0}") MiB; $(mib_of "$before") MiB before, $(mib_of "$after") after $((tries / 10)) s; $(killed) kills"
	(($(killed) == 0)) || die "$engine: the server was killed, or took more than it may"
	stop_kring
	grep -o 'msg=stopped.*' "$scratch/kring.log" || true
	((status == 0)) || die "$engine: the good clients were not served as they should be"
	((after <= before + (64 << 20))) || die "$engine: the memory did not come back"
}
for engine in "${engines[@]}"; do besiege "$engine"; done
