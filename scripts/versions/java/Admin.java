import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What administrators ask for and change. */
final class Admin {
    private final Client client;

    Admin(Client client) {
        this.client = client;
    }

    Object topics() throws Exception {
        String topic = client.prefix + "admin";
        try (AdminClient admin = client.admin()) {
            var nodes = admin.describeCluster().nodes().get();
            Report.equal("nodes", Client.NODES, nodes.size());
            Report.must(admin.describeCluster().clusterId().get() != null, "no cluster id");
            admin.createTopics(Arrays.asList(
                new NewTopic(topic, 2, (short) 1).configs(Map.of("retention.ms", "3600000")),
                new NewTopic(topic + "-gone", 1, (short) 1))).all().get();
            Report.becomes("a created topic is listed", true, () -> admin.listTopics().names().get().contains(topic));
            Report.equal("partitions", 2, describe(admin, topic).partitions().size());
            Report.must(nodes.contains(describe(admin, topic).partitions().get(0).leader()), "the leader is none of the nodes");
            configs(admin, topic);
            admin.createPartitions(Collections.singletonMap(topic, NewPartitions.increaseTo(4))).all().get();
            Report.becomes("partitions", 4, () -> describe(admin, topic).partitions().size());
            records(admin, new TopicPartition(topic, 1));
            admin.deleteTopics(Collections.singleton(topic + "-gone")).all().get();
            Report.becomes("a deleted topic is listed", false, () -> admin.listTopics().names().get().contains(topic + "-gone"));
            if (client.level >= 207) {
                Since27.logs(admin, topic);
            }
        }
        return null;
    }

    @SuppressWarnings("unchecked")
    private TopicDescription describe(AdminClient admin, String topic) throws Exception {
        var result = admin.describeTopics(Collections.singleton(topic));
        String all = client.level >= 301 ? "allTopicNames" : "all";
        var future = (KafkaFuture<Map<String, TopicDescription>>) result.getClass().getMethod(all).invoke(result);
        return future.get().get(topic);
    }

    private void configs(AdminClient admin, String topic) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Report.equal("retention.ms", "3600000", config(admin, resource, "retention.ms"));
        if (client.level >= 203) {
            Since23.alter(admin, resource, "retention.ms", "7200000");
        } else {
            Config changed = new Config(Collections.singleton(new ConfigEntry("retention.ms", "7200000")));
            Object result = AdminClient.class.getMethod("alterConfigs", Map.class).invoke(admin, Collections.singletonMap(resource, changed));
            ((KafkaFuture<?>) result.getClass().getMethod("all").invoke(result)).get();
        }
        Report.becomes("changed retention.ms", "7200000", () -> config(admin, resource, "retention.ms"));
        String node = admin.describeCluster().nodes().get().iterator().next().idString();
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node);
        Report.must(config(admin, broker, "auto.create.topics.enable") != null, "no broker settings");
    }

    private static String config(AdminClient admin, ConfigResource resource, String name) throws Exception {
        ConfigEntry entry = admin.describeConfigs(Collections.singleton(resource)).all().get().get(resource).get(name);
        return entry == null ? null : entry.value();
    }

    private void records(AdminClient admin, TopicPartition partition) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = client.producer()) {
            for (int i = 0; i < 10; i++) {
                producer.send(Client.record(partition.topic(), partition.partition(), i)).get();
            }
        }
        var deleted = admin.deleteRecords(Collections.singletonMap(partition, RecordsToDelete.beforeOffset(4)));
        Report.equal("low watermark", 4L, deleted.lowWatermarks().get(partition).get().lowWatermark());
        if (client.level >= 205) {
            Since25.offsets(admin, partition);
        }
    }

    /** Uses the group that the part "group" left behind. */
    Object groups() throws Exception {
        String group = client.prefix + "classic";
        TopicPartition partition = new TopicPartition(client.prefix + "group-classic", 0);
        try (AdminClient admin = client.admin()) {
            boolean listed = admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group));
            Report.must(listed, "a group is not listed");
            ConsumerGroupDescription described = admin.describeConsumerGroups(Collections.singleton(group)).all().get().get(group);
            Report.equal("members", 0, described.members().size());
            Report.must(admin.describeCluster().nodes().get().contains(described.coordinator()), "the coordinator is none of the nodes");
            if (client.level >= 206) {
                Since26.states(admin, group);
            }
            if (client.level >= 205) {
                Since25.groupOffsets(admin, group, partition);
            }
            admin.deleteConsumerGroups(Collections.singleton(group)).all().get();
        }
        return null;
    }

    private static final class Since23 {
        static void alter(AdminClient admin, ConfigResource resource, String name, String value) throws Exception {
            Collection<AlterConfigOp> ops = List.of(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET));
            admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
        }
    }

    private static final class Since25 {
        static void offsets(AdminClient admin, TopicPartition partition) throws Exception {
            var earliest = admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).all().get();
            Report.equal("earliest", 4L, earliest.get(partition).offset());
            ListOffsetsResult.ListOffsetsResultInfo latest = admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all().get().get(partition);
            Report.equal("latest", 10L, latest.offset());
            long at = Client.record("", 0, 7).timestamp();
            Report.equal("of a time", 7L, admin.listOffsets(Map.of(partition, OffsetSpec.forTimestamp(at))).all().get().get(partition).offset());
        }

        static void groupOffsets(AdminClient admin, String group, TopicPartition partition) throws Exception {
            admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(7))).all().get();
            Report.equal("altered offset", 7L, admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition).offset());
            admin.deleteConsumerGroupOffsets(group, Collections.singleton(partition)).all().get();
            Report.must(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition) == null, "a deleted offset is still there");
            Report.equal("reassignments", 0, admin.listPartitionReassignments().reassignments().get().size());
        }
    }

    private static final class Since26 {
        static void states(AdminClient admin, String group) throws Exception {
            var empty = new org.apache.kafka.clients.admin.ListConsumerGroupsOptions().inStates(Collections.singleton(org.apache.kafka.common.ConsumerGroupState.EMPTY));
            boolean listed = admin.listConsumerGroups(empty).all().get().stream().anyMatch(g -> g.groupId().equals(group));
            Report.must(listed, "an empty group is not listed among the empty");
            var all = org.apache.kafka.common.quota.ClientQuotaFilter.all();
            Report.equal("quotas", 0, admin.describeClientQuotas(all).entities().get().size());
        }
    }

    private static final class Since27 {
        static void logs(AdminClient admin, String topic) throws Exception {
            List<Integer> nodes = new ArrayList<>();
            for (var node : admin.describeCluster().nodes().get()) {
                nodes.add(node.id());
            }
            long bytes = 0;
            for (var logs : admin.describeLogDirs(nodes).allDescriptions().get().values()) {
                for (var log : logs.values()) {
                    for (var replica : log.replicaInfos().entrySet()) {
                        if (replica.getKey().topic().equals(topic)) {
                            bytes += replica.getValue().size();
                        }
                    }
                }
            }
            Report.must(bytes > 0, "no log holds the topic's records");
            admin.describeFeatures().featureMetadata().get();
        }
    }
}
