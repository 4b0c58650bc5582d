# What the scripts here share. Source it; it does nothing by itself.
#
# With --help a script that sources it prints the script's header, and ends.
#
#   KRING_BIN      a built kring to test; without it one is built
#   KRING_ENGINES  the engines to test when a script is given none
#   KRING_COMMAND  the command that start_kring runs, with its flags (default: serve)
#
# A script ends everything it starts, by process id. Everything it writes is in
# $scratch, which is removed at the end (KEEP=1 keeps it).

set -euo pipefail
export LC_ALL=C # how numbers are written and lines sorted

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=$(basename "$0" .sh)

# It runs with the script's own arguments.
for argument; do
	if [[ $argument == --help || $argument == -h ]]; then
		awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$root/scripts/$name.sh"
		exit
	fi
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/kring-$name.XXXXXX")
kring_pid=
kring_addr=

say() { printf '%s: %s\n' "$name" "$*"; }

die() {
	printf '%s: %s\n' "$name" "$*" >&2
	exit 1
}

# usage is the script's own line of usage, as its header has it.
usage() { sed -n 's/^# \(usage: .*\)/\1/p' "$root/scripts/$name.sh"; }

# end_others ends processes that on_exit does not know. A script that has such redefines
# it.
end_others() { :; }

# on_exit ends the server if it still runs, and says where to look after a failure. It is
# the only exit trap, because $? must be the script's.
on_exit() {
	local status=$?
	trap - EXIT
	end_others
	if [[ -n $kring_pid ]]; then
		kill -KILL "$kring_pid" 2>/dev/null || true
		wait "$kring_pid" 2>/dev/null || true
	fi
	if ((status != 0)) && [[ -s $scratch/kring.log ]]; then
		printf '%s: the server said last:\n' "$name" >&2
		tail -n 30 "$scratch/kring.log" >&2
	fi
	if [[ ${KEEP:-} == 1 ]]; then
		say "kept $scratch"
	else
		rm -rf "$scratch"
	fi
	exit "$status"
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# there WHAT is true if a command, or a file with a whole path, is there.
there() { [[ $1 == /* && -e $1 ]] || command -v "$1" >/dev/null; }

# need WHAT PACKAGE installs a Debian package whose command or file is missing.
need() {
	there "$1" && return
	say "$1 is missing: installing $2"
	local apt=(apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300) try
	((EUID == 0)) || apt=(sudo "${apt[@]}")
	for try in 1 2 3; do
		if "${apt[@]}" update >"$scratch/apt.log" 2>&1 &&
			DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "$2" >>"$scratch/apt.log" 2>&1; then
			there "$1" && return
		fi
		say "try $try of 3 failed"
		sleep 5
	done
	tail -n 20 "$scratch/apt.log" >&2
	die "could not install $2; install it by hand and run this again"
}

# engines fills the list $engines from a script's arguments.
engines() {
	if (($# > 0)); then
		engines=("$@")
	else
		read -ra engines <<<"${KRING_ENGINES:-io_uring epoll portable}"
	fi
}

# build_kring [FLAGS...] makes $kring, the program under test.
build_kring() {
	if [[ -n ${KRING_BIN:-} && $# -eq 0 ]]; then
		kring=$KRING_BIN
		return
	fi
	kring=$scratch/kring
	(cd "$root" && go build "$@" -o "$kring" ./cmd/kring)
}

# build_load makes $load, the program that keeps a server busy.
build_load() {
	load=$scratch/load
	(cd "$root/internal/clients" && go build -o "$load" ./load)
}

# start_kring ENGINE [FLAGS...] starts a server on a free port and waits for
# its ready line.
start_kring() {
	local engine=$1 tries
	shift
	: >"$scratch/kring.out"
	: >"$scratch/kring.log"
	local command
	read -ra command <<<"${KRING_COMMAND:-serve}"
	"$kring" "${command[@]}" --engine "$engine" --listen 127.0.0.1:0 "$@" \
		>"$scratch/kring.out" 2>"$scratch/kring.log" </dev/null &
	kring_pid=$!
	for ((tries = 0; tries < 600; tries++)); do
		kring_addr=$(sed -n 's/.*ready on \([^ ,]*:[0-9]*\).*/\1/p' "$scratch/kring.out" | head -n 1)
		[[ -n $kring_addr ]] && return
		if ! kill -0 "$kring_pid" 2>/dev/null; then
			wait "$kring_pid" || true
			kring_pid=
			die "kring ended before it was ready on $engine"
		fi
		sleep 0.1
	done
	die "kring was not ready on $engine within a minute"
}

# stop_kring ends the server and demands that it exits with 0.
stop_kring() {
	local pid=$kring_pid status=0
	kring_pid=
	kill -TERM "$pid" 2>/dev/null || true
	wait "$pid" || status=$?
	((status == 0)) || die "kring ended with status $status after SIGTERM: $(tail -n 5 "$scratch/kring.log")"
}
