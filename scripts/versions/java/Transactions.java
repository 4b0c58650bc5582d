import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions with offsets in them, and what a newer producer does to an older one of its id. */
final class Transactions {
    private final Client client;

    Transactions(Client client) {
        this.client = client;
    }

    Object run() throws Exception {
        String topic = client.prefix + "transactions";
        String group = client.prefix + "transactional";
        TopicPartition partition = new TopicPartition(topic, 0);
        client.create(topic, 1);
        try (KafkaProducer<byte[], byte[]> producer = client.producer("transactional.id", client.prefix + "id")) {
            producer.initTransactions();
            producer.beginTransaction();
            Client.send(producer, topic, 1, 0, 20);
            commitOffsets(producer, Collections.singletonMap(partition, new OffsetAndMetadata(20, "twenty")), group);
            producer.commitTransaction();
            producer.beginTransaction();
            Client.send(producer, topic, 1, 20, 40);
            commitOffsets(producer, Collections.singletonMap(partition, new OffsetAndMetadata(40)), group);
            producer.abortTransaction();
            producer.beginTransaction();
            Client.send(producer, topic, 1, 40, 60);
            producer.commitTransaction();
        }
        Set<String> committed = Client.texts(0, 20);
        committed.addAll(Client.texts(40, 60));
        Report.equal("committed", committed, readAs("read_committed", partition, 40));
        Report.equal("uncommitted", Client.texts(0, 60), readAs("read_uncommitted", partition, 60));
        try (AdminClient admin = client.admin()) {
            Map<TopicPartition, OffsetAndMetadata> offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            Report.equal("offset of the transaction", new OffsetAndMetadata(20, "twenty").offset(), offsets.get(partition).offset());
            Report.equal("its metadata", "twenty", offsets.get(partition).metadata());
        }
        return null;
    }

    private Set<String> readAs(String isolation, TopicPartition partition, int n) {
        try (KafkaConsumer<byte[], byte[]> consumer = client.consumer("isolation.level", isolation)) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            return Client.read(consumer, n);
        }
    }

    /** Since 2.5 the group's metadata go along; before, its name. */
    private void commitOffsets(KafkaProducer<byte[], byte[]> producer, Map<TopicPartition, OffsetAndMetadata> offsets, String group) throws Exception {
        if (client.level >= 205) {
            SinceGroupMetadata.commitOffsets(producer, offsets, group);
            return;
        }
        producer.getClass().getMethod("sendOffsetsToTransaction", Map.class, String.class).invoke(producer, offsets, group);
    }

    /** Is loaded only where its class exists. */
    private static final class SinceGroupMetadata {
        static void commitOffsets(KafkaProducer<byte[], byte[]> producer, Map<TopicPartition, OffsetAndMetadata> offsets, String group) {
            producer.sendOffsetsToTransaction(offsets, new ConsumerGroupMetadata(group));
        }
    }

    /** The older producer learns that it is fenced, whichever request of its meets the newer epoch. */
    Object fencing() throws Exception {
        String topic = client.prefix + "fencing";
        client.create(topic, 1);
        Set<String> wrong = new TreeSet<>();
        for (String meets : List.of("produce", "commit", "begin")) {
            String id = client.prefix + "fenced-" + meets;
            try (KafkaProducer<byte[], byte[]> older = client.producer("transactional.id", id);
                KafkaProducer<byte[], byte[]> newer = client.producer("transactional.id", id)) {
                older.initTransactions();
                if (!meets.equals("begin")) {
                    older.beginTransaction();
                    Client.send(older, topic, 1, 0, 5);
                }
                newer.initTransactions();
                try {
                    if (meets.equals("begin")) {
                        older.beginTransaction();
                    }
                    if (!meets.equals("commit")) {
                        Client.send(older, topic, 1, 5, 10);
                    }
                    older.commitTransaction();
                    wrong.add(meets + " was not fenced");
                } catch (Exception e) {
                    if (!fenced(e)) {
                        wrong.add(meets + ": " + e);
                    }
                }
            }
        }
        Report.must(wrong.isEmpty(), String.join("; ", wrong));
        return null;
    }

    private static boolean fenced(Throwable e) {
        for (; e != null; e = e.getCause()) {
            if (e instanceof ProducerFencedException || e.getClass().getSimpleName().equals("InvalidProducerEpochException")) {
                return true;
            }
        }
        return false;
    }
}
