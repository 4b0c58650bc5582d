package embedded

import "github.com/twmb/franz-go/pkg/kmsg"

// repairs is everything that kfake does otherwise than clients of Apache Kafka
// rely on, and that is put right on the way to it or back. Of one API they are
// made in this order.
var repairs = []repair{
	{kmsg.Metadata, "writes down a topic that Metadata creates before it answers, creates for versions 0 to 3, and bounds how many", on(createMissing)},
	{kmsg.Metadata, "answers INVALID_TOPIC_EXCEPTION for names that no topic can have", on(refuseNames)},
	{kmsg.CreateTopics, "refuses names that are no names, and bounds the partitions of one request", on(screenCreateTopics)},
	{kmsg.CreatePartitions, "bounds the partitions of one request", on(refuseManyPartitions)},
	{kmsg.CreateTopics, "bounds the partitions of all topics", on(boundCreatedTopics)},
	{kmsg.CreatePartitions, "bounds the partitions of all topics", on(boundCreatedPartitions)},
	{kmsg.JoinGroup, "refuses a member without a protocol, or with one twice, instead of ending the process", on(refuseJoin)},
	{kmsg.ApiVersions, "announces nothing that nobody is behind, and what every client can read (see notServed, kafka.Versions.Announce)", on(announceVersions)},
	{kmsg.UpdateFeatures, "nothing: our own answers to ApiVersions name the levels", on(announceLevels)},
	{kmsg.SASLHandshake, "answers ILLEGAL_SASL_STATE where there is no SASL", on(refuseHandshake)},
	{kmsg.DeleteRecords, "writes down that records were deleted, and where an empty log goes on", on(keepDeleted)}, // behind what refuses some
	{kmsg.Produce, "closes the connection when a batch of acks 0 is refused", on(watchSilent)},
	{kmsg.AddPartitionsToTxn, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.AddOffsetsToTxn, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.TxnOffsetCommit, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.InitProducerID, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.EndTxn, "goes on with an open transaction after a crash", noteTxn},
	{kmsg.DeleteTopics, "ends the deletion of a topic that a crash interrupted", noteTxn},
}

// repairsOf is repairs by API.
var repairsOf = func() map[kmsg.Key][]repair {
	of := make(map[kmsg.Key][]repair)
	for _, r := range repairs {
		of[r.key] = append(of[r.key], r)
	}
	return of
}()
