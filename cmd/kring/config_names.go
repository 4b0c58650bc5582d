package main

import (
	"math"
	"strings"
	"time"
)

// property is a property of Kafka's that kring understands. Every flag has one more:
// kring.FLAG, with the flag's own words (ownPrefix).
type property struct {
	name    string
	flag    string // that it sets for all listeners; "": none
	setting string // of --listener, for listener.name.NAME.<name>; "": none
	// read converts the value. "" means that kring's default is what Kafka's value asks for.
	// nil: readListeners takes the property (readTogether).
	read reading
	unit string // of Kafka's value, for the documentation
	note string // for the documentation
}

// reading converts a property's value into the text of a flag.
type reading func(value string) (text string, err error)

// ownPrefix begins the names of kring's own properties, and within listener.name.NAME.
// those of settings of a listener. Kafka reads over such names, and will never have any.
const ownPrefix = "kring."

const listenerPrefix = "listener.name."

// Names of properties that are read together, by readListeners.
const (
	propListeners   = "listeners"
	propAdvertised  = "advertised.listeners"
	propProtocols   = "listener.security.protocol.map"
	propControllers = "controller.listener.names"
)

var readTogether = []string{propListeners, propAdvertised, propProtocols, propControllers}

// properties is every property of Kafka's that sets something here. A new flag that Kafka
// has a name for gets a row.
var properties = []property{
	{name: propListeners, flag: "listen", note: "NAME://HOST:PORT, or NAME://unix:PATH; names in capitals; those of controller.listener.names are left out"},
	{name: propAdvertised, flag: "advertise", setting: advertiseSetting, note: "each becomes listener.name.NAME.kring.advertise"},
	{name: propProtocols, setting: securitySetting, note: "each becomes listener.name.NAME.kring.security"},
	{name: propControllers, note: "kring has no controller: listeners of these names are not opened"},
	{name: "inter.broker.listener.name", flag: "protected-listener", read: listenerNameOf},
	{name: "num.network.threads", flag: "processors", read: count(1, math.MaxInt32), note: "for all listeners together"},
	{name: "num.io.threads", flag: "handlers", read: count(1, math.MaxInt32)},
	{name: "queued.max.requests", flag: "queued-requests", read: count(1, math.MaxInt32)},
	{name: "queued.max.request.bytes", flag: "queued-request-bytes", read: orOff(count(-1, math.MaxInt64), 0), unit: "bytes", note: "-1 and 0: the default, for kring has always a bound"},
	{name: "socket.request.max.bytes", flag: "max-frame-bytes", setting: "max-frame-bytes", read: count(1, math.MaxInt32), unit: "bytes"},
	{name: "socket.send.buffer.bytes", flag: "send-buffer-bytes", setting: "send-buffer-bytes", read: orOff(count(-1, math.MaxInt32), -1), unit: "bytes", note: "-1: the system's"},
	{name: "socket.receive.buffer.bytes", flag: "receive-buffer-bytes", setting: "receive-buffer-bytes", read: orOff(count(-1, math.MaxInt32), -1), unit: "bytes", note: "-1: the system's"},
	{name: "socket.listen.backlog.size", flag: "backlog", setting: "backlog", read: count(1, math.MaxInt32)},
	{name: "max.connections", flag: "max-connections", setting: "max-connections", read: unlessMost(count(1, math.MaxInt32)), note: "2147483647: the default, as many as there are descriptors"},
	{name: "max.connections.per.ip", flag: "max-connections-per-ip", read: unlessMost(count(0, math.MaxInt32)), note: "2147483647: no bound"},
	{name: "max.connections.per.ip.overrides", flag: "ip-limit", read: overridesPerIP, note: "HOST:COUNT,…"},
	{name: "max.connection.creation.rate", flag: "connection-rate", setting: "connection-rate", read: unlessMost(count(1, math.MaxInt32)), unit: "per second", note: "2147483647: no bound"},
	{name: "connections.max.idle.ms", flag: "idle-timeout", setting: "idle-timeout", read: foreverIfNegative(milliseconds(math.MinInt64)), unit: "ms", note: "negative: for ever"},
	{name: "quota.window.num", flag: "quota-windows", read: count(1, math.MaxInt32)},
	{name: "quota.window.size.seconds", flag: "quota-window", read: seconds, unit: "s"},
	{name: "ssl.keystore.location", flag: "tls-keystore", setting: "tls-keystore", read: asItIs, note: "PKCS#12 or PEM; JKS has to be converted"},
	{name: "ssl.keystore.type", flag: "tls-keystore", setting: "tls-keystore", read: storeType, note: "what the file is is seen from what it holds"},
	{name: "ssl.keystore.password", flag: "tls-keystore-password", setting: "tls-keystore-password", read: asItIs, note: "itself, or file:PATH"},
	{name: "ssl.keystore.certificate.chain", flag: "tls-cert", setting: "tls-cert", read: asItIs, note: "PEM text, or files with commas between: one for each name (SNI), of one listener too"},
	{name: "ssl.keystore.key", flag: "tls-key", setting: "tls-key", read: asItIs, note: "PEM text, or a file for each certificate"},
	{name: "ssl.key.password", flag: "tls-key-password", setting: "tls-key-password", read: asItIs, note: "itself, or file:PATH"},
	{name: "ssl.truststore.location", flag: "tls-truststore", setting: "tls-truststore", read: asItIs, note: "PKCS#12 or PEM; JKS has to be converted"},
	{name: "ssl.truststore.type", flag: "tls-truststore", setting: "tls-truststore", read: storeType, note: "what the file is is seen from what it holds"},
	{name: "ssl.truststore.password", flag: "tls-truststore-password", setting: "tls-truststore-password", read: asItIs, note: "itself, or file:PATH"},
	{name: "ssl.truststore.certificates", flag: "tls-client-ca", setting: "tls-client-ca", read: asItIs, note: "PEM text, or a file"},
	{name: "ssl.client.auth", flag: "tls-client-auth", setting: "tls-client-auth", read: asItIs, note: "none, requested or required; has to be said beside a trust store"},
	{name: "ssl.principal.mapping.rules", flag: "tls-principal-rules", setting: "tls-principal-rules", read: asItIs},
	{name: "ssl.enabled.protocols", flag: "tls-protocols", setting: "tls-protocols", read: noSpaces, note: "TLSv1.2 and TLSv1.3"},
	{name: "ssl.cipher.suites", flag: "tls-cipher-suites", setting: "tls-cipher-suites", read: noSpaces},
	{name: "auto.create.topics.enable", read: onlyTrue, note: "true only: topics are created on demand"},
	{name: "delete.topic.enable", read: onlyTrue, note: "true only: topics can be deleted"},
	{name: "super.users", flag: "super-users", setting: superUsersSetting, read: superUsersOf, note: "with kring.acl"},
	{name: "allow.everyone.if.no.acl.found", flag: "acl-open", read: trueOrFalse, note: "with kring.acl; without it everybody may do everything"},
	{name: "sasl.enabled.mechanisms", flag: "sasl", setting: saslSetting, read: noSpaces, note: "GSSAPI is refused"},
	{name: "connections.max.reauth.ms", flag: "max-reauth", setting: maxReauthSetting, read: milliseconds(0), unit: "ms", note: "0: no limit"},
	{name: "connection.failed.authentication.delay.ms", flag: "auth-failure-delay", read: milliseconds(0), unit: "ms"},
	{name: "sasl.server.max.receive.size", flag: "sasl-frame-bytes", read: count(1<<10, 1<<30), unit: "bytes"},
	{name: "sasl.oauthbearer.jwks.endpoint.url", flag: "oauth-jwks", read: fileOrURL, note: "https, or file:///PATH"},
	{name: "sasl.oauthbearer.jwks.endpoint.refresh.ms", flag: "oauth-jwks-refresh", read: milliseconds(1), unit: "ms"},
	{name: "sasl.oauthbearer.jwt.validator.class", read: checkingValidator, note: "BrokerJwtValidator or DefaultJwtValidator: signatures are always looked at"},
	{name: "sasl.oauthbearer.expected.issuer", flag: "oauth-issuer", read: asItIs},
	{name: "sasl.oauthbearer.expected.audience", flag: "oauth-audience", read: noSpaces},
	{name: "sasl.oauthbearer.sub.claim.name", flag: "oauth-user-claim", read: asItIs},
	{name: "sasl.oauthbearer.clock.skew.seconds", flag: "oauth-clock-skew", read: inTime(0, time.Second, " of seconds"), unit: "s"},
	{name: "num.partitions", flag: "partitions", read: count(1, math.MaxInt32)},
}

