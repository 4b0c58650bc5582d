#!/usr/bin/env bash
# Runs Apache Kafka's own Java tools against kring: verifiable producer and consumer,
# performance tests, topics, consumer groups, transactions, share groups and cluster
# administration.
#
# usage: scripts/java.sh [ENGINE...]
#
# The tools come from Maven Central by scripts/java/pom.xml and are kept in
# KRING_JAVA_CACHE (default: kring-java-tools in the user's cache folder).
#
#   KRING_JAVA_PARTS  which of the parts to run (default: all)

source "$(dirname "$0")/lib.bash"
engines "$@"
need java default-jre-headless
need mvn maven
build_kring

# The folder is named after its content, so another pom.xml gets another folder. It
# gets that name only when it is complete.
pom=$root/scripts/java/pom.xml
cache=${KRING_JAVA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-java-tools}/$(sha256sum <"$pom" | cut -c 1-16)
if [[ ! -d $cache ]]; then
	say "fetching the tools into $cache"
	for try in 1 2 3; do
		rm -rf "$scratch/jars"
		mvn -q -B -ntp -f "$pom" dependency:copy-dependencies -DoutputDirectory="$scratch/jars" \
			-DincludeScope=runtime >"$scratch/mvn.log" 2>&1 && break
		((try < 3)) || die "mvn failed: $(tail -n 20 "$scratch/mvn.log")"
	done
	mkdir -p "$(dirname "$cache")"
	mv "$scratch/jars" "$cache" 2>/dev/null || cp -r "$scratch/jars" "$cache"
fi

# tool CLASS ARGS... runs a tool; $out has its output. Most of a run is the JVM's start,
# so the JVM is told not to optimise.
out=$scratch/tool.out
tool() {
	local class=$1 status=0
	shift
	timeout 300 java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx256m \
		-Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
		-cp "$cache/*" "org.apache.kafka.tools.$class" "$@" >"$out" 2>"$scratch/tool.err" || status=$?
	if ((status != 0)) || grep -E '^\[.*\] (ERROR|FATAL)|Exception' "$out" "$scratch/tool.err" >&2; then
		tail -n 20 "$out" "$scratch/tool.err" >&2
		die "$engine: $class $* failed (status $status)"
	fi
}

# expect TEXT demands that the last tool printed it.
expect() {
	grep -Eq -- "$1" "$out" || die "$engine: $2: no line like '$1' in: $(tail -n 20 "$out")"
}

topics() {
	local kind
	for kind in verifiable perf transactional; do
		tool TopicCommand --bootstrap-server "$kring_addr" --create --topic "java-$kind" --partitions 3
	done
	tool TopicCommand --bootstrap-server "$kring_addr" --describe --topic java-verifiable
	expect 'PartitionCount: 3' 'describing a topic'
	tool TopicCommand --bootstrap-server "$kring_addr" --create --topic java-short-lived
	tool TopicCommand --bootstrap-server "$kring_addr" --delete --topic java-short-lived
	tool TopicCommand --bootstrap-server "$kring_addr" --list
	expect '^java-perf$' 'listing topics'
	! grep -q java-short-lived "$out" || die "$engine: a deleted topic is still listed"
}

verifiable() {
	tool VerifiableProducer --bootstrap-server "$kring_addr" --topic java-verifiable --max-messages 10000 --acks -1
	expect '"name":"tool_data","sent":10000,"acked":10000' 'verifiable producer'
	# Each value once, none lost: what was acknowledged is what is read.
	grep -o '"value":"[0-9]*"' "$out" | grep -o '[0-9]*' | sort -n >"$scratch/acked"
	tool VerifiableConsumer --bootstrap-server "$kring_addr" --topic java-verifiable --max-messages 10000 \
		--group-id java-verifiable --reset-policy earliest --verbose
	grep -o '"name":"record_data".*' "$out" | grep -o '"value":"[0-9]*"' | grep -o '[0-9]*' | sort -n >"$scratch/read"
	cmp "$scratch/acked" "$scratch/read" || die "$engine: what the verifiable consumer read is not what was acknowledged"
	expect '"name":"offsets_committed".*"success":true' 'verifiable consumer'
}

groups() {
	tool consumer.group.ConsumerGroupCommand --bootstrap-server "$kring_addr" --list
	expect '^java-verifiable$' 'listing consumer groups'
	tool consumer.group.ConsumerGroupCommand --bootstrap-server "$kring_addr" --list --type Classic
	expect '^java-verifiable +Classic' 'listing consumer groups by type'
	tool consumer.group.ConsumerGroupCommand --bootstrap-server "$kring_addr" --list --state
	expect '^java-verifiable +Empty' 'listing consumer groups'
	tool GroupsCommand --bootstrap-server "$kring_addr" --list
	expect '^java-verifiable +Classic' 'listing groups'
	tool consumer.group.ConsumerGroupCommand --bootstrap-server "$kring_addr" --describe --group java-verifiable
	# columns: GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
	awk '$1 == "java-verifiable" { current += $4; end += $5; lag += $6 } END { exit !(current == 10000 && end == 10000 && lag == 0) }' "$out" ||
		die "$engine: the group's offsets do not add up: $(cat "$out")"
}

