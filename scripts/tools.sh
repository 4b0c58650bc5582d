#!/usr/bin/env bash
# Installs what the other scripts need and this machine lacks. Only Go, of the version
# in go.mod, must be there already.
#
# usage: scripts/tools.sh

source "$(dirname "$0")/lib.bash"

command -v go >/dev/null || die "go is missing: install the version that go.mod names"
need gcc gcc # the race detector and librdkafka's binding are linked with it
need git git
need strace strace
need kcat kcat
need openssl openssl
need /usr/include/openssl/ssl.h libssl-dev # a C floor of the benchmark is linked with it, and a test builds that
need curl curl
need ip iproute2
need java default-jre-headless
need javac default-jdk-headless
need mvn maven
need node nodejs
need npm npm
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip

# All modules at once, so that no later step waits for the network.
git -C "$root" ls-files -co --exclude-standard 'go.mod' '*/go.mod' | while read -r mod; do
	module=$(dirname "$mod")
	for try in 1 2 3; do
		(cd "$root/$module" && go mod download) && break
		((try < 3)) || die "go mod download failed in $module"
		sleep 5
	done
done
say "everything is here"
