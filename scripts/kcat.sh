#!/usr/bin/env bash
# kcat (librdkafka 2.0) against kring: 10,000 lines go in, the same 10,000 come
# out, for every compression, and the server tells clients its own address.
#
# usage: scripts/kcat.sh [ENGINE...]

source "$(dirname "$0")/lib.bash"
engines "$@"
need kcat kcat
build_kring

# Lines of every length from 8 B to about 2 KiB; no two are equal.
awk 'BEGIN {
	pad = "the quick brown fox jumps over the lazy dog "
	while (length(pad) < 2048) pad = pad pad
	for (i = 1; i <= 10000; i++) printf "%07d %s\n", i, substr(pad, 1, (i * 7919) % 2048)
}' >"$scratch/sent"

for engine in "${engines[@]}"; do
	start_kring "$engine"

	# The one broker that clients learn of must be the address we listen on.
	kcat -b "$kring_addr" -L >"$scratch/metadata"
	grep -q "at $kring_addr" "$scratch/metadata" ||
		die "$engine: kcat -L does not show $kring_addr: $(cat "$scratch/metadata")"
	grep -q '^ 1 brokers:' "$scratch/metadata" || die "$engine: not exactly one broker: $(cat "$scratch/metadata")"

	# One partition, so the order must be the same too.
	for codec in none gzip snappy lz4 zstd; do
		kcat -q -b "$kring_addr" -P -t "kcat-$codec" -p 0 -z "$codec" -l "$scratch/sent"
		kcat -q -b "$kring_addr" -C -t "kcat-$codec" -p 0 -o beginning -e >"$scratch/received"
		cmp "$scratch/sent" "$scratch/received" || die "$engine, $codec: what came back is not what was sent"
	done

	# A group of one reads the same again, and what it committed it does not
	# read twice.
	kcat -q -b "$kring_addr" -G kcat-group -X auto.offset.reset=earliest -c 10000 kcat-none >"$scratch/received" 2>"$scratch/kcat.log"
	cmp "$scratch/sent" "$scratch/received" || die "$engine: the group did not read what was sent"

	stop_kring
	say "$engine: 10,000 lines, five codecs, byte for byte"
done
