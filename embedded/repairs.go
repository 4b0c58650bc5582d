package embedded

import "github.com/twmb/franz-go/pkg/kmsg"

// repairs is everything that kfake does otherwise than clients of Apache Kafka
// rely on, and that is put right on the way to it or back. Of one API they are
// made in this order.
var repairs = []repair{
	// The first may ask kfake once more; what follows sees that response.
	{kmsg.Metadata, "writes down a topic that Metadata creates before it answers, creates for versions 0 to 3, and bounds how many", on(createMissing)},
	{kmsg.Metadata, "advertises an address for each listener (KIP-103)", on(readdressMetadata)},
	{kmsg.FindCoordinator, "advertises an address for each listener (KIP-103)", on(readdressCoordinator)},
	{kmsg.DescribeCluster, "advertises an address for each listener (KIP-103)", on(readdressCluster)},
	{kmsg.Metadata, "answers INVALID_TOPIC_EXCEPTION for names that no topic can have", on(refuseNames)},
	{kmsg.Metadata, "lets its user say which rack a broker is in, or none", on(nodes)},
	{kmsg.DescribeCluster, "lets its user say which rack a broker is in, or none", on(describeCluster)},
	{kmsg.DescribeLogDirs, "names the data directory and the space on its volume, also where it holds nothing that was asked for", on(describeLogDirs)},
	{kmsg.AlterReplicaLogDirs, "refuses folders that do not exist (LOG_DIR_NOT_FOUND)", on(moveToLogDir)},
	{kmsg.OffsetForLeaderEpoch, "serves version 2, the only one of librdkafka", on(endsOfEpochs)},
	{kmsg.DescribeQuorum, "serves DescribeQuorum", on(describeQuorum)},
	{kmsg.CreateTopics, "refuses unknown settings, invalid values and replicas on brokers that do not exist, and says why", on(checkNewSettings)},
	{kmsg.CreateTopics, "refuses names that are no names, and bounds the partitions of one request", on(validateCreateTopics)},
	{kmsg.CreatePartitions, "refuses to make as many partitions as there are, and says of fewer what is wrong", on(refuseSameCount)},
	{kmsg.CreatePartitions, "bounds the partitions of one request", on(refuseManyPartitions)},
	{kmsg.CreateTopics, "bounds the partitions of all topics", on(boundCreatedTopics)},
	{kmsg.CreateTopics, "answers from version 5 on with all settings of a topic, also of one that is only tried, never with null", on(createdConfigs)},
	{kmsg.CreatePartitions, "bounds the partitions of all topics", on(boundCreatedPartitions)},
	{kmsg.ApiVersions, "announces nothing that nobody is behind, and what every client can read (see notServed, kafka.Versions.Announce)", on(announceVersions)},
	{kmsg.DeleteRecords, "takes a topic that is named twice for one", on(oneEntryATopic)},
	{kmsg.DescribeTopicPartitions, "answers eligible leaders with [], not null, bounds the partitions, and answers a cursor that is nowhere", on(describePartitions)},
	{kmsg.JoinGroup, "refuses a member without a protocol, or with one twice, instead of ending the process", on(refuseJoin)},
	{kmsg.JoinGroup, "answers INCONSISTENT_GROUP_PROTOCOL where a share group has the name", on(joinOfAnother)},
	{kmsg.Heartbeat, "answers UNKNOWN_MEMBER_ID where there is no such group", on(nobodysHeartbeat)},
	{kmsg.SyncGroup, "answers UNKNOWN_MEMBER_ID where there is no such group", on(nobodysSync)},
	{kmsg.LeaveGroup, "answers UNKNOWN_MEMBER_ID where there is no such group, knows KIP-848's members, fences instances that others have, and repeats the ids of members", on(leaveGroup)},
	{kmsg.JoinGroup, keptBounded, on(keepJoin)},
	{kmsg.SyncGroup, keptBounded, on(keepSync)},
	{kmsg.TxnOffsetCommit, "has the names of topics that are asked for by id", on(nameTxnCommit)},
	{kmsg.OffsetCommit, "bounds the metadata of offsets", on(boundCommit)}, // before anything of it is charged
	{kmsg.TxnOffsetCommit, "bounds the metadata of offsets", on(boundTxnCommit)},
	{kmsg.OffsetCommit, keptBounded, on(keepCommit)},
	{kmsg.TxnOffsetCommit, keptBounded, on(keepTxnCommit)},
	{kmsg.ConsumerGroupHeartbeat, keptBounded, on(keepConsumer)},
	{kmsg.ShareGroupHeartbeat, keptBounded, on(keepShareMember)},
	{kmsg.InitProducerID, keptBounded, on(keepTxn)},
	{kmsg.AddOffsetsToTxn, keptBounded, on(keepTxnGroup)},
	{kmsg.AlterUserSCRAMCredentials, keptBounded, on(keepUsers)},
	{kmsg.AlterClientQuotas, keptBounded, on(keepQuotas)},
	{kmsg.Fetch, "bounds the partitions of all fetch sessions", on(boundFetchSessions)},
	{kmsg.InitProducerID, "gives out ids without keeping them before their first batch", on(giveProducerID)},
	{kmsg.OffsetFetch, "answers what is named twice once", on(fetchOffsetsOnce)},
	{kmsg.DescribeShareGroupOffsets, "answers what is named twice once", on(describeShareOffsetsOnce)},
	{kmsg.DescribeProducers, "answers what is named twice once", on(describeProducersOnce)},
	{kmsg.DescribeTransactions, "answers what is named twice once", answerOnce(func(r *kmsg.DescribeTransactionsRequest) *[]string { return &r.TransactionalIDs }, itself)},
	{kmsg.OffsetFetch, "answers that nothing is committed where there is no such group", on(nobodysOffsets)},
	{kmsg.ListGroups, "passes over case in the filters of states and types, and names the protocol of KIP-848's groups", on(listGroups)},
	{kmsg.ConsumerGroupHeartbeat, "answers a static member that joins while partitions move with an epoch that is not 0", on(joinWithEpoch)},
	{kmsg.ConsumerGroupDescribe, "names the topics that members are assigned, and the assignor", on(describeConsumers)},
	{kmsg.ShareFetch, "answers records with nothing, not null", on(shareRecords)},
	{kmsg.ShareFetch, "bounds the bytes of a ShareFetch (MaxBytes)", on(boundShareFetch)},
	{kmsg.ShareFetch, "writes down the state of share groups before it answers", on(keepShareFetch)},
	{kmsg.ShareAcknowledge, "writes down the state of share groups before it answers", on(keepShareAcknowledge)},
	{kmsg.AlterShareGroupOffsets, "writes down the state of share groups before it answers", on(keepShareAlter)},
	{kmsg.DeleteShareGroupOffsets, "writes down the state of share groups before it answers", on(forgetShareOffsets)},
	{kmsg.JoinGroup, besideDeletion, on(joinBesideDeletion)},
	{kmsg.OffsetCommit, besideDeletion, on(commitBesideDeletion)},
	{kmsg.ConsumerGroupHeartbeat, besideDeletion, on(consumerBesideDeletion)},
	{kmsg.ShareGroupHeartbeat, besideDeletion, on(shareBesideDeletion)},
	{kmsg.AlterShareGroupOffsets, besideDeletion, on(alterBesideDeletion)},
	{kmsg.DeleteGroups, "writes down that a group is deleted", on(forgetGroups)},
	{kmsg.DescribeUserSCRAMCredentials, "describes all users where none is named", on(everyUser)},
	{kmsg.SASLHandshake, "answers ILLEGAL_SASL_STATE where there is no SASL", on(refuseHandshake)},
	{kmsg.InitProducerID, "goes by the transactional id, fences an older epoch unless it is the producer's own last, and refuses half a producer", on(initProducer)},
	{kmsg.AddPartitionsToTxn, "goes by the transactional id, and answers INVALID_PRODUCER_EPOCH before version 2", on(addPartitions)},
	{kmsg.AddPartitionsToTxn, "serves versions 4 and 5: several transactions, and whether they have partitions", on(addPartitionsOfMany)},
	{kmsg.AddOffsetsToTxn, "goes by the transactional id, and answers INVALID_PRODUCER_EPOCH before version 2", on(addOffsets)},
	{kmsg.TxnOffsetCommit, "answers INVALID_PRODUCER_EPOCH to an old epoch", on(commitOffsets)},
	{kmsg.EndTxn, "goes by the transactional id, answers INVALID_PRODUCER_EPOCH before version 2, and aborts no empty transaction before 5", on(endTransaction)},
	{kmsg.DescribeProducers, "lists every producer whose state a partition has, not only those whose transaction is open", on(describeProducers)},
	{kmsg.DescribeTransactions, "remembers how a transaction ended", on(describeTransactions)},
	{kmsg.ListTransactions, "remembers how transactions ended, names unknown states, and matches whole ids", on(listTransactions)},
	{kmsg.Produce, "has the names of topics that are asked for by id", on(nameProduced)},
	{kmsg.Produce, "takes the last of several batches that a request has for one partition", on(lastOfEachPartition)}, // what follows has one answer for each
	{kmsg.Produce, "looks at a transaction's producer before it looks at its partitions or begins it", on(fenceProducer)},
	{kmsg.Produce, "forgets producers that have written nothing for long, and bounds how many there are", on(boundProducers)},
	{kmsg.Produce, "obeys cleanup.policy, message.timestamp.* and compression.type, clears the bit of append time where a producer sets it, and refuses a negative sequence", on(validateProduce)},
	{kmsg.Produce, waitsBounded, on(watchProduced)}, // before anything of it is shown to kfake
	// The two that follow come last of Produce: what refuses batches comes before.
	{kmsg.Produce, "answers two unknown topic ids in one request instead of ending the process", on(produceByTopic)},
	{kmsg.Produce, "closes the connection when a batch of acks 0 is refused", on(watchSilent)},
	{kmsg.Fetch, "names the aborted transactions of the partition in which a fetch reaches MaxBytes", on(nameAborted)}, // may fetch once more
	{kmsg.Fetch, "stores batches of append time with the right checksum", on(showAppendTime)},
	{kmsg.ShareFetch, "stores batches of append time with the right checksum", on(showAppendTimeShared)},
	{kmsg.JoinGroup, waitsBounded, on(placeJoin)},
	{kmsg.SyncGroup, waitsBounded, on(placeSync)},
	{kmsg.EndTxn, waitsBounded, watchEnded},
	{kmsg.InitProducerID, waitsBounded, watchEnded},
	{kmsg.Fetch, waitsBounded, on(pollFetch)}, // last: it may wait from here on
	{kmsg.ShareFetch, waitsBounded, on(pollShareFetch)},
	{kmsg.DescribeConfigs, "bounds the resources of one request", boundDescribed},
	{kmsg.DescribeGroups, "answers what is named twice once", answerOnce(func(r *kmsg.DescribeGroupsRequest) *[]string { return &r.Groups }, itself)},
	{kmsg.ConsumerGroupDescribe, "answers what is named twice once", answerOnce(func(r *kmsg.ConsumerGroupDescribeRequest) *[]string { return &r.Groups }, itself)},
	{kmsg.ShareGroupDescribe, "answers what is named twice once", answerOnce(func(r *kmsg.ShareGroupDescribeRequest) *[]string { return &r.GroupIDs }, itself)},
	{kmsg.AlterConfigs, "bounds the resources of one request", boundNames(alteredMax, alteredResources)},
	{kmsg.IncrementalAlterConfigs, "bounds the resources of one request", boundNames(alteredMax, alteredSettings)},
	{kmsg.AlterClientQuotas, "bounds the entities of one request", boundNames(alteredMax, alteredQuotas)},
	{kmsg.AlterUserSCRAMCredentials, "bounds the users of one request", boundNames(alteredMax, alteredUsers)},
	{kmsg.AlterConfigs, "checks names and values, and keeps what it was started with", on(alterConfigs)},
	{kmsg.IncrementalAlterConfigs, "checks names and values, appends to defaults, and keeps the settings of groups over a kill", on(incrementalAlterConfigs)},
	{kmsg.DescribeConfigs, "describes all settings of topics, by the values that it obeys", on(describeConfigs)},
	{kmsg.DeleteTopics, "refuses to delete a topic that is named twice", on(refuseTwice)},
	{kmsg.DeleteTopics, "says when a topic has changed", on(forgetTopics)},
	{kmsg.DeleteRecords, "deletes nothing where all is gone already, without an error", on(deleteGone)},
	{kmsg.DeleteRecords, "refuses to delete from topics that are compacted only, and knows no low watermark where it fails", on(keepCompacted)},
	{kmsg.DeleteRecords, "writes down that records were deleted, and where an empty log goes on", on(keepDeleted)}, // behind all that refuse: what is noted is deleted at the next start
	{kmsg.OffsetFetch, "answers with metadata, never with null", on(fillMetadata)},
	{kmsg.OffsetDelete, "deletes the offsets that no member of a KIP-848 group reads, and answers UNKNOWN_TOPIC_OR_PARTITION", on(deleteOffsets)},
	{kmsg.OffsetFetch, "deletes the offsets that no member of a KIP-848 group reads, and answers UNKNOWN_TOPIC_OR_PARTITION", on(leaveOutRetracted)},
	{kmsg.AlterClientQuotas, "enforces the quotas that it keeps", on(alterClientQuotas)},
	{kmsg.DescribeClientQuotas, "refuses filters that nothing can pass, finds defaults where any of a kind is asked for, and answers with no null", on(validateDescribeQuotas)},
	{kmsg.CreateACLs, "refuses ACLs that nobody checks", on(refuseCreateACLs)},
	{kmsg.DeleteACLs, "refuses ACLs that nobody checks", on(refuseDeleteACLs)},
	{kmsg.DescribeACLs, "refuses ACLs that nobody checks", on(refuseDescribeACLs)},
	{kmsg.ElectLeaders, "elects nobody where the leader leads", on(electLeaders)},
	{kmsg.AlterPartitionAssignments, "refuses brokers that do not exist", on(validateAssignments)},
	{kmsg.UpdateFeatures, "keeps the level of a feature, and obeys it", on(keepFeatures)},
	{kmsg.AddPartitionsToTxn, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.AddOffsetsToTxn, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.TxnOffsetCommit, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.InitProducerID, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.EndTxn, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.DeleteTopics, "ends the deletion of a topic that a crash interrupted", noteTxn},
}

// waitsBounded is why requests that may wait have repairs.
const waitsBounded = "bounds how many requests wait at once, and what they bring together"

// besideDeletion is why what comes to a group has repairs.
const besideDeletion = "comes to a group before its deletion or after it, never between its steps"

// keptBounded is why requests that leave something behind have repairs.
const keptBounded = "bounds what clients leave behind"

// repairsOf is repairs by API. It is filled by init, because repairs ask for the
// repairs of other APIs.
var repairsOf = make(map[kmsg.Key][]repair)

func init() {
	for _, r := range repairs {
		repairsOf[r.key] = append(repairsOf[r.key], r)
	}
}
