# Each client of scripts/versions.sh: fetch_CLIENT gets it, run_CLIENT starts it
# against the servers that the plan gives it. Source it after lists.bash.

all_clients=(java librdkafka kcat kafka_python aiokafka platformatic sarama rskafka streams connect)
long_clients=(rskafka streams connect) # not in the short form, unless they are named

# cached NAME TEXT sets $kept to a folder for what TEXT names, and fails if it is
# not there yet: it appears under that name only when it is complete.
cached() {
	kept=$cache/$1-$(sha256sum <<<"$2" | cut -c 1-16)
	[[ -d $kept ]]
}

# keep FOLDER moves what was fetched to $kept.
keep() { mv "$1" "$kept" 2>/dev/null || [[ -d $kept ]] || cp -r "$1" "$kept"; }

# thrice LOG COMMAND... gives a registry three chances.
thrice() {
	local log=$1 try
	shift
	for try in 1 2 3; do
		"$@" >"$log" 2>&1 && return
		say "try $try of 3 failed: $*"
		sleep 3
	done
	die "could not be fetched: $(tail -n 20 "$log")"
}

# --- Java -------------------------------------------------------------------

# jvm ARGS... is how a JVM for a short life is started.
jvm=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx768m -Dorg.slf4j.simpleLogger.defaultLogLevel=off)

# fetch_modules NAME MODULE=POM... puts each module's jars into $kept/MODULE/jars.
fetch_modules() {
	local name=$1 modules module
	shift
	modules=("${@%%=*}")
	cached "$name" "$(parent_pom "${modules[@]}") $*" && return
	say "fetching ${modules[*]} of $name"
	local tree=$scratch/$name
	mkdir -p "$tree"
	parent_pom "${modules[@]}" >"$tree/pom.xml"
	for module in "$@"; do
		mkdir -p "$tree/${module%%=*}"
		echo "${module#*=}" >"$tree/${module%%=*}/pom.xml"
	done
	thrice "$scratch/mvn.log" mvn -q -B -ntp -f "$tree/pom.xml" dependency:copy-dependencies
	keep "$tree"
}

# compile_java NAME CLASSPATH SOURCES... sets $classes to our programs, compiled.
compile_java() {
	local name=$1 path=$2
	shift 2
	if ! cached "$name" "$(cat "$@") $path"; then
		javac -nowarn -cp "$path" -d "$scratch/$name" "$@" 2>"$scratch/javac.log" ||
			die "javac failed: $(cat "$scratch/javac.log")"
		keep "$scratch/$name"
	fi
	classes=$kept
}