// refusedProperties would change what the server does or lets in, and can't be had: to read
// over them would not be safe. Each has its remedy.
var refusedProperties = map[string]string{
	"authorizer.class.name":              "classes of Java can't be loaded; write the rules into a file and name it with kring.acl",
	"principal.builder.class":            "classes of Java can't be loaded; ssl.principal.mapping.rules maps names of certificates",
	"client.quota.callback.class":        "classes of Java can't be loaded; quotas are kring.quota and kring.quota-file",
	"ssl.engine.factory.class":           "classes of Java can't be loaded; remove the line",
	"ssl.provider":                       "there is one provider, Go's crypto/tls; remove the line",
	"security.providers":                 "classes of Java can't be loaded; remove the line",
	"sasl.server.callback.handler.class": "classes of Java can't be loaded; accounts are in the file of kring.users",
	"create.topic.policy.class.name":     "classes of Java can't be loaded; remove the line",
	"alter.config.policy.class.name":     "classes of Java can't be loaded; remove the line",
	"config.providers":                   "kring has no providers: write values themselves, or file:PATH for a secret, or set variables of the environment (KRING_…)",
	"quota.producer.default":             "give kring.quota=client-id=*,produce-bytes=N",
	"quota.consumer.default":             "give kring.quota=client-id=*,fetch-bytes=N",
	"host.name":                          "give listeners=PLAINTEXT://HOST:PORT",
	"port":                               "give listeners=PLAINTEXT://HOST:PORT",
	"advertised.host.name":               "give advertised.listeners=PLAINTEXT://HOST:PORT",
	"advertised.port":                    "give advertised.listeners=PLAINTEXT://HOST:PORT",
	"control.plane.listener.name":        "kring has no control plane; remove the line and the listener",
	ownPrefix + "config":                 "a configuration file can't name another; give --config",
	ownPrefix + "listener":               "give listener.name.NAME.<property>, or listener.name.NAME.kring.SETTING",
}

