#!/usr/bin/env bash
# Tries every io_uring setting that the program lists, and every kernel profile: kcat
# produces 10,000 lines and consumes the same. Combinations that the kernel excludes
# must be refused with the reason, before a listener opens.
#
# usage: scripts/settings.sh [TRY...]     (all; a TRY as `kring doctor --settings` prints it)

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/lines.bash"
need kcat kcat
build_kring
write_lines "$scratch/sent"

"$kring" doctor --settings >"$scratch/settings"
# Lines of settings begin in the first column, in front of the first empty line.
list() { awk '/^$/ { exit } NR > 1 && !/^ /' "$scratch/settings"; }
if (($# > 0)); then
	tries=("$@")
else
	mapfile -t tries < <(list | awk '{ for (i = 4; i <= NF; i++) print $i }')
fi
((${#tries[@]} > 0)) || die "the program lists nothing to try: $(cat "$scratch/settings")"
read -ra profiles <<<"$(sed -n 's/^Kernel profiles .*: //p' "$scratch/settings")"
((${#profiles[@]} > 1)) || die "the program lists no kernel profiles"

# serves NAME FLAGS... starts a server of its own and sends the lines through it.
serves() {
	local what=$1
	shift
	scratch=$scratch/$BASHPID
	trap on_exit EXIT
	mkdir "$scratch"
	start_kring io_uring --log-level warn "$@"
	lines_return none "$what"
	stop_kring
	[[ ! -s $scratch/kring.log ]] || die "$what: the server warned: $(cat "$scratch/kring.log")"
}

# refused SAYS FLAGS... demands exit status 2 and the reason. The port belongs to another
# server: if the program tried to listen, its error would be about that.
refused() {
	local says=$1 status=0
	shift
	timeout 60 "$kring" serve --listen "$kring_addr" "$@" >"$scratch/refused.out" 2>"$scratch/refused.log" </dev/null || status=$?
	((status == 2)) || die "$*: exit status $status, want 2: $(cat "$scratch/refused.log")"
	grep -qi -- "$says" "$scratch/refused.log" || die "$*: refused without saying '$says': $(cat "$scratch/refused.log")"
	[[ ! -s $scratch/refused.out ]] || die "$*: refused, and yet: $(cat "$scratch/refused.out")"
}

# Each server of these is mostly waiting for its own few threads, so several run
# at once; what one of them finds is the script's.
failed=$scratch/failed
running=0
in_background() {
	((running < 4)) || {
		wait -n || true
		running=$((running - 1))
	}
	[[ ! -e $failed ]] || settle
	(serves "$@") || touch "$failed" &
	running=$((running + 1))
}
settle() {
	wait
	running=0
	[[ ! -e $failed ]] || die "a setting does not serve; see above"
}

# for_locked_only TRY: a server that waits parked refuses it. The address can't
# be listened on, so none stays.
for_locked_only() {
	local says
	says=$("$kring" serve --wait parked --uring "$1" --listen 256.0.0.1:0 2>&1 </dev/null || true)
	[[ $says == *'wait locked'* ]]
}

served=0 locked_only=()
for try in "${tries[@]}"; do
	in_background "--uring $try, locked" --wait locked --uring "$try"
	served=$((served + 1))
	# The list says which settings are for locked engines; a value of another
	# may be, too, and is refused then.
	if for_locked_only "$try"; then
		locked_only+=("$try")
	else
		in_background "--uring $try, parked" --wait parked --uring "$try"
		served=$((served + 1))
	fi
done
for profile in "${profiles[@]}"; do
	for wait in locked parked; do
		in_background "--kernel-profile $profile, $wait" --wait "$wait" --kernel-profile "$profile"
		served=$((served + 1))
	done
done
settle
say "$served servers, each with a setting or a profile of its own: 10,000 lines, byte for byte"

start_kring io_uring --log-level error
for try in "${locked_only[@]}"; do refused 'wait locked' --engine io_uring --wait parked --uring "$try"; done
# All settings that the list marks are among them.
for key in $(list | awk '$3 == "locked" { print $1 }'); do
	(($# > 0)) || [[ " ${locked_only[*]}" == *" $key="* ]] || die "$key is said to be for locked engines, and parked ones take it"
done
refused 'single-issuer' --uring defer-taskrun=on,single-issuer=off --wait locked
refused 'nothing to flag' --uring taskrun-flag=on,coop-taskrun=off,defer-taskrun=off
refused 'min-wait-completions without min-wait' --uring min-wait-completions=4 --wait locked
refused 'busy-poll-forced without busy-poll' --uring busy-poll-forced=on
refused 'no send is larger' --uring zero-copy-bytes=8192,send-bytes=4096
refused 'power of two' --uring buffers=100
refused 'there is no setting' --uring speed=max
refused 'whole number' --uring entries=many
refused 'io_uring' --engine epoll --uring recv=single
refused 'kernel-profile' --kernel-profile 6.2
stop_kring
say "$((${#locked_only[@]} + 10)) combinations refused with the reason, before listening"
