#!/usr/bin/env bash
# Runs every command of the documents: README.md, CONTRIBUTING.md, examples/README.md and
# docs/*.md. A reader can paste what stands there, and it works.
#
# usage: scripts/docs.sh [PAGE...]
#
# What a page's blocks mean:
#
#   ```sh                        its commands are run, in order, in one shell, as a reader would
#   <!-- not run: REASON -->     above another block with commands: it is not, and why
#   <!-- file: NAME -->          above another block: it is the file NAME for the commands below
#   <!-- output -->              above a block behind a sh block: what the commands print. At
#                                least half of the words of each line have to be there
#   # prints: WORDS              a line behind a command: it prints these words
#
# A page has a folder of its own, with the checkout's files, and a network of its own, so that the
# ports which it names are free. `kring serve` and `kring gateway` go on behind a command that
# follows; the next command runs when they are ready. They are stopped by SIGTERM at the page's
# end, or before the next block that starts a server, and must exit with 0. `go run ./cmd/kring`
# is the kring that is built already (KRING_BIN), and other go commands run in the checkout.

source "$(dirname "$0")/lib.bash"
pages=("$@")
if (($# == 0)); then
	cd "$root"
	pages=(README.md CONTRIBUTING.md examples/README.md docs/*.md)
fi
need kcat kcat
need curl curl
need openssl openssl
need ip iproute2
need unshare util-linux
build_kring
mkdir "$scratch/bin"
ln -s "$(realpath "$kring")" "$scratch/bin/kring"

# Root needs no user namespace, and may be in a container that has none.
network=(unshare -n)
"${network[@]}" true 2>/dev/null || network=(unshare -rn)
"${network[@]}" true 2>/dev/null || die "no network namespace can be made here: run this as root, or allow user namespaces (sysctl user.max_user_namespaces)"

# begin PAGE begins to run its commands, beside other pages. What commands write does not come
# into the checkout: its folders are links in a folder of the page's own.
begin() {
	local folder=$scratch/${1//\//-} entry
	mkdir "$folder"
	for entry in "$root"/*; do ln -s "$entry" "$folder/"; done
	awk -v page="$1" -f "$root/scripts/docs/blocks.awk" "$root/$1" >"$folder.bash"
	counts+=("$(grep -c '^at ' "$folder.bash" || true)")
	(
		cd "$folder"
		export root PATH="$scratch/bin:$PATH" OUT="$folder.out" KRING_BIN="$scratch/bin/kring"
		exec timeout -k 5 120 "${network[@]}" bash "$folder.bash"
	) &
	pids+=("$!")
}

# end_first waits for the page that began first.
commands=0 ended=0 counts=() pids=()
end_first() {
	local page=${pages[ended]} count=${counts[ended]}
	wait "${pids[ended]}" || die "$page: a command failed, or all of them took more than two minutes"
	ended=$((ended + 1))
	commands=$((commands + count))
	((count == 0)) || say "$page: $count commands ran"
}
end_others() {
	local pid
	for pid in "${pids[@]:ended}"; do kill -TERM "$pid" 2>/dev/null || true; done
	wait
}

# They wait more than they compute.
for page in "${pages[@]}"; do
	begin "$page"
	((${#pids[@]} - ended < 4)) || end_first
done
while ((ended < ${#pids[@]})); do end_first; done
say "$commands commands ran in all"