fetch_java() {
	local version modules=()
	need javac default-jdk-headless
	need mvn maven
	for version in "${java_versions[@]}"; do modules+=("$version=$(java_pom "$version")"); done
	fetch_modules java "${modules[@]}"
	java_jars=$kept
	compile_java java-classes "$java_jars/$java_newest/jars/*" "$root"/scripts/versions/java/*.java
	java_classes=$classes
}

# run_jvm NAME CLASS JARS CLASSES VERSIONS... runs a class for versions of a
# client, all in one JVM.
run_jvm() {
	local name=$1 class=$2 jars=$3 classes=$4 version server runs=()
	shift 4
	for version; do
		plan "$name" "$version"
		for server in "${where[@]}"; do runs+=("$version,$server,${addrs[$server]}"); done
	done
	job "$name" "${jvm[@]}" "-Djava.io.tmpdir=$scratch" "-Dkring.nodes=${KRING_VERSIONS_NODES:-1}" -cp "$classes" Matrix "$class" "$classes" "$jars" "${JOBS:-6}" "${runs[@]}"
}

run_java() { run_jvm java Client "$java_jars" "$java_classes" "${java_versions[@]}"; }

fetch_streams() {
	local version modules=()
	need javac default-jdk-headless
	need mvn maven
	for version in "${streams_versions[@]}"; do modules+=("$version=$(streams_pom "$version")"); done
	fetch_modules streams "${modules[@]}"
	streams_jars=$kept
	compile_java streams-classes "$streams_jars/$streams_newest/jars/*" \
		"$root"/scripts/versions/java/{Matrix,Report}.java "$root"/scripts/versions/streams/*.java
	streams_classes=$classes
}

run_streams() { run_jvm streams StreamsRun "$streams_jars" "$streams_classes" "${streams_versions[@]}"; }

fetch_connect() {
	need java default-jre-headless
	need mvn maven
	need curl curl
	need kcat kcat
	fetch_modules connect "$connect_version=$(connect_pom "$connect_version")"
	connect_jars=$kept/$connect_version/jars
}

run_connect() {
	local server
	plan connect "$connect_version"
	for server in "${where[@]}"; do
		job "connect-$server" bash "$root/scripts/versions/connect.bash" "$connect_version" "$server" "${addrs[$server]}" "$scratch" "$connect_jars"
	done
}

# --- Python -----------------------------------------------------------------

# fetch_wheels NAME REQUIREMENT... puts what is required, and nothing that it
# would have liked besides, into $kept.
fetch_wheels() {
	local name=$1
	shift
	cached "$name" "$*" && return
	say "fetching $*"
	thrice "$scratch/pip.log" python3 -m pip install -q --disable-pip-version-check --no-deps \
		--only-binary :all: --target "$scratch/wheels" "$@"
	keep "$scratch/wheels"
}

need_python() {
	need python3 python3
	python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
}

# fetch_python NAME DISTRIBUTION VERSIONS NEEDS... fetches a client's versions.
fetch_python() {
	local name=$1 distribution=$2 versions=$3 version
	shift 3
	need_python
	for version in $versions; do fetch_wheels "$name-$version" "$distribution==$version" "$@"; done
}

# run_python NAME SCRIPT DISTRIBUTION VERSIONS NEEDS... runs them.
run_python() {
	local name=$1 script=$2 distribution=$3 versions=$4 version server
	shift 4
	for version in $versions; do
		cached "$name-$version" "$distribution==$version${*:+ $*}"
		plan "$name" "$version"
		for server in "${where[@]}"; do
			job "$name-$version-$server" env PYTHONDONTWRITEBYTECODE=1 "PYTHONPATH=$kept" \
				python3 "$root/scripts/versions/python/$script" "$version" "$server" "${addrs[$server]}"
		done
	done
}

fetch_librdkafka() { fetch_python librdkafka confluent-kafka "${librdkafka_versions[*]}"; }
run_librdkafka() { run_python librdkafka librdkafka.py confluent-kafka "${librdkafka_versions[*]}"; }

fetch_kafka_python() { fetch_python kafka-python kafka-python "${kafka_python_versions[*]}" "${kafka_python_codecs[@]}"; }
run_kafka_python() { run_python kafka-python kafka_python.py kafka-python "${kafka_python_versions[*]}" "${kafka_python_codecs[@]}"; }

fetch_aiokafka() { fetch_python aiokafka aiokafka "${aiokafka_versions[*]}" "${aiokafka_needs[@]}"; }
run_aiokafka() { run_python aiokafka aio.py aiokafka "${aiokafka_versions[*]}" "${aiokafka_needs[@]}"; }

# --- Node -------------------------------------------------------------------

# npm ci installs exactly what the lock file says, checked by its hashes.
fetch_platformatic() {
	command -v node >/dev/null || need node nodejs
	command -v npm >/dev/null || need npm npm
	local sources=$root/scripts/versions/platformatic
	cached platformatic "$(cat "$sources"/*)" && return
	say "fetching @platformatic/kafka $platformatic_version"
	cp -r "$sources" "$scratch/platformatic"
	thrice "$scratch/npm.log" npm --prefix "$scratch/platformatic" ci --no-audit --no-fund --loglevel=error
	keep "$scratch/platformatic"
}

run_platformatic() {
	local server
	cached platformatic "$(cat "$root"/scripts/versions/platformatic/*)"
	plan platformatic "$platformatic_version"
	for server in "${where[@]}"; do
		job "platformatic-$server" node "$kept/matrix.mjs" "$platformatic_version" "$server" "${addrs[$server]}"
	done
}

# --- kcat -------------------------------------------------------------------

fetch_kcat() { need kcat kcat; }

run_kcat() {
	local version
	version=$(kcat -V | sed -n 's/.*librdkafka \([0-9.]*\).*/\1/p')
	plan kcat "$version"
	for server in "${where[@]}"; do
		job "kcat-$server" bash "$root/scripts/versions/kcat.bash" "$version" "$server" "${addrs[$server]}" "$scratch"
	done
}

# --- Go ---------------------------------------------------------------------

fetch_sarama() { (cd "$root/internal/clients" && go build -o "$scratch/saramas" ./saramas); }

run_sarama() {
	local version server
	for version in "${sarama_versions[@]}"; do
		plan sarama "$version"
		for server in "${where[@]}"; do
			job "sarama-$version-$server" "$scratch/saramas" "$version" "$server" "${addrs[$server]}"
		done
	done
}

# --- Rust -------------------------------------------------------------------

# rust_sources prints what the program is built from.
rust_sources() { cat "$root"/scripts/versions/rskafka/{Cargo.toml,Cargo.lock,src/main.rs}; }

fetch_rskafka() {
	need cargo cargo
	cached rskafka "$(rust_sources)" && return
	say "building rskafka $rskafka_version"
	mkdir "$scratch/rskafka"
	CARGO_TARGET_DIR=$scratch/target thrice "$scratch/cargo.log" \
		cargo build --locked -q --manifest-path "$root/scripts/versions/rskafka/Cargo.toml"
	mv "$scratch/target/debug/kring-rskafka" "$scratch/rskafka/"
	keep "$scratch/rskafka"
}

run_rskafka() {
	local server
	cached rskafka "$(rust_sources)"
	plan rskafka "$rskafka_version"
	for server in "${where[@]}"; do
		job "rskafka-$server" "$kept/kring-rskafka" "$rskafka_version" "$server" "${addrs[$server]}"
	done
}