performance() {
	local acks codec
	while read -r acks codec; do
		tool ProducerPerformance --topic java-perf --num-records 5000 --record-size 4096 --throughput -1 \
			--producer-props "bootstrap.servers=$kring_addr" "acks=$acks" "compression.type=$codec" enable.idempotence=false
		expect '^5000 records sent, ' "producer performance, acks $acks, $codec"
	done <<-'END'
		0 none
		1 snappy
		all lz4
		all zstd
	END
	# Records of a MiB, idempotent; compressed they fit the topic's default limit.
	tool ProducerPerformance --topic java-perf --num-records 20 --record-size 1048576 --throughput -1 \
		--producer-props "bootstrap.servers=$kring_addr" acks=all enable.idempotence=true \
		max.request.size=4194304 compression.type=gzip
	expect '^20 records sent, ' 'producer performance, 1 MiB'
	tool ConsumerPerformance --bootstrap-server "$kring_addr" --topic java-perf --messages 20020 --timeout 60000
	# columns: start, end, MiB, MiB/s, records, records/s, ...
	awk -F ', ' '$5 + 0 >= 20020 { ok = 1 } END { exit !ok }' "$out" || die "$engine: consumer performance: $(cat "$out")"
}

transactions() {
	tool ProducerPerformance --topic java-transactional --num-records 10000 --record-size 512 --throughput 20000 \
		--transactional-id java-transactions --transaction-duration-ms 100 \
		--producer-props "bootstrap.servers=$kring_addr" acks=all
	expect '^10000 records sent, ' 'transactional producer performance'
	tool TransactionsCommand --bootstrap-server "$kring_addr" list
	expect '^java-transactions\b.*CompleteCommit' 'listing transactions'
	tool TransactionsCommand --bootstrap-server "$kring_addr" describe --transactional-id java-transactions
	expect 'java-transactions\b.*CompleteCommit' 'describing a transaction'
	tool VerifiableConsumer --bootstrap-server "$kring_addr" --topic java-transactional --max-messages 10000 \
		--group-id java-transactional --reset-policy earliest --consumer.config "$scratch/committed.properties"
	awk -F '"count":' '/"records_consumed"/ { n += $2 } END { exit n != 10000 }' "$out" ||
		die "$engine: a committed read of the transactional topic: $(tail -n 5 "$out")"
}

# A share group reads every record, and each once where it acknowledges.
shares() {
	local mode
	for mode in auto sync; do
		tool VerifiableShareConsumer --bootstrap-server "$kring_addr" --topic java-verifiable --max-messages 10000 \
			--group-id "java-shares-$mode" --offset-reset-strategy earliest --acknowledgement-mode "$mode" --verbose
		grep -o '"name":"record_data".*' "$out" | grep -o '"value":"[0-9]*"' | grep -o '[0-9]*' | sort -n >"$scratch/read"
		cmp "$scratch/acked" "$scratch/read" || die "$engine: what the share consumer read ($mode) is not what was acknowledged"
		expect '"name":"offsets_acknowledged"' "share consumer, $mode"
	done
	tool consumer.group.ShareGroupCommand --bootstrap-server "$kring_addr" --list
	expect '^java-shares-sync$' 'listing share groups'
	tool consumer.group.ShareGroupCommand --bootstrap-server "$kring_addr" --describe --group java-shares-sync
	# columns: GROUP TOPIC PARTITION START-OFFSET. Apache Kafka 4.1 itself shows none ("-") of
	# partitions whose state it has not written yet.
	[[ ${KRING_COMMAND:-serve} != serve ]] || awk '$1 == "java-shares-sync" { n += $4 } END { exit n != 10000 }' "$out" ||
		die "$engine: the share group's offsets do not add up: $(cat "$out")"
	tool consumer.group.ShareGroupCommand --bootstrap-server "$kring_addr" --delete --group java-shares-auto
	expect "'java-shares-auto'.*success" 'deleting a share group'
	tool GroupsCommand --bootstrap-server "$kring_addr" --list
	expect '^java-shares-sync +Share +share' 'listing groups'
	! grep -q java-shares-auto "$out" || die "$engine: a deleted share group is still listed"
}

# Cluster administration other than topics.
cluster() {
	tool MetadataQuorumCommand --bootstrap-server "$kring_addr" describe --status
	expect '^LeaderId: +0' 'describing the quorum'
	expect '^CurrentVoters: .*"id": 0' 'describing the quorum'
	tool MetadataQuorumCommand --bootstrap-server "$kring_addr" describe --replication
	expect '^0 .*Leader' 'describing the replicas of the metadata'
	tool LogDirsCommand --bootstrap-server "$kring_addr" --describe
	expect '"logDir":"memory"' 'describing the log directories'
	tool ClusterTool list-endpoints --bootstrap-server "$kring_addr"
	expect '^0 .*null' "the broker's rack"
}

echo isolation.level=read_committed >"$scratch/committed.properties"
for engine in "${engines[@]}"; do
	start_kring "$engine"
	for part in ${KRING_JAVA_PARTS:-topics verifiable groups performance transactions shares cluster}; do
		$part
		say "$engine: $part"
	done
	stop_kring
done
