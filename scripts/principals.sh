#!/usr/bin/env bash
# Asks Java and Apache Kafka for the names of certificates' subjects and for what mapping
# rules make of them, and writes the answers to tlsconf/testdata/principals.txt, which the
# tests of tlsconf hold kring's against.
#
# usage: scripts/principals.sh

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/kafka.bash"
need java default-jdk-headless
need mvn maven
fetch_maven "$root/scripts/java/pom.xml" "${KRING_JAVA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-java-tools}"
(cd "$root" && go run ./internal/testcerts/subjects) >"$scratch/asked"
java -cp "$jars/*" "$root/scripts/java/Principals.java" <"$scratch/asked" >"$scratch/answered"
mv "$scratch/answered" "$root/tlsconf/testdata/principals.txt"
say "$(wc -l <"$root/tlsconf/testdata/principals.txt") answers"
