# What the script of a page begins with (see ../docs.sh). Its only argument is the page.
#
#   OUT   the file for what a command prints
#   root  the checkout

set -euo pipefail
ip link set lo up
page=$1
line=0 command= servers=() stopping=
: >"$OUT"
: >"$OUT.block"

# at LINE COMMAND says what runs next.
at() { line=$1 command=$2; }

# block begins a block: what is printed in it is compared with the text behind it.
block() { : >"$OUT.block"; }

# ran keeps what a command printed.
ran() { cat "$OUT" >>"$OUT.block"; }

# failed is the only exit trap: it says which command it was.
failed() {
	local status=$? pid
	trap - EXIT
	for pid in "${servers[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	((status != 0)) || return 0
	printf '%s:%s: %s (status %d)\n' "$page" "$line" "${stopping:-$command}" "$status"
	tail -n 20 "$OUT"
	[[ ! -e $OUT.log ]] || tail -n 20 "$OUT.log"
	exit "$status"
} >&9
exec 9>&2 # inside a command that fails, 2 is its own
trap failed EXIT

# go is what a reader's go does; kring is built already.
go() {
	case "$*" in
	"run ./cmd/kring" | "run ./cmd/kring "*) kring "${@:3}" ;;
	"build -o kring ./cmd/kring") cp "$(realpath "$KRING_BIN")" kring ;;
	*) (cd "$root" && command go "$@") ;;
	esac
}

# serve COMMAND starts a server and waits until it is ready. $! is its process.
serve() {
	local tries
	[[ $1 != go ]] || set -- "${@:3}"
	[[ $1 == kring ]] || set -- kring "${@:2}"
	: >"$OUT"
	"$@" >"$OUT" 2>"$OUT.log" </dev/null 9>&- &
	servers+=("$!")
	for ((tries = 0; tries < 600; tries++)); do
		if grep -q 'ready on' "$OUT"; then
			ran
			return
		fi
		kill -0 "$!" 2>/dev/null || { echo "it ended before it was ready" >>"$OUT.log"; return 1; }
		sleep 0.1
	done
	echo "it was not ready within a minute" >>"$OUT.log"
	return 1
}

# stop_all ends the servers as a supervisor does; each has to end well.
stop_all() {
	local pid
	for pid in "${servers[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
	for pid in "${servers[@]}"; do
		stopping="a server did not exit with 0 after SIGTERM"
		wait "$pid"
		stopping=
	done
	servers=()
}

# write NAME makes a file of a block.
write() {
	mkdir -p "$(dirname "$1")"
	cat >"$1"
}

# prints WORDS demands that the command before it printed each of them.
prints() {
	local word
	for word in $1; do
		grep -qF -- "$word" "$OUT" || { echo "it did not print: $word" >>"$OUT"; return 1; }
	done
}

# told reads what a block is said to print. Numbers, and what depends on a machine, differ: half
# of the words of each line have to be there.
told() {
	local text word all there
	while read -r text; do
		all=0 there=0
		for word in $text; do
			[[ $word =~ ^[^0-9]*[[:alpha:]][^0-9]*$ ]] || continue
			all=$((all + 1))
			! grep -qF -- "$word" "$OUT.block" || there=$((there + 1))
		done
		((2 * there >= all)) || { printf 'it did not print: %s\n' "$text" >>"$OUT"; return 1; }
	done
}
