# What scripts/versions.sh runs: each client's versions, in one place, and the
# newest patch of each. A version that can't be had fails the run.

# Kafka's Java client, by the release that its users have.
java_versions=(2.0.1 2.4.1 2.8.2 3.0.2 3.3.2 3.5.2 3.7.2 3.9.2 4.0.2 4.1.2)
java_newest=4.1.2 # our program is compiled against it

# librdkafka, as the wheels of confluent-kafka bring it.
librdkafka_versions=(2.2.0 2.3.0 2.5.3 2.6.1 2.8.2 2.10.1 2.16.1)

# Clients written in Python alone, with the codecs that they can use.
kafka_python_versions=(2.0.6 2.3.3 3.0.12)
kafka_python_codecs=(python-snappy==0.7.3 cramjam==2.11.0 lz4==4.4.5 zstandard==0.25.0)
aiokafka_versions=(0.12.0 0.14.0)
aiokafka_needs=(async-timeout==5.0.1 packaging==25.0 typing-extensions==4.15.0 cramjam==2.11.0)

# @platformatic/kafka: scripts/versions/platformatic/package.json says the same.
platformatic_version=1.35.0

# The protocol versions that users of sarama (internal/clients/go.mod) set.
sarama_versions=(0.11.0.2 1.1.1 2.8.2 3.9.0 4.1.0)

# rskafka, as scripts/versions/rskafka/Cargo.toml says. It is built, which takes
# a minute of both processors, so the short form is without it.
rskafka_version=0.6.0

# Kafka Streams and Connect.
streams_versions=(3.6.2 4.1.2)
streams_newest=4.1.2
connect_version=4.1.2

# java_pom VERSION prints what one version of the Java client needs.
java_pom() {
	pom "java-$1" "org.apache.kafka:kafka-clients:$1" org.slf4j:slf4j-simple:1.7.36
}

# streams_pom VERSION and connect_pom VERSION are the same for what stands on it.
streams_pom() {
	pom "streams-$1" "org.apache.kafka:kafka-streams:$1" org.slf4j:slf4j-simple:1.7.36
}

connect_pom() {
	pom "connect-$1" "org.apache.kafka:connect-runtime:$1" "org.apache.kafka:connect-file:$1" \
		"org.apache.kafka:connect-json:$1"
}

# pom NAME GROUP:ARTIFACT:VERSION... prints a module that only names what to fetch.
pom() {
	local name=$1 group artifact version
	shift
	echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
	echo '<parent><groupId>kring</groupId><artifactId>versions</artifactId><version>1</version></parent>'
	echo "<artifactId>$name</artifactId><packaging>pom</packaging><dependencies>"
	while IFS=: read -r group artifact version; do
		echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
	done < <(printf '%s\n' "$@")
	echo '</dependencies></project>'
}

# parent_pom NAME... prints the project around the modules; each module's jars
# are copied into its own folder.
parent_pom() {
	echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
	echo '<groupId>kring</groupId><artifactId>versions</artifactId><version>1</version><packaging>pom</packaging><modules>'
	printf '<module>%s</module>\n' "$@"
	echo '</modules><build><plugins><plugin><groupId>org.apache.maven.plugins</groupId>'
	echo '<artifactId>maven-dependency-plugin</artifactId><configuration><includeScope>runtime</includeScope>'
	# shellcheck disable=SC2016
	echo '<outputDirectory>${project.basedir}/jars</outputDirectory></configuration></plugin></plugins></build></project>'
}
