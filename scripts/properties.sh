#!/usr/bin/env bash
# Asks Apache Kafka for the properties that its brokers of 3.9, 4.1 and 4.2 define, and
# writes them with their types to cmd/kring/testdata/kafka-properties.txt. A test of
# cmd/kring has a configuration file know each of them.
#
# usage: scripts/properties.sh

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/kafka.bash"
source "$(dirname "$0")/cluster.bash"
fetch_cluster
newest=$jars
run_version 3.9.1
before=${cluster_jars[1]}
run_version 4.2.0
for jars in "$newest" "$before" "${cluster_jars[1]}"; do
	java -cp "$jars/*" "$root/scripts/kafka/Properties.java" >>"$scratch/all" 2>"$scratch/java.log" || die "Java: $(tail -n 5 "$scratch/java.log")"
done
sort -u -t $'\t' -k 1,1 "$scratch/all" >"$scratch/sorted"
mkdir -p "$root/cmd/kring/testdata"
mv "$scratch/sorted" "$root/cmd/kring/testdata/kafka-properties.txt"
say "$(wc -l <"$root/cmd/kring/testdata/kafka-properties.txt") properties"
