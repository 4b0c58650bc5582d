package embedded

import "github.com/twmb/franz-go/pkg/kmsg"

// repairs is everything that kfake does otherwise than clients of Apache Kafka
// rely on, and that is put right on the way to it or back. Of one API they are
// made in this order.
var repairs = []repair{
	{kmsg.Metadata, "writes down a topic that Metadata creates before it answers, and creates for versions 0 to 3", on(createTopics)},
	{kmsg.CreateTopics, "refuses settings that it does not have, values that they can't have and replicas on brokers that there are not, and says why", on(checkNewSettings)},
	{kmsg.CreateTopics, "refuses names that are no names, and bounds the partitions of one request", on(screenCreateTopics)},
	{kmsg.CreatePartitions, "refuses to make as many partitions as there are", on(refuseSameCount)},
	{kmsg.CreatePartitions, "bounds the partitions of one request", on(refuseManyPartitions)},
	{kmsg.JoinGroup, "refuses a member without a protocol, or with one twice, instead of ending the process", on(refuseJoin)},
	{kmsg.SASLHandshake, "answers ILLEGAL_SASL_STATE where there is no SASL", on(refuseHandshake)},
	{kmsg.Produce, "obeys cleanup.policy, message.timestamp.* and compression.type, and clears the bit of append time where a producer sets it", on(screenProduce)},
	{kmsg.Produce, "closes the connection when a batch of acks 0 is refused", on(watchSilent)},
	{kmsg.Fetch, "stores batches of append time with the right checksum", on(showAppendTime)},
	{kmsg.ShareFetch, "stores batches of append time with the right checksum", on(showAppendTimeShared)},
	{kmsg.AlterConfigs, "checks names and values, and keeps what it was started with", on(alterConfigs)},
	{kmsg.IncrementalAlterConfigs, "checks names and values, appends to defaults, and keeps the settings of groups over a kill", on(incrementalAlterConfigs)},
	{kmsg.DescribeConfigs, "describes all settings of topics, by the values that it obeys", on(describeConfigs)},
	{kmsg.DeleteTopics, "says when a topic has changed", on(forgetTopics)},
	{kmsg.DeleteRecords, "refuses to delete from topics that are compacted only, and knows no low watermark where it fails", on(keepCompacted)},
	{kmsg.OffsetCommit, "bounds the metadata of offsets", on(boundCommit)},
	{kmsg.TxnOffsetCommit, "bounds the metadata of offsets", on(boundTxnCommit)},
	{kmsg.OffsetFetch, "answers with metadata, never with null", on(fillMetadata)},
	{kmsg.AlterClientQuotas, "enforces the quotas that it keeps", on(alterClientQuotas)},
	{kmsg.DescribeClientQuotas, "refuses filters that nothing can pass, and answers with no null", on(screenDescribeQuotas)},
	{kmsg.CreateACLs, "refuses ACLs that nobody checks", on(refuseCreateACLs)},
	{kmsg.DeleteACLs, "refuses ACLs that nobody checks", on(refuseDeleteACLs)},
	{kmsg.DescribeACLs, "refuses ACLs that nobody checks", on(refuseDescribeACLs)},
	{kmsg.ElectLeaders, "elects nobody where the leader leads", on(electLeaders)},
	{kmsg.AlterPartitionAssignments, "refuses brokers that there are not", on(screenAssignments)},
	{kmsg.AlterReplicaLogDirs, "refuses log directories that there are not", on(screenLogDirs)},
	{kmsg.UpdateFeatures, "keeps the level of a feature, and obeys it", on(keepFeatures)},
}

// repairsOf is repairs by API.
var repairsOf = func() map[kmsg.Key][]repair {
	of := make(map[kmsg.Key][]repair)
	for _, r := range repairs {
		of[r.key] = append(of[r.key], r)
	}
	return of
}()
