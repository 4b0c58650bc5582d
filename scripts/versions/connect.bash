# Kafka Connect for scripts/versions.sh: a distributed worker with an exactly-once
# source reads a file into a topic, and a sink writes the topic to a file; the
# worker is killed and started again in between.
#
# usage: connect.bash VERSION SERVER ADDRESS FOLDER JARS

set -euo pipefail
version=$1 server=$2 addr=$3 folder=$4/connect-$2 jars=$5
name=connect-$version
rest=127.0.0.1:$((20000 + RANDOM % 12000))
worker=
mkdir -p "$folder"
trap '[[ -z $worker ]] || kill -KILL "$worker" 2>/dev/null || true' EXIT

fail() {
	printf 'result\tconnect\t%s\t%s\t%s\tFAIL %s\n' "$version" "$server" "$part" "$*"
	tail -n 20 "$folder/worker.log" >&2
	exit 1
}

ok() { printf 'result\tconnect\t%s\t%s\t%s\tok\n' "$version" "$server" "$part"; }

# within SECONDS COMMAND... waits until it succeeds.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@" 2>/dev/null; do
		((SECONDS < end)) || fail "not in time: $*"
		kill -0 "$worker" 2>/dev/null || fail "the worker ended"
		sleep 0.2
	done
}

cat >"$folder/worker.properties" <<-ENDFILE
	bootstrap.servers=$addr
	client.id=kring-connect-$version
	group.id=$name
	listeners=http://$rest
	key.converter=org.apache.kafka.connect.storage.StringConverter
	value.converter=org.apache.kafka.connect.storage.StringConverter
	config.storage.topic=$name-configs
	offset.storage.topic=$name-offsets
	status.storage.topic=$name-status
	config.storage.replication.factor=1
	offset.storage.replication.factor=1
	status.storage.replication.factor=1
	offset.storage.partitions=1
	status.storage.partitions=1
	exactly.once.source.support=enabled
	offset.flush.interval.ms=1000
	session.timeout.ms=6000
	heartbeat.interval.ms=1000
	rebalance.timeout.ms=6000
	scheduled.rebalance.max.delay.ms=0
	consumer.metadata.max.age.ms=1000
ENDFILE

start_worker() {
	java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx512m -cp "$jars/*" \
		org.apache.kafka.connect.cli.ConnectDistributed "$folder/worker.properties" >>"$folder/worker.log" 2>&1 </dev/null &
	worker=$!
	within 120 curl -fsS -o /dev/null "http://$rest/connectors"
}

connector() {
	within 60 curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/json' \
		"http://$rest/connectors/$1/config" -d "$2"
}

# lines FROM TO adds lines to the source's file.
lines() { seq -f 'line %06.0f' "$1" "$2" >>"$folder/in"; }

# in_topic demands that the topic holds each line once, in order, for a committed read.
in_topic() {
	timeout 60 kcat -q -b "$addr" -C -t "$name-lines" -p 0 -o beginning -e -X isolation.level=read_committed >"$folder/topic"
	cmp -s "$folder/in" "$folder/topic"
}

in_file() { cmp -s "$folder/in" "$folder/out"; }

part=run
lines 1 1000
start_worker
connector source "{\"connector.class\":\"FileStreamSource\",\"tasks.max\":\"1\",\"file\":\"$folder/in\",\"topic\":\"$name-lines\",\"exactly.once.support\":\"required\",\"transaction.boundary\":\"poll\",\"topic.creation.default.replication.factor\":\"1\",\"topic.creation.default.partitions\":\"1\"}"
connector sink "{\"connector.class\":\"FileStreamSink\",\"tasks.max\":\"1\",\"file\":\"$folder/out\",\"topics\":\"$name-lines\"}"
within 120 in_topic
within 120 in_file
ok

part=killed
kill -KILL "$worker"
wait "$worker" 2>/dev/null || true
lines 1001 2000
start_worker
within 120 in_topic
ok

part=restarted
kill -TERM "$worker"
wait "$worker" || true
lines 2001 3000
start_worker
within 120 in_topic
ok
kill -TERM "$worker"
wait "$worker" || true
worker=
printf 'result\tconnect\t%s\t%s\tdone\tok\n' "$version" "$server"
