package kafka

import (
	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// guard is what is asked about the requests of one API.
type guard struct {
	key   int16
	check check // nil: nothing is asked
}

// nothing is asked about what every client needs before it is anybody.
var nothing check

// guards has a row for every API that there is; an API without one is refused. Each
// asks what Apache Kafka 4.1 asks (KafkaApis, ControllerApis, AclApis, ConfigHelper).
var guards = []guard{
	{0, produce},
	{1, fetch},
	{2, each(listOffsets)},
	{3, metadata},
	{4, cluster(acl.ClusterAction)}, // LeaderAndISR
	{5, cluster(acl.ClusterAction)}, // StopReplica
	{6, cluster(acl.ClusterAction)}, // UpdateMetadata
	{7, cluster(acl.ClusterAction)}, // ControlledShutdown
	{8, inOrder(
		group(acl.Read, func(r *kmsg.OffsetCommitRequest) string { return r.Group }),
		each(committedOffsets))},
	{9, offsetFetch},
	{10, coordinator},
	{11, group(acl.Read, func(r *kmsg.JoinGroupRequest) string { return r.Group })},
	{12, group(acl.Read, func(r *kmsg.HeartbeatRequest) string { return r.Group })},
	{13, group(acl.Read, func(r *kmsg.LeaveGroupRequest) string { return r.Group })},
	{14, inOrder(syncsProtocol, group(acl.Read, func(r *kmsg.SyncGroupRequest) string { return r.Group }))},
	{15, inOrder(each(describedGroups), describedGroupOperations)},
	{16, listGroups},
	{17, nothing}, // SASLHandshake
	{18, nothing}, // ApiVersions
	{19, createTopics},
	{20, deleteTopics},
	{21, each(deletedRecords)},
	{22, initProducer},
	{23, epochEnds},
	{24, addPartitions},
	{25, inOrder(
		transaction(func(r *kmsg.AddOffsetsToTxnRequest) string { return r.TransactionalID }),
		group(acl.Read, func(r *kmsg.AddOffsetsToTxnRequest) string { return r.Group }))},
	{26, transaction(func(r *kmsg.EndTxnRequest) string { return r.TransactionalID })},
	{27, cluster(acl.Alter, acl.ClusterAction)}, // WriteTxnMarkers
	{28, inOrder(
		transaction(func(r *kmsg.TxnOffsetCommitRequest) string { return r.TransactionalID }),
		group(acl.Read, func(r *kmsg.TxnOffsetCommitRequest) string { return r.Group }),
		each(committedInTxn))},
	{29, inOrder(cluster(acl.Describe), describeACLs)},
	{30, inOrder(cluster(acl.Alter), refuseACLs)},
	{31, inOrder(cluster(acl.Alter), refuseACLs)},
	{32, each(describedConfigs)},
	{33, each(alteredConfigs)},
	{34, cluster(acl.Alter)},    // AlterReplicaLogDirs
	{35, cluster(acl.Describe)}, // DescribeLogDirs
	{36, nothing},               // SASLAuthenticate
	{37, each(createdPartitions)},
	{38, tokens}, {39, tokens}, {40, tokens}, {41, tokens},
	{42, each(deletedGroups)},
	{43, cluster(acl.Alter)}, // ElectLeaders
	{44, each(incrementallyAltered)},
	{45, cluster(acl.Alter)},    // AlterPartitionAssignments
	{46, cluster(acl.Describe)}, // ListPartitionReassignments
	{47, inOrder(
		group(acl.Delete, func(r *kmsg.OffsetDeleteRequest) string { return r.Group }),
		each(deletedOffsets))},
	{48, cluster(acl.DescribeConfigs)}, // DescribeClientQuotas
	{49, cluster(acl.AlterConfigs)},    // AlterClientQuotas
	{50, cluster(acl.Describe)},        // DescribeUserSCRAMCredentials
	{51, cluster(acl.Alter)},           // AlterUserSCRAMCredentials
	{52, cluster(acl.ClusterAction)},   // Vote
	{53, cluster(acl.ClusterAction)},   // BeginQuorumEpoch
	{54, cluster(acl.ClusterAction)},   // EndQuorumEpoch
	{55, cluster(acl.Describe)},        // DescribeQuorum
	{56, cluster(acl.ClusterAction)},   // AlterPartition
	{57, cluster(acl.Alter)},           // UpdateFeatures
	{58, cluster(acl.ClusterAction)},   // Envelope
	{59, cluster(acl.ClusterAction)},   // FetchSnapshot
	{60, describeCluster},
	{61, each(describedProducers)},
	{62, cluster(acl.ClusterAction)}, // BrokerRegistration
	{63, cluster(acl.ClusterAction)}, // BrokerHeartbeat
	{64, cluster(acl.Alter)},         // UnregisterBroker
	{65, inOrder(each(describedTransactions), transactionTopics)},
	{66, shown(func(r *kmsg.ListTransactionsResponse) *[]kmsg.ListTransactionsResponseTransactionState {
		return &r.TransactionStates
	},
		func(s *screening, t *kmsg.ListTransactionsResponseTransactionState) bool {
			return s.sees(acl.Describe, acl.TransactionalID, t.TransactionalID)
		})},
	{67, cluster(acl.ClusterAction)}, // AllocateProducerIDs
	{68, inOrder(
		group(acl.Read, func(r *kmsg.ConsumerGroupHeartbeatRequest) string { return r.Group }),
		subscriptions(func(r *kmsg.ConsumerGroupHeartbeatRequest) []string { return r.SubscribedTopicNames }), assigned)},
	{69, inOrder(each(describedConsumers), consumerDetails)},
	{70, cluster(acl.ClusterAction)}, // ControllerRegistration
	{71, nothing},                    // GetTelemetrySubscriptions
	{72, nothing},                    // PushTelemetry
	{73, cluster(acl.ClusterAction)}, // AssignReplicasToDirs
	{74, cluster(acl.DescribeConfigs)},
	{75, topicPartitions},
	{76, inOrder(
		group(acl.Read, func(r *kmsg.ShareGroupHeartbeatRequest) string { return r.GroupID }),
		subscriptions(func(r *kmsg.ShareGroupHeartbeatRequest) []string { return r.SubscribedTopicNames }))},
	{77, inOrder(each(describedShares), shareDetails)},
	{78, inOrder(group(acl.Read, func(r *kmsg.ShareFetchRequest) string { return text(r.GroupID) }), shareFetch)},
	{79, inOrder(group(acl.Read, func(r *kmsg.ShareAcknowledgeRequest) string { return text(r.GroupID) }), each(acknowledged))},
	{80, cluster(acl.Alter)},         // AddRaftVoter
	{81, cluster(acl.Alter)},         // RemoveRaftVoter
	{82, cluster(acl.ClusterAction)}, // UpdateRaftVoter
	{83, cluster(acl.ClusterAction)}, // InitializeShareGroupState
	{84, cluster(acl.ClusterAction)}, // ReadShareGroupState
	{85, cluster(acl.ClusterAction)}, // WriteShareGroupState
	{86, cluster(acl.ClusterAction)}, // DeleteShareGroupState
	{87, cluster(acl.ClusterAction)}, // ReadShareGroupStateSummary
	{88, inOrder(group(acl.Read, func(r *kmsg.StreamsGroupHeartbeatRequest) string { return r.Group }), topology)},
	{89, inOrder(each(describedStreams), streamsDetails)},
	{90, shareOffsets},
	{91, inOrder(
		group(acl.Read, func(r *kmsg.AlterShareGroupOffsetsRequest) string { return r.GroupID }),
		each(alteredShareOffsets))},
	{92, inOrder(
		group(acl.Delete, func(r *kmsg.DeleteShareGroupOffsetsRequest) string { return r.GroupID }),
		each(deletedShareOffsets))},
	{93, group(acl.Read, func(r *kmsg.StreamsGroupTopologyDescriptionUpdateRequest) string { return r.Group })},
}

// guardsByKey is guards by key; nil where there is no row.
var guardsByKey = func() []*guard {
	all := make([]*guard, len(descriptions))
	for i := range guards {
		all[guards[i].key] = &guards[i]
	}
	return all
}()

func guardOf(key int16) *guard {
	if key < 0 || int(key) >= len(guardsByKey) {
		return nil
	}
	return guardsByKey[key]
}

// tokens are refused: nobody behind a Filter has delegation tokens, and who owns one is
// not known here.
func tokens(s *screening) { s.refuse(codeTokenAuthorization) }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
