#!/usr/bin/env bash
# Builds the peers that need more than Go, for 'go run ./bench': Netty's
# io_uring transport and Apache Kafka (Java and Maven), and monoio (Rust). They
# are kept in KRING_PEERS (default: kring-peers in the user's cache folder), where the
# benchmark looks for them. A peer whose tools are missing is left out, with a message.
#
# usage: scripts/peers.sh [netty|kafka|monoio...]

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/kafka.bash"
peers=${KRING_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-peers}
mkdir -p "$peers"

# wrap NAME writes the program that the benchmark starts, from standard input.
wrap() {
	mkdir -p "$peers/$1"
	cat >"$peers/$1/run.new"
	chmod +x "$peers/$1/run.new"
	mv "$peers/$1/run.new" "$peers/$1/run"
	say "$1 is ready"
}

with_java() {
	command -v java >/dev/null && command -v mvn >/dev/null && return
	say "$1 needs Java 17 and Maven (apt-get install default-jdk-headless maven): left out"
	return 1
}

netty() {
	with_java netty || return 0
	fetch_maven "$root/bench/peers/netty/pom.xml" "$peers/netty"
	javac -d "$peers/netty/classes" -cp "$jars/*" "$root/bench/peers/netty/Echo.java"
	wrap netty <<RUN
#!/bin/sh
here=\$(dirname "\$0")
exec java -XX:+UseSerialGC -Xms256m -Xmx256m --enable-native-access=ALL-UNNAMED -cp "\$here/classes:\$here/$(basename "$jars")/*" kring.Echo
RUN
}

kafka() {
	with_java kafka || return 0
	fetch_maven "$root/scripts/kafka/pom.xml" "$peers/kafka"
	cp "$root/scripts/kafka/server.properties" "$peers/kafka/"
	# One KRaft node on free ports, its log in a folder that goes with it. With the PEM
	# files of a certificate and its key its clients' listener speaks TLS. The
	# process becomes the broker, so that its counters are the broker's.
	wrap kafka <<RUN
#!/usr/bin/env bash
here=\$(cd "\$(dirname "\$0")" && pwd)
data=\$(mktemp -d "\${TMPDIR:-/tmp}/kring-kafka.XXXXXX")
free() { local p; while p=\$((20000 + RANDOM % 12000)); (exec 3<>/dev/tcp/127.0.0.1/\$p) 2>/dev/null; do :; done; echo \$p; }
port=\$(free) controller=\$(free)
speaks=PLAINTEXT
if [ \$# = 2 ]; then
	speaks=SSL
	cat "\$2" "\$1" >"\$data/keystore.pem"
fi
{
	grep -v ^inter.broker.listener.name= "\$here/server.properties"
	echo "inter.broker.listener.name=\$speaks"
	echo "listeners=\$speaks://127.0.0.1:\$port,CONTROLLER://127.0.0.1:\$controller"
	echo "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT"
	echo "advertised.listeners=\$speaks://127.0.0.1:\$port"
	if [ \$speaks = SSL ]; then
		echo "ssl.keystore.type=PEM"
		echo "ssl.keystore.location=\$data/keystore.pem"
		echo "ssl.truststore.type=PEM"
		echo "ssl.truststore.location=\$1"
	fi
	echo "controller.quorum.voters=1@127.0.0.1:\$controller"
	echo "log.dirs=\$data/log"
	echo "num.network.threads=1"
} >"\$data/properties"
java=(java -XX:+UseSerialGC -Xshare:auto -Xmx1g -cp "\$here/$(basename "$jars")/*")
"\${java[@]}" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "\$data/properties" >"\$data/out" 2>&1 || {
	cat "\$data/out" >&2
	rm -rf "\$data"
	exit 1
}
{
	until (exec 3<>/dev/tcp/127.0.0.1/\$port) 2>/dev/null; do
		kill -0 \$\$ 2>/dev/null || exit 1
		sleep 0.1
	done
	echo "ready 127.0.0.1:\$port"
	cat >/dev/null
	kill -KILL \$\$
	rm -rf "\$data"
} <&0 3>&- &
exec "\${java[@]}" kafka.Kafka "\$data/properties" >"\$data/out" 2>&1 </dev/null
RUN
}

monoio() {
	if ! command -v cargo >/dev/null; then
		say "monoio needs Rust (rustup.rs): left out"
		return 0
	fi
	CARGO_TARGET_DIR=$scratch/monoio cargo build -q --release --manifest-path "$root/bench/peers/monoio/Cargo.toml" \
		>"$scratch/cargo.log" 2>&1 || die "monoio: cargo failed: $(tail -n 20 "$scratch/cargo.log")"
	mkdir -p "$peers/monoio"
	mv "$scratch/monoio/release/monoio-echo" "$peers/monoio/run"
	say "monoio is ready"
}

(($# > 0)) || set -- netty kafka monoio
for peer; do
	case $peer in
	netty | kafka | monoio) "$peer" ;;
	*) die "there is no peer $peer: choose of netty, kafka, monoio" ;;
	esac
done
