import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.SslAuthenticationException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Connects with Apache Kafka's own client as the cases say, for scripts/secure.sh: Secure CASES. */
public final class Secure {
    private static final int RECORDS = 20;

    private record Case(String name, String addr, String ca, String cert, String key, String mechanism, String user, String password, String want) {}

    public static void main(String[] args) throws Exception {
        var pool = Executors.newFixedThreadPool(4);
        var cases = new ArrayList<Case>();
        var tokens = new ArrayList<String>(); // the client reads only files that it is allowed to
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] f = line.split("\t", -1);
            String password = f[7];
            if (f[5].equals("OAUTHBEARER")) {
                Path token = Files.writeString(Files.createTempFile("token", ""), password);
                token.toFile().deleteOnExit();
                tokens.add(password = token.toUri().toString());
            }
            cases.add(new Case(f[0], f[1], f[2], f[3], f[4], f[5], f[6], password, f[8]));
        }
        System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", String.join(",", tokens));
        for (Case c : cases) {
            pool.submit(() -> System.out.println("result\tjava\t" + c.name + "\t" + verdict(c)));
        }
        pool.shutdown();
        pool.awaitTermination(5, TimeUnit.MINUTES);
        System.exit(0);
    }

    private static String verdict(Case c) {
        try {
            exchange(c, "secure-java-" + c.name);
            return c.want.equals("ok") ? "ok" : "FAIL let in";
        } catch (Throwable e) {
            for (Throwable t = e; t != null; t = t.getCause()) {
                if (c.want.equals("sasl") && t instanceof SaslAuthenticationException || c.want.startsWith("tls") && t instanceof SslAuthenticationException) {
                    return "ok";
                }
            }
            return "FAIL " + (e + " " + e.getCause()).replaceAll("\\s+", " ");
        }
    }

    private static Properties settings(Case c) throws Exception {
        var p = new Properties();
        boolean tls = !c.ca.equals("-");
        boolean sasl = !c.mechanism.equals("-");
        p.put("bootstrap.servers", c.addr);
        p.put("security.protocol", (sasl ? "SASL_" : "") + (tls ? "SSL" : "PLAINTEXT"));
        if (tls) {
            p.put("ssl.truststore.type", "PEM");
            p.put("ssl.truststore.location", c.ca);
        }
        if (!c.cert.equals("-")) {
            p.put("ssl.keystore.type", "PEM");
            p.put("ssl.keystore.certificate.chain", Files.readString(Path.of(c.cert)));
            p.put("ssl.keystore.key", Files.readString(Path.of(c.key)));
        }
        if (sasl) {
            p.put("sasl.mechanism", c.mechanism);
            String module = c.mechanism.startsWith("SCRAM") ? "scram.ScramLoginModule" : c.mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : null;
            if (module != null) {
                p.put("sasl.jaas.config", "org.apache.kafka.common.security." + module + " required username=\"" + c.user + "\" password=\"" + c.password + "\";");
            } else {
                p.put("sasl.jaas.config", "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;");
                p.put("sasl.login.callback.handler.class", "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler");
                p.put("sasl.oauthbearer.token.endpoint.url", c.password);
            }
        }
        return p;
    }

    private static void exchange(Case c, String topic) throws Exception {
        var p = settings(c);
        try (Admin admin = Admin.create(p)) {
            admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get(2, TimeUnit.MINUTES);
        }
        try (var producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < RECORDS; i++) {
                producer.send(new ProducerRecord<>(topic, 0, null, "record " + i)).get(2, TimeUnit.MINUTES);
            }
        }
        var got = new ArrayList<String>();
        try (var consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            var one = new TopicPartition(topic, 0);
            consumer.assign(List.of(one));
            consumer.seekToBeginning(List.of(one));
            for (int n = 0; got.size() < RECORDS && n < 120; n++) {
                consumer.poll(Duration.ofSeconds(1)).forEach(r -> got.add(r.value()));
            }
        }
        for (int i = 0; i < RECORDS; i++) {
            if (got.size() != RECORDS || !got.get(i).equals("record " + i)) {
                throw new AssertionError("read " + got);
            }
        }
    }
}