// ignoredProperties have no meaning here: of replication, controllers, logs on disk, Java,
// clients. A name with a dot at its end stands for all that begin with it.
var ignoredProperties = strings.Fields(`
	log. logs. zookeeper. controller. replica. offsets. offset. transaction. transactional. group. share. metadata. remote. cleaner. leader. unclean.
	broker. replication. background. compression. producer. fetch. delegation. password.encoder. metric. metrics. confluent. telemetry. eligible. unstable. internal.
	initial. kafka. sasl.kerberos. sasl.login. errors. streams. connect. test. feature. features.

	node.id process.roles inter.broker.protocol.version security.inter.broker.protocol sasl.mechanism.inter.broker.protocol sasl.mechanism.controller.protocol
	auto.leader.rebalance.enable auto.include.jmx.reporter default.replication.factor min.insync.replicas message.max.bytes
	message.timestamp.type num.recovery.threads.per.data.dir num.replica.fetchers num.replica.alter.log.dirs.threads num.alter.log.dirs.threads num.quota.samples
	queued.max.bytes request.timeout.ms reserved.broker.max.id early.start.listeners max.incremental.fetch.session.cache.slots max.request.partition.size.limit
	alter.log.dirs.replication.quota.window.num alter.log.dirs.replication.quota.window.size.seconds socket.connection.setup.timeout.ms socket.connection.setup.timeout.max.ms
	enable.fips.mode enable.delete.topic.records follower.fetch.timeout.ms reconnect.backoff.ms rack client.telemetry controlled.shutdown.enable controlled.shutdown.max.retries
	controlled.shutdown.retry.backoff.ms ssl.endpoint.identification.algorithm ssl.secure.random.implementation ssl.keymanager.algorithm ssl.trustmanager.algorithm
	ssl.allow.dn.changes ssl.allow.san.changes ssl.protocol
	sasl.oauthbearer.assertion. sasl.oauthbearer.client.credentials. sasl.oauthbearer.header. sasl.oauthbearer.jwks.endpoint.retry. sasl.oauthbearer.jwt.retriever.class
	sasl.oauthbearer.scope sasl.oauthbearer.scope.claim.name sasl.oauthbearer.token.endpoint.url sasl.client.callback.handler.class
	server.max.startup.time.ms add.partitions.to.txn.retry.backoff.ms add.partitions.to.txn.retry.backoff.max.ms delete.records.purgatory.purge.interval.requests`)

// isIgnored says whether a property of Kafka's has no meaning here.
func isIgnored(name string) bool {
	for _, known := range ignoredProperties {
		if name == known || strings.HasSuffix(known, ".") && strings.HasPrefix(name, known) {
			return true
		}
	}
	return false
}

// propertyNamed finds a row.
func propertyNamed(name string) (property, bool) {
	for _, p := range properties {
		if p.name == name {
			return p, true
		}
	}
	return property{}, false
}
