package kafka

func responseHeaderBytes(flexible bool) int {
	if flexible {
		return 5
	}
	return 4
}

// topicReader reads the topics of a Produce or a Fetch.
type topicReader struct {
	reader
	version  int16
	flexible bool
}

// topic reads how a topic is named.
func (t *topicReader) topic(idsFrom int16) (name []byte, id [16]byte) {
	if t.version >= idsFrom {
		copy(id[:], t.take(len(id)))
		return nil, id
	}
	name = t.string(t.flexible)
	return name[:min(len(name), producerNameBytesMax)], id
}

// silent says that a Produce request has acks 0. It reads nothing of t.
func (t topicReader) silent() bool {
	t.span(t.stringLen(t.flexible), true) // the transactional id
	return t.int16() == 0
}

// produced counts a Produce request, some partitions of which were refused.
func (c *TopicCounts) produced(t *topicReader, failures map[partitionKey]int16) {
	t.span(t.stringLen(t.flexible), true) // the transactional id
	t.take(2 + 4)                         // acks, timeout
	for range t.count(t.flexible, false, 1) {
		name, id := t.topic(produceIDsFrom)
		var in TopicTraffic // of this topic
		for range t.count(t.flexible, false, 1) {
			index := t.int32()
			batch := t.span(t.wideLen(t.flexible), true)
			skipTags(&t.reader, t.flexible)
			code := int16(0)
			if failures != nil {
				code = failures[partitionKey{topicKey{string(name), id}, index}]
			}
			switch {
			case unserved(code):
				continue
			case code == codeMessageTooLarge || code == codeRecordListTooLarge:
				in.BytesRejected += uint64(len(batch))
			case code == codeUnknownServerError:
				in.FailedProduces++
			case code == 0:
				in.BytesIn += uint64(len(batch))
				in.Records += uint64(recordsIn(batch))
			}
			in.Produces++
		}
		skipTags(&t.reader, t.flexible)
		c.note(t, name, id, in, in.Produces > 0)
	}
}

// note adds what was read of a topic, unless the bytes ended before it did.
func (c *TopicCounts) note(t *topicReader, name []byte, id [16]byte, n TopicTraffic, exists bool) {
	if t.fault == nil {
		c.all.add(n)
		c.of(name, id, exists).add(n)
	}
}

// fetched counts the answer to a Fetch.
func (c *TopicCounts) fetched(t *topicReader) {
	if t.version >= 1 {
		t.take(4) // the throttle time
	}
	if t.version >= fetchSessionsFrom {
		t.take(2 + 4) // the error, the session
	}
	for range t.count(t.flexible, true, 1) {
		name, id := t.topic(fetchIDsFrom)
		var out TopicTraffic // of this topic
		for range t.count(t.flexible, true, 1) {
			code, bytes := t.fetchedPartition()
			if unserved(code) {
				continue
			}
			out.Fetches++
			out.BytesOut += uint64(bytes)
			if code == codeUnknownServerError {
				out.FailedFetches++
			}
		}
		skipTags(&t.reader, t.flexible)
		c.note(t, name, id, out, out.Fetches > 0)
	}
}

// fetchedPartition reads a partition of the answer to a Fetch.
func (t *topicReader) fetchedPartition() (code int16, bytes int) {
	t.take(4) // the partition
	code = t.int16()
	t.take(8) // the high watermark
	if t.version >= 4 {
		t.take(8) // the last stable offset
		if t.version >= 5 {
			t.take(8) // the log's start
		}
		for range t.count(t.flexible, true, 16) { // aborted transactions
			t.take(16)
			skipTags(&t.reader, t.flexible)
		}
	}
	if t.version >= 11 {
		t.take(4) // the replica to read from
	}
	records := t.span(t.wideLen(t.flexible), true)
	skipTags(&t.reader, t.flexible)
	return code, len(records)
}

type partitionKey struct {
	topic     topicKey
	partition int32
}

// failures are the partitions of the answer to a Produce that have an error; nil: none has.
func (t *topicReader) failures() (failed map[partitionKey]int16) {
	for range t.count(t.flexible, false, 1) {
		name, id := t.topic(produceIDsFrom)
		for range t.count(t.flexible, false, 1) {
			index, code := t.int32(), t.int16()
			t.skipProduced()
			if code != 0 {
				if failed == nil {
					failed = map[partitionKey]int16{}
				}
				failed[partitionKey{topicKey{string(name), id}, index}] = code
			}
		}
		skipTags(&t.reader, t.flexible)
	}
	return failed
}

// skipProduced skips what the answer to a Produce says of a partition behind its error.
func (t *topicReader) skipProduced() {
	t.take(8) // the base offset
	if t.version >= 2 {
		t.take(8) // the time of the append
	}
	if t.version >= 5 {
		t.take(8) // the log's start
	}
	if t.version >= 8 {
		for range t.count(t.flexible, false, 1) { // records with errors
			t.take(4)
			t.span(t.stringLen(t.flexible), true)
			skipTags(&t.reader, t.flexible)
		}
		t.span(t.stringLen(t.flexible), true) // the error's text
	}
	skipTags(&t.reader, t.flexible)
}

// unserved are the errors before anything is looked for in a log: Kafka does not count these.
func unserved(code int16) bool {
	return code == codeTopicAuthorization || code == codeUnknownTopicOrPartition || code == codeUnknownTopicID
}
