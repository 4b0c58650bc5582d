# The lines that kcat sends and wants back. Source it after lib.bash.

# write_lines FILE writes 10,000 lines of every length from 8 B to about 2 KiB;
# no two are equal.
write_lines() {
	awk 'BEGIN {
		pad = "the quick brown fox jumps over the lazy dog "
		while (length(pad) < 2048) pad = pad pad
		for (i = 1; i <= 10000; i++) printf "%07d %s\n", i, substr(pad, 1, (i * 7919) % 2048)
	}' >"$1"
	sent=$1
}

# lines_return CODEC WHO sends the lines to the server and wants them back. One
# partition, so the order must be the same too.
lines_return() {
	kcat -q -b "$kring_addr" -P -t "kcat-$1" -p 0 -z "$1" -l "$sent" || die "$2: kcat could not send"
	kcat -q -b "$kring_addr" -C -t "kcat-$1" -p 0 -o beginning -e >"$scratch/received" || die "$2: kcat could not receive"
	cmp "$sent" "$scratch/received" || die "$2: what came back is not what was sent"
}
