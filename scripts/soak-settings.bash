# The part of soak.sh that chooses settings of io_uring by a seed, from those
# that the program lists. Each server lives for $every
# seconds; what it holds after its load is what it held after a short one.

# choose picks settings, a profile and a way to wait, into $chosen.
choose() {
	local i n=$((RANDOM % 6 + 1)) wait=(locked parked)
	chosen=(--wait "${wait[RANDOM % 2]}")
	for ((i = 0; i < n; i++)); do chosen+=(--uring "${tries[RANDOM % ${#tries[@]}]}"); done
	((RANDOM % 3 > 0)) || chosen+=(--kernel-profile "${profiles[RANDOM % ${#profiles[@]}]}")
	((RANDOM % 2 > 0)) || chosen+=(--processors 2)
}

# legal says whether a server takes what was chosen: on an address that nobody
# can listen on, it gets as far as trying to.
legal() {
	local says
	says=$("$kring" serve --engine io_uring --listen 256.0.0.1:0 "${chosen[@]}" 2>&1 </dev/null || true)
	[[ $says == *256.0.0.1* ]] && return
	[[ $says == *'kring: error:'* ]] || die "${chosen[*]}: neither served nor refused: $says"
	return 1
}

# one_server loads a server with what was chosen and looks at what is left.
one_server() {
	local what="seed $seed, ${chosen[*]}" descriptors goroutines threads memory count
	start_kring io_uring "${chosen[@]}"
	run 2 short
	settled "$what"
	descriptors=$(fds) goroutines=$(field goroutines) threads=$(field kernel_threads) memory=$(rss_kib)
	run "$every" soak
	settled "$what"
	for count in queued_requests buffers_lent lent_bytes; do
		(($(field "$count") == 0)) || die "$what: $count is $(field "$count") with every client gone: $state"
	done
	(($(fds) <= descriptors)) || die "$what: $descriptors descriptors before, $(fds) after"
	(($(field goroutines) <= goroutines + 8)) || die "$what: $goroutines goroutines before: $state"
	(($(field kernel_threads) <= threads)) || die "$what: $threads kernel threads before: $state"
	(($(rss_kib) - memory <= growth_max_kib)) || die "$what: resident memory grew from $memory KiB to $(rss_kib) KiB"
	say "${chosen[*]}: $(sed 's/^load: //' "$scratch/load.out"); before and after: descriptors $descriptors $(fds), goroutines $goroutines $(field goroutines), kernel threads $threads $(field kernel_threads), KiB $memory $(rss_kib)"
	stop_kring
}

soak_settings() {
	local until=$((SECONDS + seconds)) servers=0 refused=0
	engine=io_uring
	[[ $seed =~ ^[0-9]+$ ]] || die "-r $seed: give a number as the seed"
	say "seed $seed"
	RANDOM=$seed
	build_kring
	"$kring" doctor --settings >"$scratch/settings"
	mapfile -t tries < <(awk '/^$/ { exit } NR > 1 && !/^ / { for (i = 4; i <= NF; i++) print $i }' "$scratch/settings")
	read -ra profiles <<<"$(sed -n 's/^Kernel profiles .*: //p' "$scratch/settings")"
	((${#tries[@]} > 0 && ${#profiles[@]} > 1)) || die "the program lists nothing to try: $(cat "$scratch/settings")"
	while ((SECONDS < until)); do
		choose
		if ! legal; then
			refused=$((refused + 1))
			continue
		fi
		one_server
		servers=$((servers + 1))
	done
	((servers > 0)) || die "seed $seed: of $refused choices none was legal"
	say "seed $seed: $servers servers with settings of their own, $refused combinations refused"
}
