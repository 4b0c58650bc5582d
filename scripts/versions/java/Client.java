import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;

/**
 * What a program does with Kafka's Java client, for every version from 2.0 on: compiled against the newest, loaded
 * beside each. What only newer versions have stands in classes of its own, which older ones never load; what only
 * older ones have is called by reflection.
 */
public final class Client {
    static final long PATIENCE_MS = 60_000;

    /** How many nodes the cluster has. */
    static final int NODES = Integer.getInteger("kring.nodes", 1);

    /** The time of the first record: young enough to be kept, and not that of the broker's clock. */
    static final long FIRST_MS = System.currentTimeMillis() - 3_600_000;

    final String version;
    final int level;
    final String server;
    final String addr;
    final String prefix;

    private Client(String version, String server, String addr) {
        this.version = version;
        String[] numbers = version.split("\\.");
        this.level = 100 * Integer.parseInt(numbers[0]) + Integer.parseInt(numbers[1]);
        this.server = server;
        this.addr = addr;
        this.prefix = "java.." + version + "..";
    }

    /** Arguments: the client's version, the server's name and its address. */
    public static void main(String[] args) {
        Client client = new Client(args[0], args[1], args[2]);
        Report report = new Report("java", client.version, client.server);
        report.part("admin", () -> new Admin(client).topics());
        report.part("codecs", client::codecs);
        report.part("group", client::group);
        report.part("pattern", client::pattern);
        report.part("transactions", () -> new Transactions(client).run());
        report.part("fencing", () -> new Transactions(client).fencing());
        report.part("admin-groups", () -> new Admin(client).groups());
        if (client.level >= 300) {
            report.part("admin-transactions", () -> new AdminSince30(client).run());
            report.part("producers-open", () -> new AdminSince30(client).open());
            report.part("producers-over", () -> new AdminSince30(client).over());
        }
        if (client.level >= 207) {
            report.part("scram", () -> new Scram(client).run());
        }
        if (client.level >= 307) {
            report.part("kip848", client::kip848);
        }
        if (client.level >= 400) {
            report.part("kip848-regex", () -> new Since40(client).regex());
        }
        if (client.level >= 401) {
            report.part("share", () -> new Share(client).run("explicit"));
            report.part("share-implicit", () -> new Share(client).run("implicit"));
        }
        report.done();
    }

    Properties config(String... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", addr);
        p.put("client.id", "kring-java-" + version);
        p.put("metadata.max.age.ms", "1000");
        for (int i = 0; i < pairs.length; i += 2) {
            p.put(pairs[i], pairs[i + 1]);
        }
        return p;
    }

    AdminClient admin() {
        return AdminClient.create(config("request.timeout.ms", "20000"));
    }

    void create(String topic, int partitions) throws Exception {
        try (AdminClient admin = admin()) {
            admin.createTopics(Collections.singleton(new NewTopic(topic, partitions, (short) 1))).all().get();
        }
    }

    KafkaProducer<byte[], byte[]> producer(String... pairs) {
        Properties p = config(pairs);
        p.putIfAbsent("enable.idempotence", "true");
        p.putIfAbsent("delivery.timeout.ms", "40000"); // unknown before 2.1, and then ignored
        p.put("max.block.ms", "20000");
        p.put("acks", "all");
        p.put("linger.ms", "20");
        String bytes = "org.apache.kafka.common.serialization.ByteArraySerializer";
        p.put("key.serializer", bytes);
        p.put("value.serializer", bytes);
        return new KafkaProducer<>(p);
    }

