#!/usr/bin/env bash
# Makes certificates to try TLS with; needs only Go. They are for tests: the keys of the
# authorities are thrown away, and nobody vouches for anything.
#
# usage: scripts/test-certs.sh [-p PASSWORD] [-c NAME] DIR [HOST...]
#
#   -p  password of the PKCS#12 files and the encrypted keys (changeit)
#   -c  common name of the client's certificate (client)
#   HOST  names and addresses of the server (localhost 127.0.0.1 ::1)
#
# DIR gets ca.pem and trust.p12 (who is trusted), server.*, client.* and, of another
# authority, stranger.*: each as .pem and .key, -encrypted.key and .p12; and password. For
# OAUTHBEARER jwks.json, token (of NAME, issuer https://issuer.test, audience kring, valid
# for a day) and token-forged, which another key signed.

source "$(dirname "$0")/lib.bash"
password=changeit client=client
while getopts p:c: option; do
	case $option in
	p) password=$OPTARG ;;
	c) client=$OPTARG ;;
	*) die "$(usage)" ;;
	esac
done
shift $((OPTIND - 1))
(($# > 0)) || die "$(usage)"
dir=$(realpath -m "$1")
shift
(cd "$root" && go run ./internal/testcerts/make -password "$password" -client "$client" "$dir" "$@")
say "$dir has $(find "$dir" -type f | wc -l) files; the password is in $dir/password"
