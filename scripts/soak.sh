#!/usr/bin/env bash
# Loads a server under the race detector with many clients: no race report, no wrong
# byte, and no descriptor or goroutine left when the clients have gone. Then, for a
# shorter time, the server as users build it: its memory must not grow (under the race
# detector memory always does).
#
# usage: scripts/soak.sh [-s SECONDS] [-b BUSY] [-i IDLE] [-r SEED [-e SECONDS] | ENGINE...]
#        (60 s, 64 busy and 256 idle clients)
#        (with -r io_uring alone, with settings chosen by SEED, others every 15 s)

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/state.bash"
seconds=60 busy=64 idle=256 seed= every=15
while getopts s:b:i:r:e: option; do
	case $option in
	s) seconds=$OPTARG ;;
	b) busy=$OPTARG ;;
	i) idle=$OPTARG ;;
	r) seed=$OPTARG ;;
	e) every=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
engines "$@"
[[ -n $seed ]] || build_kring -race
build_load
export GORACE="halt_on_error=1"

# The most that resident memory may grow by between equal loads: the first has
# filled every pool and cache and driven the heap to its size, so what the others
# add is what loads leave behind.
growth_max_kib=$((48 * 1024))

# closed DESCRIPTORS waits until no more than so many are open.
closed() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		(($(fds) <= $1)) && return
		sleep 0.1
	done
	die "$engine: $(fds) descriptors are open a minute after the clients have left, $1 were before they came"
}

# goroutines ends the server with SIGQUIT, which makes Go's runtime write down
# every goroutine, and counts them.
goroutines() {
	local pid=$kring_pid
	kring_pid=
	kill -QUIT "$pid"
	wait "$pid" || true
	cp "$scratch/kring.log" "$scratch/dump"
	count=$(grep -c '^goroutine [0-9]' "$scratch/dump" || true)
	((count > 0)) || die "$engine: SIGQUIT wrote no goroutines"
}

# gone GOROUTINES waits until there are no more than so many: those of a connection end after
# its descriptor. After a minute, goroutines says which are left.
gone() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		ask_state
		(($(field goroutines) <= $1)) && return
		sleep 0.1
	done
}

# run SECONDS TOPICS
run() {
	"$load" -bootstrap "$kring_addr" -busy "$busy" -idle "$idle" -seconds "$1" -topics "$2" >"$scratch/load.out" 2>&1 || {
		! grep -q 'DATA RACE' "$scratch/kring.log" || die "$engine: the race detector reports: $(grep -A 60 'DATA RACE' "$scratch/kring.log")"
		die "$engine: $(head -n 20 "$scratch/load.out")"
	}
}

if [[ -n $seed ]]; then
	source "$root/scripts/soak-settings.bash"
	soak_settings
	exit
fi

for engine in "${engines[@]}"; do
	# What an idle server has, before any client.
	start_kring "$engine" --log-level warn
	before=$(fds)
	goroutines
	idle_goroutines=$count

	start_kring "$engine"
	run "$seconds" soak
	closed $((before + 4)) # Go's poller and the kernel keep a few of their own
	gone $((idle_goroutines + 8))
	goroutines
	((count <= idle_goroutines + 8)) ||
		die "$engine: $count goroutines are left, an idle server has $idle_goroutines: $(sed -n 's/^created by //p' "$scratch/dump" | sort | uniq -c | sort -rn | head -n 10)"
	! grep -q 'DATA RACE' "$scratch/dump" || die "$engine: the race detector reports: $(grep -A 60 'DATA RACE' "$scratch/dump")"
	say "$engine: $(cat "$scratch/load.out"); $count goroutines (idle: $idle_goroutines), $before descriptors"
done

build_kring
for engine in "${engines[@]}"; do
	start_kring "$engine" --log-level warn
	for round in 1 2 3 4; do
		run $((seconds / 5 + 1)) "memory$round"
		((round > 1)) || rss=$(rss_kib)
	done
	grown=$(($(rss_kib) - rss))
	((grown <= growth_max_kib)) || die "$engine: resident memory grew from $rss KiB by $grown KiB in three loads more"
	say "$engine: resident memory $rss KiB after one load, $grown KiB more after three others"
	stop_kring
done
