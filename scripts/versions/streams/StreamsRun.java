import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Kafka Streams with exactly-once: words are counted in a store, the store is lost and restored from its changelog,
 * and each count was written exactly once.
 */
public final class StreamsRun {
    private static final int WORDS = 10;
    private static final int PARTITIONS = 3;

    private final String version;
    private final String addr;
    private final String application;
    private final Path state;

    private StreamsRun(String version, String addr) throws Exception {
        this.version = version;
        this.addr = addr;
        this.application = "streams-" + version;
        this.state = Files.createTempDirectory("state");
    }

    /** Arguments: the client's version, the server's name and its address. */
    public static void main(String[] args) throws Exception {
        StreamsRun run = new StreamsRun(args[0], args[2]);
        Report report = new Report("streams", args[0], args[1]);
        if (report.part("count", () -> run.create() && run.goOn(0, 300, 1, false))
            && report.part("restart", () -> run.goOn(300, 400, 1, false))) {
            report.part("restore", () -> run.goOn(400, 500, 2, true));
        }
        report.done();
    }

    private Properties config(String... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", addr);
        p.put("client.id", "kring-streams-" + version);
        for (int i = 0; i < pairs.length; i += 2) {
            p.put(pairs[i], pairs[i + 1]);
        }
        return p;
    }

    private String topic(String name) {
        return application + "-" + name;
    }

    private boolean create() throws Exception {
        try (AdminClient admin = AdminClient.create(config())) {
            admin.createTopics(Arrays.asList(new NewTopic(topic("in"), PARTITIONS, (short) 1), new NewTopic(topic("out"), PARTITIONS, (short) 1))).all().get();
        }
        return true;
    }

    private KafkaStreams streams(int threads) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(topic("in"))
            .groupBy((k, v) -> v, Grouped.with(Serdes.String(), Serdes.String()))
            .count(Materialized.as("words"))
            .toStream()
            .to(topic("out"), Produced.with(Serdes.String(), Serdes.Long()));
        Properties p = config("application.id", application, "processing.guarantee", "exactly_once_v2",
            "state.dir", state.toString(), "commit.interval.ms", "200", "cache.max.bytes.buffering", "0",
            "statestore.cache.max.bytes", "0", "num.stream.threads", Integer.toString(threads), "replication.factor", "1",
            // Streams does not leave its group when it ends: the next one waits for this.
            "consumer.session.timeout.ms", "6000", "consumer.heartbeat.interval.ms", "500",
            "consumer.auto.offset.reset", "earliest", "consumer.metadata.max.age.ms", "1000",
            "default.key.serde", "org.apache.kafka.common.serialization.Serdes$StringSerde",
            "default.value.serde", "org.apache.kafka.common.serialization.Serdes$StringSerde");
        return new KafkaStreams(builder.build(), p);
    }

    /** Sends more words, and wants each one's count to go on where it was. */
    private boolean goOn(int from, int to, int threads, boolean lost) throws Exception {
        KafkaStreams streams = streams(threads);
        if (lost) {
            streams.cleanUp();
        }
        CountDownLatch failed = new CountDownLatch(1);
        Throwable[] why = new Throwable[1];
        streams.setUncaughtExceptionHandler((Throwable e) -> {
            why[0] = e;
            failed.countDown();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        try {
            send(from, to);
            read(to, failed);
        } catch (Exception e) {
            throw why[0] == null ? e : new Exception(why[0]);
        } finally {
            Report.must(streams.close(Duration.ofSeconds(30)), "streams did not close within 30 s");
        }
        return true;
    }

    private void send(int from, int to) throws Exception {
        String string = "org.apache.kafka.common.serialization.StringSerializer";
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config("key.serializer", string, "value.serializer", string,
            "max.block.ms", "20000"))) {
            for (int i = from; i < to; i++) {
                var sent = producer.send(new ProducerRecord<>(topic("in"), i % PARTITIONS, "" + i, "word-" + i % WORDS));
                if (i == from || i == to - 1) {
                    sent.get(); // what can't be sent must not be waited for again and again
                }
            }
        }
    }

    /** Reads all counts from the start: each word has each of 1, 2, 3, ... once, in this order. */
    private void read(int n, CountDownLatch failed) throws Exception {
        String bytes = "org.apache.kafka.common.serialization.";
        Map<String, Long> counts = new HashMap<>();
        try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(config("isolation.level", "read_committed",
            "key.deserializer", bytes + "StringDeserializer", "value.deserializer", bytes + "LongDeserializer"))) {
            List<TopicPartition> all = new java.util.ArrayList<>();
            for (int p = 0; p < PARTITIONS; p++) {
                all.add(new TopicPartition(topic("out"), p));
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            long end = System.currentTimeMillis() + 120_000;
            for (int count = 0; count < n;) {
                Report.must(System.currentTimeMillis() < end, "only " + count + " of " + n + " counts came within two minutes");
                Report.must(!failed.await(0, TimeUnit.MILLISECONDS), "streams failed");
                for (ConsumerRecord<String, Long> r : consumer.poll(Duration.ofMillis(200))) {
                    Report.equal("count of " + r.key(), counts.getOrDefault(r.key(), 0L) + 1, r.value());
                    counts.put(r.key(), r.value());
                    count++;
                }
            }
        }
        Map<String, Long> want = new TreeMap<>();
        for (int w = 0; w < WORDS; w++) {
            want.put("word-" + w, (long) (n / WORDS));
        }
        Report.equal("counts", want, new TreeMap<>(counts));
    }
}
