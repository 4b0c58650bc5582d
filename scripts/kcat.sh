#!/usr/bin/env bash
# Runs kcat (librdkafka 2.0) against kring. 10,000 lines are produced and the same
# 10,000 are consumed, with every compression, which the stored batches show. The
# server must advertise its own address.
#
# usage: scripts/kcat.sh [ENGINE...]

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/lines.bash"
engines "$@"
need kcat kcat
build_kring

(cd "$root/internal/clients" && go build -o "$scratch/stored" ./stored)

write_lines "$scratch/sent"

for engine in "${engines[@]}"; do
	start_kring "$engine"

	# The broker's advertised address must be the one that the server listens on.
	kcat -b "$kring_addr" -L >"$scratch/metadata"
	grep -q "at $kring_addr" "$scratch/metadata" ||
		die "$engine: kcat -L does not show $kring_addr: $(cat "$scratch/metadata")"
	grep -q '^ 1 brokers:' "$scratch/metadata" || die "$engine: not exactly one broker: $(cat "$scratch/metadata")"

	for codec in none gzip snappy lz4 zstd; do
		lines_return "$codec" "$engine, $codec"
	done

	# The consumed records don't show whether they were compressed.
	"$scratch/stored" -topics '^(kcat)(-)(none|gzip|snappy|lz4|zstd)$' "$engine=$kring_addr" >"$scratch/stored.txt" ||
		die "$engine: what is stored is not what kcat was to send: $(cat "$scratch/stored.txt")"
	(($(wc -l <"$scratch/stored.txt") == 5)) || die "$engine: not all of the five topics were looked at: $(cat "$scratch/stored.txt")"

	# A group of one reads the same again, and what it committed it does not
	# read twice.
	kcat -q -b "$kring_addr" -G kcat-group -X auto.offset.reset=earliest -c 10000 kcat-none >"$scratch/received" 2>"$scratch/kcat.log"
	cmp "$scratch/sent" "$scratch/received" || die "$engine: the group did not read what was sent"

	stop_kring
	say "$engine: 10,000 lines, five codecs, byte for byte"
done
