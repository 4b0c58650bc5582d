# What a running server holds, from outside and as it says itself on SIGUSR1.
# Source it after lib.bash; the server logs at level info.

fds() { find "/proc/$kring_pid/fd" -mindepth 1 | wc -l; }
rss_kib() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB$/\1/p' "/proc/$kring_pid/status"; }
states() { grep -c ' msg=state ' "$scratch/kring.log" || true; }

# ask_state asks the server what it holds, into $state.
ask_state() {
	local before tries
	before=$(states)
	kill -USR1 "$kring_pid"
	for ((tries = 0; tries < 600; tries++)); do
		# Its line is whole when the log ends with one.
		(($(states) > before)) && [[ -z $(tail -c 1 "$scratch/kring.log") ]] && break
		sleep 0.1
	done
	state=$(grep ' msg=state ' "$scratch/kring.log" | tail -n 1)
	(($(states) > before)) || die "the server does not say its state"
}

# field NAME is a number of $state.
field() { sed -nE "s/.* $1=(-?[0-9]+).*/\1/p" <<<"$state"; }

# settled WHO waits until every connection is gone, into $state.
settled() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		ask_state
		(($(field open) == 0)) && return
		sleep 0.2
	done
	die "$1: $(field open) connections are open, and every client has left: $state"
}
