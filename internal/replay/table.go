package replay

import "github.com/twmb/franz-go/pkg/kmsg"

// How says what is done with the requests of an API.
type How struct {
	Played bool
	// Text says how, or why not.
	Text string
}

const (
	asItIs    = "as it is"
	ofGroup   = "members of groups are those of the recording; the target would refuse them"
	ofTxn     = "producer ids and transactions are those of the recording; the target would refuse them"
	changes   = "it changes the target"
	secret    = "its body is never recorded"
	ofBrokers = "brokers and controllers send it to each other"
)

// Treatment says what is done with the requests of an API.
func Treatment(api int16) How {
	if h, known := treatments[api]; known {
		return h
	}
	return How{Text: "nobody has decided how"}
}

var treatments = map[int16]How{
	int16(kmsg.Produce):         {true, "with records that are made up, in batches of the same sizes, unless payloads were recorded; without producer id and transaction"},
	int16(kmsg.Fetch):           {true, "what its fetch session has come to, without a session; at an offset that the target has"},
	int16(kmsg.ListOffsets):     {true, "without leader epochs"},
	int16(kmsg.Metadata):        {true, "topics by name; it never creates topics"},
	int16(kmsg.OffsetFetch):     {true, "topics by name; without member id"},
	int16(kmsg.FindCoordinator): {true, asItIs}, int16(kmsg.DescribeGroups): {true, asItIs}, int16(kmsg.ListGroups): {true, asItIs},
	int16(kmsg.ApiVersions): {true, asItIs}, int16(kmsg.OffsetForLeaderEpoch): {true, "without the leader epoch that the client knew"},
	int16(kmsg.DescribeACLs): {true, asItIs}, int16(kmsg.DescribeConfigs): {true, asItIs}, int16(kmsg.DescribeLogDirs): {true, asItIs},
	int16(kmsg.ListPartitionReassignments): {true, asItIs}, int16(kmsg.DescribeClientQuotas): {true, asItIs},
	int16(kmsg.DescribeUserSCRAMCredentials): {true, asItIs}, int16(kmsg.DescribeQuorum): {true, asItIs}, int16(kmsg.DescribeCluster): {true, asItIs},
	int16(kmsg.DescribeProducers): {true, asItIs}, int16(kmsg.DescribeTransactions): {true, asItIs}, int16(kmsg.ListTransactions): {true, asItIs},
	int16(kmsg.ConsumerGroupDescribe): {true, asItIs}, int16(kmsg.ListConfigResources): {true, asItIs}, int16(kmsg.DescribeTopicPartitions): {true, asItIs},
	int16(kmsg.ShareGroupDescribe): {true, asItIs}, int16(kmsg.StreamsGroupDescribe): {true, asItIs}, int16(kmsg.DescribeShareGroupOffsets): {true, asItIs},

	int16(kmsg.OffsetCommit): {false, ofGroup}, int16(kmsg.JoinGroup): {false, ofGroup}, int16(kmsg.Heartbeat): {false, ofGroup},
	int16(kmsg.LeaveGroup): {false, ofGroup}, int16(kmsg.SyncGroup): {false, ofGroup}, int16(kmsg.ConsumerGroupHeartbeat): {false, ofGroup},
	int16(kmsg.ShareGroupHeartbeat): {false, ofGroup}, int16(kmsg.ShareFetch): {false, ofGroup}, int16(kmsg.ShareAcknowledge): {false, ofGroup},
	int16(kmsg.StreamsGroupHeartbeat): {false, ofGroup}, int16(kmsg.StreamsGroupTopologyDescriptionUpdate): {false, ofGroup},

	int16(kmsg.InitProducerID): {false, ofTxn}, int16(kmsg.AddPartitionsToTxn): {false, ofTxn}, int16(kmsg.AddOffsetsToTxn): {false, ofTxn},
	int16(kmsg.EndTxn): {false, ofTxn}, int16(kmsg.TxnOffsetCommit): {false, ofTxn},

	int16(kmsg.CreateTopics): {false, changes}, int16(kmsg.DeleteTopics): {false, changes}, int16(kmsg.DeleteRecords): {false, changes},
	int16(kmsg.CreateACLs): {false, changes}, int16(kmsg.DeleteACLs): {false, changes}, int16(kmsg.AlterConfigs): {false, changes},
	int16(kmsg.IncrementalAlterConfigs): {false, changes}, int16(kmsg.AlterReplicaLogDirs): {false, changes}, int16(kmsg.CreatePartitions): {false, changes},
	int16(kmsg.DeleteGroups): {false, changes}, int16(kmsg.ElectLeaders): {false, changes}, int16(kmsg.AlterPartitionAssignments): {false, changes},
	int16(kmsg.OffsetDelete): {false, changes}, int16(kmsg.AlterClientQuotas): {false, changes}, int16(kmsg.UpdateFeatures): {false, changes},
	int16(kmsg.UnregisterBroker): {false, changes}, int16(kmsg.AddRaftVoter): {false, changes}, int16(kmsg.RemoveRaftVoter): {false, changes},
	int16(kmsg.AlterShareGroupOffsets): {false, changes}, int16(kmsg.DeleteShareGroupOffsets): {false, changes},

	int16(kmsg.SASLHandshake): {false, "the replay authenticates by its own flags"}, int16(kmsg.SASLAuthenticate): {false, "the replay authenticates by its own flags"},
	int16(kmsg.CreateDelegationToken): {false, secret}, int16(kmsg.RenewDelegationToken): {false, secret}, int16(kmsg.ExpireDelegationToken): {false, secret},
	int16(kmsg.DescribeDelegationToken): {false, secret}, int16(kmsg.AlterUserSCRAMCredentials): {false, secret},
	int16(kmsg.GetTelemetrySubscriptions): {false, secret}, int16(kmsg.PushTelemetry): {false, secret},

	int16(kmsg.LeaderAndISR): {false, ofBrokers}, int16(kmsg.StopReplica): {false, ofBrokers}, int16(kmsg.UpdateMetadata): {false, ofBrokers},
	int16(kmsg.ControlledShutdown): {false, ofBrokers}, int16(kmsg.WriteTxnMarkers): {false, ofBrokers}, int16(kmsg.Vote): {false, ofBrokers},
	int16(kmsg.BeginQuorumEpoch): {false, ofBrokers}, int16(kmsg.EndQuorumEpoch): {false, ofBrokers}, int16(kmsg.AlterPartition): {false, ofBrokers},
	int16(kmsg.Envelope): {false, ofBrokers}, int16(kmsg.FetchSnapshot): {false, ofBrokers}, int16(kmsg.BrokerRegistration): {false, ofBrokers},
	int16(kmsg.BrokerHeartbeat): {false, ofBrokers}, int16(kmsg.AllocateProducerIDs): {false, ofBrokers}, int16(kmsg.ControllerRegistration): {false, ofBrokers},
	int16(kmsg.AssignReplicasToDirs): {false, ofBrokers}, int16(kmsg.UpdateRaftVoter): {false, ofBrokers}, int16(kmsg.InitializeShareGroupState): {false, ofBrokers},
	int16(kmsg.ReadShareGroupState): {false, ofBrokers}, int16(kmsg.WriteShareGroupState): {false, ofBrokers}, int16(kmsg.DeleteShareGroupState): {false, ofBrokers},
	int16(kmsg.ReadShareGroupStateSummary): {false, ofBrokers}, int16(kmsg.UnregisterController): {false, ofBrokers},
}
