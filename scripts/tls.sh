#!/usr/bin/env bash
# What openssl s_client and a TLS listener say to each other: versions that are refused,
# renegotiation (TLS 1.2), key updates (TLS 1.3), a certificate for each name (SNI), ALPN,
# and who speaks no TLS.
#
# usage: scripts/tls.sh [ENGINE...]

source "$(dirname "$0")/lib.bash"
engines "$@"
need openssl openssl
build_kring
# certificate FILE NAME makes FILE.pem and FILE.key.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$2" -addext "subjectAltName=DNS:$2" \
		-keyout "$scratch/$1.key" -out "$scratch/$1.pem" 2>"$scratch/req.log" || die "no certificate: $(cat "$scratch/req.log")"
}
certificate cert localhost
certificate other other.example

# has NAME FILE PATTERN waits until the file has a line like that.
has() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		if grep -aEq -- "$3" "$2"; then
			say "$engine: $1"
			return
		fi
		sleep 0.1
	done
	die "$engine: $1: no $3 within a minute in: $(tail -n 20 "$2" | tr -d '\0')"
}

# client FLAGS... is s_client, which is fed by what is written to descriptor 7 until that
# is closed; what it says is in $said.
said=$scratch/said
client() {
	rm -f "$scratch/feed"
	mkfifo "$scratch/feed"
	: >"$said"
	timeout 90 openssl s_client -connect "$at" -CAfile "$scratch/cert.pem" "$@" <"$scratch/feed" >"$said" 2>&1 &
	client_pid=$!
	exec 7>"$scratch/feed"
}
client_ends() {
	exec 7>&-
	wait "$client_pid" || true # its status is its opinion of the server; what it said is looked at
	client_pid=
}
client_pid=
end_others() { [[ -z $client_pid ]] || kill -KILL "$client_pid" 2>/dev/null || true; }

# echoes demands that a frame with three letters comes back.
echoes() {
	printf '\0\0\0\3%s' "$2" >&7
	has "$1" "$said" "$2"
}

try() {
	client -tls1_3
	has "TLS 1.3" "$said" 'TLSv1.3, Cipher'
	echoes "frames go over it" abc
	echo K >&7
	has "a key update that asks for another" "$said" 'KEYUPDATE'
	echoes "frames go on behind it" def
	echo k >&7
	has "a key update that asks for none" "$said" 'defKEYUPDATE'
	echoes "and behind that" ghi
	client_ends
	client -servername other.example
	has "a name of its own has its certificate" "$said" 'subject=.*other\.example'
	client_ends
	client -servername unknown.example
	has "an unknown name has the first" "$said" 'subject=.*localhost'
	client_ends
	client -noservername
	has "and no name" "$said" 'subject=.*localhost'
	client_ends
	client -alpn h2,kafka
	has "ALPN is ignored without --tls-alpn" "$said" 'No ALPN negotiated'
	client_ends
	tls=$at at=$named
	client -alpn h2,kafka
	has "ALPN: what both have is agreed to" "$said" 'ALPN protocol: kafka'
	client_ends
	client
	has "ALPN: who offers none is served" "$said" 'No ALPN negotiated'
	client_ends
	client -alpn h2
	has "ALPN: who offers others is refused with an alert" "$said" 'alert no application protocol'
	client_ends
	at=$tls
	client -tls1_1 -cipher DEFAULT@SECLEVEL=0
	has "TLS 1.1 is refused with an alert" "$said" 'alert protocol version|no protocols available'
	client_ends
	client -tls1_2
	has "TLS 1.2" "$said" 'TLSv1.2, Cipher'
	echoes "frames go over it" jkl
	echo R >&7
	has "a renegotiation is asked for" "$said" 'RENEGOTIATING'
	has "it is refused with an alert" "$said" 'alert (unexpected message|no renegotiation)'
	client_ends
	exec 7<>"/dev/tcp/${at%:*}/${at##*:}"
	printf 'no TLS, but something else' >&7
	has "who speaks no TLS is told apart" "$scratch/kring.log" 'reason=plaintext_on_tls'
	exec 7>&-
}

for engine in "${engines[@]}"; do
	start_kring "$engine" --handler echo --listen SSL://127.0.0.1:0 --log-level debug \
		--listen NAMED://127.0.0.1:0 --listener NAMED.security=SSL --listener NAMED.tls-alpn=kafka --tls-cert "$scratch/cert.pem" --tls-key "$scratch/cert.key" \
		--listener "SSL.tls-cert=$scratch/cert.pem,$scratch/other.pem" --listener "SSL.tls-key=$scratch/cert.key,$scratch/other.key"
	read -r at named <<<"$(sed -n 's/.*ready on [^ ,]*, \([^ ,]*\), \([^ ,]*\) .*/\1 \2/p' "$scratch/kring.out")"
	try
	stop_kring
done