    KafkaConsumer<byte[], byte[]> consumer(String... pairs) {
        Properties p = config(pairs);
        p.putIfAbsent("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("default.api.timeout.ms", "20000");
        String bytes = "org.apache.kafka.common.serialization.ByteArrayDeserializer";
        p.put("key.deserializer", bytes);
        p.put("value.deserializer", bytes);
        return new KafkaConsumer<>(p);
    }

    /** The i-th record: some have no key, some no value, all have headers; long enough to be worth compressing. */
    static ProducerRecord<byte[], byte[]> record(String topic, Integer partition, int i) {
        byte[] key = i % 5 == 0 ? null : ("key-" + i).getBytes(StandardCharsets.UTF_8);
        byte[] value = i % 7 == 3 ? null : (i + " " + "kring ".repeat(i % 50 + 10)).getBytes(StandardCharsets.UTF_8);
        return new ProducerRecord<>(topic, partition, FIRST_MS + i, key, value,
            Arrays.asList(new RecordHeader("n", Integer.toString(i).getBytes(StandardCharsets.UTF_8)),
                new RecordHeader("none", null)));
    }

    /** A record as text, with everything in it that must come back. */
    static String text(byte[] key, byte[] value, long timestamp, Iterable<org.apache.kafka.common.header.Header> headers) {
        StringBuilder s = new StringBuilder();
        s.append(key == null ? "null" : new String(key, StandardCharsets.UTF_8)).append('|');
        s.append(value == null ? "null" : new String(value, StandardCharsets.UTF_8)).append('|').append(timestamp);
        for (var h : headers) {
            s.append('|').append(h.key()).append('=');
            s.append(h.value() == null ? "null" : new String(h.value(), StandardCharsets.UTF_8));
        }
        return s.toString();
    }

    static String text(ConsumerRecord<byte[], byte[]> r) {
        return text(r.key(), r.value(), r.timestamp(), r.headers());
    }

    static Set<String> texts(int from, int to) {
        Set<String> all = new TreeSet<>();
        for (int i = from; i < to; i++) {
            ProducerRecord<byte[], byte[]> r = record("", 0, i);
            all.add(text(r.key(), r.value(), r.timestamp(), r.headers()));
        }
        return all;
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, int partitions, int from, int to) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int i = from; i < to; i++) {
            sent.add(producer.send(record(topic, i % partitions, i)));
        }
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
    }

    /** Polls until n records came; more than that, or one twice, is a failure. */
    static Set<String> read(KafkaConsumer<byte[], byte[]> consumer, int n) {
        Set<String> got = new TreeSet<>();
        int count = 0;
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (count < n) {
            Report.must(System.currentTimeMillis() < end, "only " + count + " of " + n + " records came within a minute");
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                got.add(text(r));
                count++;
            }
        }
        Report.equal("records read", n, count);
        return got;
    }

    Object codecs() throws Exception {
        List<String> codecs = new ArrayList<>(List.of("none", "gzip", "snappy", "lz4"));
        if (level >= 201) {
            codecs.add("zstd");
        }
        for (String codec : codecs) {
            String topic = prefix + "codec-" + codec;
            create(topic, 1);
            try (KafkaProducer<byte[], byte[]> producer = producer("compression.type", codec)) {
                send(producer, topic, 1, 0, 200);
            }
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                TopicPartition partition = new TopicPartition(topic, 0);
                consumer.assign(List.of(partition));
                consumer.seekToBeginning(List.of(partition));
                Report.equal(codec, texts(0, 200), read(consumer, 200));
                Report.equal("end offset", 200L, consumer.endOffsets(List.of(partition)).get(partition));
                Report.equal("offset for a time", 100L, consumer.offsetsForTimes(
                    Collections.singletonMap(partition, FIRST_MS + 100)).get(partition).offset());
            }
        }
        return null;
    }

    /** A group commits half, and another member goes on from there. */
    Object group() throws Exception {
        return groupOf("classic");
    }

    Object kip848() throws Exception {
        return groupOf("consumer", "group.protocol", "consumer");
    }

    private Object groupOf(String kind, String... settings) throws Exception {
        String topic = prefix + "group-" + kind;
        String group = prefix + kind;
        create(topic, 3);
        String[] pairs = Arrays.copyOf(settings, settings.length + 4);
        System.arraycopy(new String[] {"group.id", group, "max.poll.records", "50"}, 0, pairs, settings.length, 4);
        Set<String> got;
        try (KafkaProducer<byte[], byte[]> producer = producer(); KafkaConsumer<byte[], byte[]> first = consumer(pairs)) {
            send(producer, topic, 3, 0, 150);
            first.subscribe(List.of(topic));
            got = read(first, 150);
            first.commitSync();
            Report.equal("assignment", 3, first.assignment().size());
            send(producer, topic, 3, 150, 300);
        }
        try (KafkaConsumer<byte[], byte[]> second = consumer(pairs)) {
            second.subscribe(List.of(topic));
            got.addAll(read(second, 150));
            second.commitSync();
        }
        Report.equal("what the group read", texts(0, 300), got);
        try (AdminClient admin = admin()) {
            long committed = 0;
            for (var offset : admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values()) {
                committed += offset.offset();
            }
            Report.equal("committed", 300L, committed);
        }
        return null;
    }

    /** A pattern finds the topics that are there, and one that comes later. */
    Object pattern() throws Exception {
        create(prefix + "pattern-a", 1);
        create(prefix + "other", 1);
        try (KafkaProducer<byte[], byte[]> producer = producer(); KafkaConsumer<byte[], byte[]> consumer = consumer("group.id", prefix + "pattern")) {
            send(producer, prefix + "other", 1, 500, 510);
            send(producer, prefix + "pattern-a", 1, 0, 10);
            consumer.subscribe(Pattern.compile(Pattern.quote(prefix) + "pattern-.*"), new Quiet());
            Set<String> got = read(consumer, 10);
            consumer.commitSync(); // the next rebalance begins from here
            create(prefix + "pattern-b", 1);
            send(producer, prefix + "pattern-b", 1, 10, 20);
            got.addAll(read(consumer, 10));
            Report.equal("what the pattern read", texts(0, 20), got);
            Report.must(consumer.listTopics().containsKey(prefix + "other"), "listTopics lacks a topic");
        }
        return null;
    }

    /** Listens to rebalances and does nothing. */
    static final class Quiet implements org.apache.kafka.clients.consumer.ConsumerRebalanceListener {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}
    }
}
