#!/usr/bin/env bash
# What openssl s_client and a TLS listener say to each other: versions that are refused,
# renegotiation (TLS 1.2), key updates (TLS 1.3), and who speaks no TLS. Needs openssl.
#
# usage: scripts/tls.sh [ENGINE...]
set -euo pipefail
cd "$(dirname "$0")/.."
command -v openssl >/dev/null || { echo "tls.sh: openssl is not installed" >&2; exit 2; }
work=$(mktemp -d)
server=
end() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"; }
trap end EXIT
go build -o "$work/kring" ./cmd/kring
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
	-keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
failed=0
# expect NAME PATTERN TEXT: TEXT must have PATTERN
expect() {
	if grep -Eq "$2" <<<"$3"; then echo "ok   $engine: $1"; else echo "FAIL $engine: $1: no $2 in:"; tail -20 <<<"$3"; failed=1; fi
}
for engine in "${@:-io_uring epoll portable}"; do for engine in $engine; do
	"$work/kring" serve --engine "$engine" --handler echo --listen SSL://127.0.0.1:0 --tls-cert "$work/cert.pem" --tls-key "$work/key.pem" \
		>"$work/out" 2>"$work/log" &
	server=$!
	for _ in $(seq 600); do grep -q 'ready on' "$work/out" && break; sleep 0.1; done
	at=$(grep -oE '127\.0\.0\.1:[0-9]+' "$work/out" | head -1)
	client() { timeout 20 openssl s_client -connect "$at" -CAfile "$work/cert.pem" "$@" 2>&1 || true; }
	expect "TLS 1.3" 'TLSv1.3, Cipher' "$(client -tls1_3 </dev/null)"
	expect "TLS 1.2" 'TLSv1.2, Cipher' "$(client -tls1_2 </dev/null)"
	expect "TLS 1.1 is refused with an alert" 'alert|no protocols available' "$(client -tls1_1 -cipher DEFAULT@SECLEVEL=0 </dev/null)"
	expect "renegotiation is refused" 'RENEGOTIATING' "$({ sleep 1; echo R; sleep 2; } | client -tls1_2)"
	expect "the refusal is counted and logged" 'tls_handshake_failed' "$(cat "$work/log")"
	expect "key updates go on" '^KEYUPDATE' "$({ sleep 1; echo K; sleep 1; echo k; sleep 1; } | client -tls1_3)"
	kill -TERM "$server"; wait "$server" || true; server=
done; done
exit $failed
