#!/usr/bin/env bash
# Measures everything that bench/RESULTS.md judges, and writes that table.
#
# usage: scripts/goals.sh [-x N] [-o FOLDER] [WORD...]
#
#   -x N        N times the rounds (default 1: 50 minutes)
#   -o FOLDER   where the raw results and RESULTS.md go (default bench/results/goals)
#   WORD        only the runs whose line has one of the words: a scenario or a contestant
#
# The floors in C take part where a compiler is, the peers in Java and Rust once
# scripts/peers.sh has built them; what is absent is not measured. Afterwards
# `go run ./bench goals FOLDER/*.jsonl` writes the table again.

source "$(dirname "$0")/lib.bash"
times=1
folder=$root/bench/results/goals
while getopts x:o: option; do
	case $option in
	x) times=$OPTARG ;;
	o) folder=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
[[ $times =~ ^[1-9][0-9]?$ ]] || die "-x $times: a whole number of 1 to 99 is wanted"

# What runs together: rounds, milliseconds of a round, base, scenarios, contestants.
floors=c-uring,c-epoll
peers=go-net,gnet,netpoll,nbio,netty,monoio
# The first run is the README's table: go run ./bench overview FOLDER/THE-FIRST.jsonl --into README.md
runs=(
	"7 500 go-net 1x1,64x1,64x16,1000x1,1000x16,5000x1,10000x1,16x1-64k,4x1-1m kring,kring-uring-inline,kring-epoll,go-net,gnet,netpoll,nbio,monoio,$floors"
	"5 1000 go-net 1000x1,3000x1,5000x1,10000x1,1000x16 kring,kring-epoll,kring-uring-pool-locked,kring-uring-inline,kring-uring-inline-parked,kring-epoll-inline,go-net,$floors"
	"11 500 go-net 1x1,1000x1,64x1,64x16 kring,kring-epoll,kring-uring-inline,kring-uring-pool,kring-epoll-inline,$peers,$floors"
	"7 500 kring-uring-inline 1x1 kring-uring-inline,kring-uring-inline-busy"
	"5 500 gnet-frame 64x16 kring-uring-inline,gnet-frame"
	"9 800 kafka api-open,echo-open kring-uring-pool-embedded,kafka,$floors"
	"7 500 c-epoll api-64x1,echo-64x1 kring-uring-pool-embedded,kafka,$floors"
	"8 500 kafka api-64x16,echo-64x16 kring-uring-pool-embedded,kafka,$floors"
	"9 800 c-epoll api-paced,echo-paced kring-uring-pool-embedded,$floors"
	"9 400 c-epoll 64x1-paced,10000x1-paced kring-uring-inline,$floors"
	"8 600 go-net 64x1-paced,idle50k-paced kring-uring-inline,go-net"
	"11 500 go-net 16x1-64k kring-uring-inline,go-net,monoio,$floors"
	"9 500 go-net 4x1-1m kring-uring-inline,go-net,gnet,$floors"
	"9 500 go-net 16x1-16k kring-uring-inline,go-net,$floors"
	"9 500 go-net produce-64x1 kring-uring-pool,go-net"
	"11 600 c-epoll 1000x1-paced,64x16-paced kring-uring-inline,kring-uring-pool,go-net,$floors"
	"9 600 go-net 64x1-tls,64x16-tls,16x1-64k-tls,handshakes-tls,resumed-tls kring-uring-inline,kring-uring-pool,kring-epoll-inline,kring-epoll-pool,go-net,c-openssl"
	"8 500 kafka api-64x1-tls kring-uring-pool-embedded,kafka"
	"9 800 go-net open-own,open-slowest kring-uring-inline,$peers,$floors"
)

mkdir -p "$folder"
folder=$(cd "$folder" && pwd) # it may be named from where the caller stands
cd "$root"
go build -o "$scratch/bench" ./bench
measured=
for run in "${runs[@]}"; do
	read -r rounds millis base scenarios contestants <<<"$run"
	if (($# > 0)); then
		wanted=
		for word in "$@"; do [[ ,$scenarios,$contestants, == *,$word,* ]] && wanted=1; done
		[[ $wanted ]] || continue
	fi
	measured=1
	say "$scenarios, $((rounds * times)) rounds"
	"$scratch/bench" --out "$folder" --scenario "$scenarios" --contestants "$contestants" --base "$base" \
		--rounds $((rounds * times)) --duration "${millis}ms" >>"$folder/goals.log"
done
[[ $measured ]] || die "$*: no run has a scenario or contestant of that name; see the list in scripts/goals.sh"
"$scratch/bench" goals "$folder"/*.jsonl >"$folder/RESULTS.md"
say "wrote $folder/RESULTS.md: $(grep -m1 ' reached, ' "$folder/RESULTS.md")"
