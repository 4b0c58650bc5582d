# kcat for scripts/versions.sh: what a person does with it.
#
# usage: kcat.bash VERSION SERVER ADDRESS FOLDER

set -uo pipefail
version=$1 server=$2 addr=$3 folder=$4/kcat-$2
prefix=kcat..$version..
mkdir -p "$folder"
for ((i = 0; i < 200; i++)); do printf '%d kring kring kring kring kring kring kring kring\n' "$i"; done >"$folder/sent"

# part NAME runs the function of that name; the first thing that fails is why.
part() {
	local why how=ok
	why=$("$1" 2>&1) || how="FAIL ${why//[$'\n\t']/ }"
	printf 'result\tkcat\t%s\t%s\t%s\t%s\n' "$version" "$server" "$1" "${how:0:400}"
}

kcat() { timeout 180 kcat -q -b "$addr" "$@" || { echo "kcat $* failed with $?" && return 1; }; }

codecs() {
	local codec
	for codec in none gzip snappy lz4 zstd; do
		kcat -P -t "${prefix}codec-$codec" -p 0 -z "$codec" -l "$folder/sent" || return
		kcat -C -t "${prefix}codec-$codec" -p 0 -o beginning -e >"$folder/got" || return
		cmp "$folder/sent" "$folder/got" || return
	done
}

list_topics() {
	kcat -L >"$folder/metadata" || return
	grep -q "topic \"${prefix}codec-gzip\"" "$folder/metadata" || { cat "$folder/metadata" && return 1; }
}

group() {
	kcat -G "${prefix}group" -X auto.offset.reset=earliest -c 200 "${prefix}codec-none" >"$folder/got" || return
	cmp "$folder/sent" "$folder/got"
}

regex() {
	kcat -G "${prefix}regex" -X auto.offset.reset=earliest -c 200 "^${prefix//./[.]}codec-gz.*" >"$folder/got" || return
	cmp "$folder/sent" "$folder/got"
}

offset_for_time() {
	kcat -Q -t "${prefix}codec-none:0:1" >"$folder/offset" || return
	grep -q "\[0\] offset 0" "$folder/offset" || { cat "$folder/offset" && return 1; }
}

for name in codecs list_topics group regex offset_for_time; do part "$name"; done
printf 'result\tkcat\t%s\t%s\tdone\tok\n' "$version" "$server"
