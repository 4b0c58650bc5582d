package record

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// Keeping is what is kept of the requests of an API.
type Keeping uint8

// What is kept of requests.
const (
	// Never: only that there was one.
	Never Keeping = iota
	// WithPayloads: the body with Config.Payloads, and else only that there was one.
	WithPayloads
	// Always: the whole body, which has neither payloads nor secrets.
	Always
	// AlwaysCut: the body without records; these too with Config.Payloads.
	AlwaysCut
)

// Keep says what is kept of the requests of an API. An API that is not in the table is one
// whose requests nobody has looked at: nothing is kept of them.
func Keep(api int16) Keeping { return keeping[api] }

var keeping = map[int16]Keeping{
	int16(kmsg.Produce): AlwaysCut,

	int16(kmsg.Fetch): Always, int16(kmsg.ListOffsets): Always, int16(kmsg.Metadata): Always, int16(kmsg.OffsetFetch): Always,
	int16(kmsg.FindCoordinator): Always, int16(kmsg.DescribeGroups): Always, int16(kmsg.ListGroups): Always, int16(kmsg.ApiVersions): Always,
	int16(kmsg.OffsetForLeaderEpoch): Always, int16(kmsg.DescribeACLs): Always, int16(kmsg.DescribeConfigs): Always, int16(kmsg.DescribeLogDirs): Always,
	int16(kmsg.ListPartitionReassignments): Always, int16(kmsg.DescribeClientQuotas): Always, int16(kmsg.DescribeUserSCRAMCredentials): Always,
	int16(kmsg.DescribeQuorum): Always, int16(kmsg.DescribeCluster): Always, int16(kmsg.DescribeProducers): Always, int16(kmsg.DescribeTransactions): Always,
	int16(kmsg.ListTransactions): Always, int16(kmsg.ConsumerGroupDescribe): Always, int16(kmsg.ListConfigResources): Always,
	int16(kmsg.DescribeTopicPartitions): Always, int16(kmsg.ShareGroupDescribe): Always, int16(kmsg.StreamsGroupDescribe): Always,
	int16(kmsg.DescribeShareGroupOffsets): Always,

	int16(kmsg.OffsetCommit): WithPayloads, int16(kmsg.JoinGroup): WithPayloads, int16(kmsg.Heartbeat): WithPayloads, int16(kmsg.LeaveGroup): WithPayloads,
	int16(kmsg.SyncGroup): WithPayloads, int16(kmsg.CreateTopics): WithPayloads, int16(kmsg.DeleteTopics): WithPayloads, int16(kmsg.DeleteRecords): WithPayloads,
	int16(kmsg.InitProducerID): WithPayloads, int16(kmsg.AddPartitionsToTxn): WithPayloads, int16(kmsg.AddOffsetsToTxn): WithPayloads,
	int16(kmsg.EndTxn): WithPayloads, int16(kmsg.TxnOffsetCommit): WithPayloads, int16(kmsg.CreateACLs): WithPayloads, int16(kmsg.DeleteACLs): WithPayloads,
	int16(kmsg.AlterConfigs): WithPayloads, int16(kmsg.IncrementalAlterConfigs): WithPayloads, int16(kmsg.AlterReplicaLogDirs): WithPayloads,
	int16(kmsg.CreatePartitions): WithPayloads, int16(kmsg.DeleteGroups): WithPayloads, int16(kmsg.ElectLeaders): WithPayloads,
	int16(kmsg.AlterPartitionAssignments): WithPayloads, int16(kmsg.OffsetDelete): WithPayloads, int16(kmsg.AlterClientQuotas): WithPayloads,
	int16(kmsg.UpdateFeatures): WithPayloads, int16(kmsg.UnregisterBroker): WithPayloads, int16(kmsg.ConsumerGroupHeartbeat): WithPayloads,
	int16(kmsg.ShareGroupHeartbeat): WithPayloads, int16(kmsg.ShareFetch): WithPayloads, int16(kmsg.ShareAcknowledge): WithPayloads,
	int16(kmsg.AddRaftVoter): WithPayloads, int16(kmsg.RemoveRaftVoter): WithPayloads, int16(kmsg.StreamsGroupHeartbeat): WithPayloads,
	int16(kmsg.AlterShareGroupOffsets): WithPayloads, int16(kmsg.DeleteShareGroupOffsets): WithPayloads,
	int16(kmsg.StreamsGroupTopologyDescriptionUpdate): WithPayloads,

	// Never, because they are secret or have secrets in them: passwords and tokens of SASL, HMACs
	// of delegation tokens, salted passwords, and metrics of clients, which may have anything in
	// their labels.
	int16(kmsg.SASLHandshake): Never, int16(kmsg.SASLAuthenticate): Never, int16(kmsg.CreateDelegationToken): Never, int16(kmsg.RenewDelegationToken): Never,
	int16(kmsg.ExpireDelegationToken): Never, int16(kmsg.DescribeDelegationToken): Never, int16(kmsg.AlterUserSCRAMCredentials): Never,
	int16(kmsg.GetTelemetrySubscriptions): Never, int16(kmsg.PushTelemetry): Never,
	// Never, because brokers and controllers send them to each other. Envelope has any other
	// request in it.
	int16(kmsg.LeaderAndISR): Never, int16(kmsg.StopReplica): Never, int16(kmsg.UpdateMetadata): Never, int16(kmsg.ControlledShutdown): Never,
	int16(kmsg.WriteTxnMarkers): Never, int16(kmsg.Vote): Never, int16(kmsg.BeginQuorumEpoch): Never, int16(kmsg.EndQuorumEpoch): Never,
	int16(kmsg.AlterPartition): Never, int16(kmsg.Envelope): Never, int16(kmsg.FetchSnapshot): Never, int16(kmsg.BrokerRegistration): Never,
	int16(kmsg.BrokerHeartbeat): Never, int16(kmsg.AllocateProducerIDs): Never, int16(kmsg.ControllerRegistration): Never,
	int16(kmsg.AssignReplicasToDirs): Never, int16(kmsg.UpdateRaftVoter): Never, int16(kmsg.InitializeShareGroupState): Never,
	int16(kmsg.ReadShareGroupState): Never, int16(kmsg.WriteShareGroupState): Never, int16(kmsg.DeleteShareGroupState): Never,
	int16(kmsg.ReadShareGroupStateSummary): Never, int16(kmsg.UnregisterController): Never,
}

