import java.util.Collection;
import java.util.Collections;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;

/** What admin clients can ask about transactions since 3.0, and about the quorum since 3.3. */
final class AdminSince30 {
    private final Client client;

    AdminSince30(Client client) {
        this.client = client;
    }

    /** Uses what the part "transactions" left behind. */
    Object run() throws Exception {
        String id = client.prefix + "id";
        try (AdminClient admin = client.admin()) {
            Report.becomes("state listed", "CompleteCommit", () -> admin.listTransactions().all().get().stream()
                .filter(t -> t.transactionalId().equals(id)).findFirst().map(t -> t.state().toString()).orElse("not listed"));
            Report.becomes("state described", "CompleteCommit",
                () -> admin.describeTransactions(Collections.singleton(id)).all().get().get(id).state().toString());
            newest(admin);
            if (client.level >= 301) {
                admin.fenceProducers(Collections.singleton(id)).all().get();
            }
            if (client.level >= 303) {
                Since33.quorum(admin);
            }
        }
        return null;
    }

    /** The newest time is asked of records whose times the test chose: two markers can be of one millisecond. */
    private void newest(AdminClient admin) throws Exception {
        TopicPartition partition = new TopicPartition(client.prefix + "newest", 0);
        client.create(partition.topic(), 1);
        try (KafkaProducer<byte[], byte[]> producer = client.producer()) {
            Client.send(producer, partition.topic(), 1, 0, 10);
            Client.send(producer, partition.topic(), 1, 0, 10); // the same times again
        }
        long max = admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).all().get().get(partition).offset();
        Report.equal("offset of the newest time (the first that has it)", 9L, max);
    }

    /** What an operator looks for: whose transaction holds up the partition's readers (KIP-664). */
    Object open() throws Exception {
        String topic = client.prefix + "open";
        TopicPartition partition = new TopicPartition(topic, 0);
        client.create(topic, 1);
        try (AdminClient admin = client.admin();
            KafkaProducer<byte[], byte[]> producer = client.producer("transactional.id", client.prefix + "open")) {
            producer.initTransactions();
            producer.beginTransaction();
            Client.send(producer, topic, 1, 0, 5);
            var one = producers(admin, partition).iterator().next();
            Report.equal("start of the open transaction", 0L, one.currentTransactionStartOffset().orElse(-1));
            Report.equal("last sequence", 4, one.lastSequence());
            producer.commitTransaction();
        }
        return null;
    }

    /** Apache Kafka lists every producer whose state the partition keeps, also when its transaction is over. */
    Object over() throws Exception {
        try (AdminClient admin = client.admin()) {
            Report.equal("producers", 1, producers(admin, new TopicPartition(client.prefix + "open", 0)).size());
        }
        return null;
    }

    private static Collection<ProducerState> producers(AdminClient admin, TopicPartition partition) throws Exception {
        return admin.describeProducers(Collections.singleton(partition)).all().get().get(partition).activeProducers();
    }

    private static final class Since33 {
        static void quorum(AdminClient admin) throws Exception {
            var quorum = admin.describeMetadataQuorum().quorumInfo().get();
            Report.equal("voters", Client.NODES, quorum.voters().size());
            Report.must(quorum.voters().stream().anyMatch(v -> v.replicaId() == quorum.leaderId()), "the leader is none of the voters");
        }
    }
}
