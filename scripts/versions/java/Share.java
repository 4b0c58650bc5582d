import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnsupportedVersionException;

/** Share groups (KIP-932), since 4.1. */
final class Share {
    private final Client client;

    Share(Client client) {
        this.client = client;
    }

    /** Every record comes, one that was released a second time; a broker without share groups says so. */
    Object run(String mode) throws Exception {
        String topic = client.prefix + "share-" + mode;
        String group = client.prefix + "shared-" + mode;
        client.create(topic, 2);
        try (KafkaProducer<byte[], byte[]> producer = client.producer()) {
            Client.send(producer, topic, 2, 0, 100);
        }
        try (KafkaShareConsumer<byte[], byte[]> other = consumer(group + "-other", mode)) {
            other.subscribe(List.of(topic));
            other.poll(Duration.ofMillis(2_000)); // throws, or close does, where the broker has no share groups
        } catch (KafkaException e) {
            boolean unsupported = e instanceof UnsupportedVersionException || e.getCause() instanceof UnsupportedVersionException;
            if (unsupported && !client.server.equals("kafka")) {
                return null; // honest: the broker announces no share groups
            }
            throw e;
        }
        try (AdminClient admin = client.admin()) {
            var resource = new ConfigResource(ConfigResource.Type.GROUP, group);
            var op = new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(op))).all().get();
        }
        return share(topic, group, mode);
    }

    private KafkaShareConsumer<byte[], byte[]> consumer(String group, String mode) {
        Properties p = client.config("group.id", group, "share.acknowledgement.mode", mode);
        String bytes = "org.apache.kafka.common.serialization.ByteArrayDeserializer";
        p.put("key.deserializer", bytes);
        p.put("value.deserializer", bytes);
        return new KafkaShareConsumer<>(p);
    }

    private Object share(String topic, String group, String mode) {
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, mode)) {
            consumer.subscribe(List.of(topic));
            Set<String> got = new TreeSet<>();
            Set<String> released = new TreeSet<>();
            boolean explicit = mode.equals("explicit");
            boolean again = !explicit;
            long end = System.currentTimeMillis() + Client.PATIENCE_MS;
            while (got.size() < 100 || !again) {
                Report.must(System.currentTimeMillis() < end, "only " + got.size() + " of 100 records came within a minute");
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                    String text = Client.text(r);
                    if (explicit && released.isEmpty()) {
                        released.add(text);
                        consumer.acknowledge(r, AcknowledgeType.RELEASE);
                        continue;
                    }
                    Report.must(got.add(text), "a record that was accepted came again");
                    again |= released.contains(text);
                    if (explicit) {
                        consumer.acknowledge(r, AcknowledgeType.ACCEPT);
                    }
                }
            }
            consumer.commitSync();
            Report.equal("what the share group read", Client.texts(0, 100), got);
        }
        return null;
    }
}