// keep returns what is kept of a body, behind what is in b already. Without something to keep it
// is NoBody. false: fits, which is asked before anything is copied, says that it does not.
func keep(b []byte, api, version int16, body []byte, payloads bool, fits func(int) bool) (kept []byte, form Form, ok bool) {
	how := Keep(api)
	if how == Never || how == WithPayloads && !payloads {
		return b, NoBody, true
	}
	size, err := kafka.Validate(api, version, body, 0)
	if err != nil {
		return b, NoBody, true // the server refuses it, and it may be anything
	}
	body = body[:size] // what stands behind it, nobody reads
	switch {
	case how == AlwaysCut && !payloads:
		return cutProduce(b, version, body, fits)
	case !fits(size):
		return b, NoBody, false
	case configured(api):
		kept, form = scrub(b, api, version, body)
		return kept, form, true
	}
	return append(b, body...), Whole, true
}

// configured says that requests of an API have values of configurations in them.
func configured(api int16) bool {
	return slices.Contains([]int16{int16(kmsg.CreateTopics), int16(kmsg.AlterConfigs), int16(kmsg.IncrementalAlterConfigs)}, api)
}

// scrub sets the values of all settings to null but those of topics that are known to be no
// secrets: a broker has passwords among its settings, and a name that is not known may be one.
func scrub(b []byte, api, version int16, body []byte) ([]byte, Form) {
	req := kmsg.RequestForKey(api)
	req.SetVersion(version)
	if req.ReadFrom(body) != nil {
		return b, NoBody
	}
	hide := func(name string, value **string) {
		if !slices.Contains(topicSettings, name) {
			*value = nil
		}
	}
	switch q := req.(type) {
	case *kmsg.CreateTopicsRequest:
		for i := range q.Topics {
			for k := range q.Topics[i].Configs {
				hide(q.Topics[i].Configs[k].Name, &q.Topics[i].Configs[k].Value)
			}
		}
	case *kmsg.AlterConfigsRequest:
		for i := range q.Resources {
			for k := range q.Resources[i].Configs {
				hide(q.Resources[i].Configs[k].Name, &q.Resources[i].Configs[k].Value)
			}
		}
	case *kmsg.IncrementalAlterConfigsRequest:
		for i := range q.Resources {
			for k := range q.Resources[i].Configs {
				hide(q.Resources[i].Configs[k].Name, &q.Resources[i].Configs[k].Value)
			}
		}
	}
	return req.AppendTo(b), Scrubbed
}

// topicSettings are the settings of topics that can't be secrets (TopicConfig, of Apache Kafka
// 4.1).
var topicSettings = []string{
	"cleanup.policy", "compression.gzip.level", "compression.lz4.level", "compression.type", "compression.zstd.level", "delete.retention.ms",
	"file.delete.delay.ms", "flush.messages", "flush.ms", "index.interval.bytes", "local.retention.bytes", "local.retention.ms",
	"max.compaction.lag.ms", "max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "message.timestamp.type",
	"min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas", "preallocate", "remote.storage.enable", "retention.bytes",
	"retention.ms", "segment.bytes", "segment.index.bytes", "segment.jitter.ms", "segment.ms", "unclean.leader.election.enable",
}
