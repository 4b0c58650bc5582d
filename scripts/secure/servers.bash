# The servers of scripts/secure.sh, and the cases that clients try against them.

server_pids=()
declare -A listeners=() # SERVER,LISTENER: its address

# The password of the user alice, and what is wrong. None may ever be in a log.
secret=s3cret-of-alice
wrong=wr0ng-for-alice

end_others() {
	local pid
	for pid in "${server_pids[@]}" "${client_pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	stop_kafka
}

# stop_servers ends each kring, and demands that it exits with 0.
stop_servers() {
	local pid status
	for pid in "${server_pids[@]}"; do
		kill -TERM "$pid"
		status=0
		wait "$pid" || status=$?
		((status == 0)) || die "kring ended with status $status after SIGTERM"
	done
	server_pids=()
	stop_kafka
}

# start_secure_kring ENGINE starts a server with a listener of each kind.
start_secure_kring() {
	local engine=$1 names=(PLAINTEXT SSL MTLS SASL_PLAINTEXT SASL_SSL) all i
	if [[ ! -e $scratch/users ]]; then
		"$kring" user add --users "$scratch/users" --password-file - alice <<<"$secret" >/dev/null
	fi
	start_kring "$engine" --listen SSL://127.0.0.1:0 --listen MTLS://127.0.0.1:0 --listen SASL_PLAINTEXT://127.0.0.1:0 --listen SASL_SSL://127.0.0.1:0 \
		--log-level debug \
		--tls-keystore "$certs/server.p12" --tls-keystore-password "file:$certs/password" \
		--listener MTLS.security=SSL --listener "MTLS.tls-client-ca=$certs/ca.pem" --listener MTLS.tls-client-auth=required \
		--sasl PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER --users "$scratch/users" \
		--oauth-jwks "$certs/jwks.json" --oauth-algorithms RS256 --oauth-issuer https://issuer.test --oauth-audience kring
	read -ra all <<<"$(sed -n 's/.*ready on \([^·]*\) ·.*/\1/p' "$scratch/kring.out" | tr -d ,)"
	((${#all[@]} == ${#names[@]})) || die "$engine: not ${#names[@]} addresses: $(cat "$scratch/kring.out")"
	for i in "${!names[@]}"; do listeners[$engine,${names[i]}]=${all[i]}; done
	# Its log goes on to be written to under another name.
	mv "$scratch/kring.log" "$scratch/$engine.log"
}

# start_secure_kafka does the same with Apache Kafka.
#
# The validator of tokens is named for all listeners: Kafka 4.1 reads that property without
# the listener's prefix only (ConfigurationUtils.getConfiguredInstance). Its default,
# DefaultJwtValidator, does not look at signatures, and lets forged tokens in.
start_secure_kafka() {
	fetch_maven "$root/scripts/kafka/pom.xml" "${KRING_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kring-kafka}"
	local names=(PLAINTEXT SSL MTLS SASL_PLAINTEXT SASL_SSL) one all='' map='' controller port
	for one in "${names[@]}"; do
		port=$(free_port)
		listeners[kafka,$one]=127.0.0.1:$port
		all+="$one://127.0.0.1:$port,"
		map+="$one:$(if [[ $one == MTLS ]]; then echo SSL; else echo "$one"; fi),"
	done
	controller=$(free_port)
	{
		cat "$root/scripts/kafka/server.properties"
		cat <<-END
			listeners=${all}CONTROLLER://127.0.0.1:$controller
			advertised.listeners=${all%,}
			listener.security.protocol.map=${map}CONTROLLER:PLAINTEXT
			controller.quorum.voters=1@127.0.0.1:$controller
			log.dirs=$scratch/kafka
			ssl.keystore.type=PKCS12
			ssl.keystore.location=$certs/server.p12
			ssl.keystore.password=$(cat "$certs/password")
			listener.name.mtls.ssl.client.auth=required
			listener.name.mtls.ssl.truststore.type=PKCS12
			listener.name.mtls.ssl.truststore.location=$certs/trust.p12
			listener.name.mtls.ssl.truststore.password=$(cat "$certs/password")
			sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
			sasl.oauthbearer.jwks.endpoint.url=file://$certs/jwks.json
			sasl.oauthbearer.expected.issuer=https://issuer.test
			sasl.oauthbearer.expected.audience=kring
			sasl.oauthbearer.jwt.validator.class=org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator
		END
		for one in sasl_plaintext sasl_ssl; do
			echo "listener.name.$one.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"$secret\";"
			for mechanism in scram-sha-256 scram-sha-512; do
				echo "listener.name.$one.$mechanism.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
			done
			echo "listener.name.$one.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
			echo "listener.name.$one.oauthbearer.sasl.server.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
		done
	} >"$scratch/kafka.properties"
	kafka_options=("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://$certs/jwks.json")
	run_kafka "$port" --add-scram "SCRAM-SHA-256=[name=alice,password=\"$secret\"]" --add-scram "SCRAM-SHA-512=[name=alice,password=\"$secret\"]"
}

# cases_for SERVER prints the cases: name, address, CA, certificate, key, mechanism, user,
# password, and who refuses: tls-kafka is TLS in Apache Kafka's words.
cases_for() {
	local server=$1 m listener tls ca good bad by_tls=tls
	[[ $server != kafka ]] || by_tls=tls-kafka
	row() { printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@"; }
	row tls "${listeners[$server,SSL]}" "$certs/ca.pem" - - - - - ok
	row tls-wrong-ca "${listeners[$server,SSL]}" "$certs/other-ca.pem" - - - - - "$by_tls"
	row mtls "${listeners[$server,MTLS]}" "$certs/ca.pem" "$certs/client.pem" "$certs/client.key" - - - ok
	row mtls-none "${listeners[$server,MTLS]}" "$certs/ca.pem" - - - - - "$by_tls"
	row mtls-stranger "${listeners[$server,MTLS]}" "$certs/ca.pem" "$certs/stranger.pem" "$certs/stranger.key" - - - "$by_tls"
	for m in PLAIN SCRAM-SHA-256 SCRAM-SHA-512 OAUTHBEARER; do
		good=$secret bad=$wrong
		if [[ $m == OAUTHBEARER ]]; then good=$(cat "$certs/token") bad=$(cat "$certs/token-forged"); fi
		for listener in SASL_PLAINTEXT SASL_SSL; do
			tls=${listener#SASL_} ca=-
			if [[ $tls == SSL ]]; then ca=$certs/ca.pem; fi
			row "${m,,}-${tls,,}" "${listeners[$server,$listener]}" "$ca" - - "$m" alice "$good" ok
			row "${m,,}-${tls,,}-wrong" "${listeners[$server,$listener]}" "$ca" - - "$m" alice "$bad" sasl
			if [[ $m != OAUTHBEARER ]]; then
				row "${m,,}-${tls,,}-nobody" "${listeners[$server,$listener]}" "$ca" - - "$m" nobody "$good" sasl
			fi
		done
	done
}

# ignores_alpn SERVER demands that a TLS listener agrees to no application protocol that a
# client offers, and serves it.
ignores_alpn() {
	local said
	said=$(timeout 60 openssl s_client -connect "${listeners[$1,SSL]}" -CAfile "$certs/ca.pem" -alpn kafka,h2 </dev/null 2>&1) || die "$1: openssl is refused: $said"
	grep -q 'No ALPN negotiated' <<<"$said" || die "$1: ALPN is not ignored: $said"
	say "$1 ignores ALPN"
}

# no_secret_in FILE demands that a log has no password, token or key.
no_secret_in() {
	local text
	for text in "$secret" "$wrong" "$(cat "$certs/password")" "$(cat "$certs/token")" "$(cat "$certs/token-forged")" "$(sed -n 2p "$certs/server.key")"; do
		! grep -qF -- "$text" "$1" || die "a secret stands in the log $1"
	done
}
