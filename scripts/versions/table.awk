# Makes scripts/versions.sh's table of three files: the differences that are
# allowed, what was planned, and the lines "result", client, version, server,
# part, how. Exits with 1 if something failed, or was planned and did not end.

FNR == 1 { file++ }
file == 1 {
	sub(/#.*/, "")
	if (NF) allowed[++differences] = "^" $1 " " $2 " " $3 " " $4 "$"
	next
}
file == 2 { order[++plans] = $0; next }
{
	if (split($0, field, "\t") != 6 || field[1] != "result") next
	run = field[2] " " field[3] " " field[4]
	part = field[5]
	if (part == "done") { ended[run] = 1; next }
	how[run, part] = field[6]
	if (field[6] == "ok") {
		good[run]++
		if (excused(run " " part)) print "differences.allow need not name any more: " run " " part
	}
	else if (excused(run " " part)) known[run] = known[run] " " part
	else bad[run] = bad[run] "\n    " part ": " field[6]
	if (part == "codecs" || part ~ /^stored-/) seen[run, part] = 1
}

function excused(what,   i) {
	for (i = 1; i <= differences; i++) if (what ~ allowed[i]) return 1
	return 0
}

# Whoever compressed must have been looked at.
function looked(run,   i, n, name, codec) {
	if (how[run, "codecs"] != "ok") return
	n = split("none gzip snappy lz4", codec, " ")
	for (i = 1; i <= n; i++) {
		name = "stored-" codec[i]
		if (!((run, name) in seen)) bad[run] = bad[run] "\n    " name ": FAIL nobody looked at the stored batches"
	}
}

END {
	for (i = 1; i <= plans; i++) {
		run = order[i]
		looked(run)
		if (!(run in ended)) bad[run] = bad[run] "\n    it did not come to its end"
		split(run, name, " ")
		wrong = (run in bad)
		state = wrong ? "FAIL" : "ok"
		printf "%-4s %-14s %-8s %-9s %2d parts ok%s%s\n", state, name[1], name[2], name[3], good[run], known[run] ? ", allowed to fail:" known[run] : "", bad[run]
		failed += wrong
	}
	printf "%d of %d runs are right\n", plans - failed, plans
	exit (failed > 0)
}
