package main

import "github.com/twmb/franz-go/pkg/kmsg"

func coordinator(kind int8, key string) func(*server, int16) kmsg.Request {
	return func(*server, int16) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = kind, key, []string{key}
		return req
	}
}

func joining(change func(*kmsg.JoinGroupRequest)) func(*server, int16) kmsg.Request {
	return func(*server, int16) kmsg.Request {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = "judge-joined", 10000, 10000, "consumer"
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name = "range"
		req.Protocols = append(req.Protocols, p)
		change(req)
		return req
	}
}

func groupQuestions() []asked {
	return append(memberQuestions(), []asked{
		{"the coordinator of a group", 0, coordinator(0, "judge")},
		{"the coordinator of a transaction", 1, coordinator(1, "judge")},
		{"the coordinator of kind 9", 1, coordinator(9, "judge")},
		{"the coordinator of a group without a name", 0, coordinator(0, "")},
		{"committing an offset", 0, func(_ *server, v int16) kmsg.Request { return offsetCommit(v) }},
		{"committing an offset of a topic nobody has", 0, func(_ *server, v int16) kmsg.Request {
			req := offsetCommit(v)
			req.Topics[0].Topic = "nobody-has"
			return req
		}},
		{"committing as a member nobody knows", 1, func(_ *server, v int16) kmsg.Request {
			req := offsetCommit(v)
			req.Generation, req.MemberID = 5, "nobody"
			return req
		}},
		{"fetching the offsets of a group", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Group = "judge"
			t := kmsg.NewOffsetFetchRequestTopic()
			t.Topic, t.Partitions = topic, []int32{0, 7}
			req.Topics = append(req.Topics, t)
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = "judge"
			req.Groups = append(req.Groups, g)
			return req
		}},
		{"describing a group nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeGroupsRequest()
			req.Groups = []string{"nobody-has"}
			return req
		}},
		{"deleting a group nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrDeleteGroupsRequest()
			req.Groups = []string{"nobody-has"}
			return req
		}},
		{"describing a consumer group nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrConsumerGroupDescribeRequest()
			req.Groups = []string{"nobody-has"}
			return req
		}},
		{"deleting offsets of a group nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetDeleteRequest()
			req.Group = "nobody-has"
			return req
		}},
	}...)
}

func memberQuestions() []asked {
	return []asked{
		{"joining a group without a name", 0, joining(func(r *kmsg.JoinGroupRequest) { r.Group = "" })},
		{"joining as a member nobody knows", 0, joining(func(r *kmsg.JoinGroupRequest) { r.MemberID = "nobody" })},
		{"joining with a session of 1 ms", 0, joining(func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 })},
		{"joining without a protocol", 0, joining(func(r *kmsg.JoinGroupRequest) { r.Protocols = nil })},
		{"joining without a member id", 4, joining(func(*kmsg.JoinGroupRequest) {})},
		{"a heartbeat of a member nobody knows", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.MemberID, req.Generation = "judge", "nobody", 1
			return req
		}},
		{"syncing as a member nobody knows", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrSyncGroupRequest()
			req.Group, req.MemberID, req.Generation = "judge", "nobody", 1
			req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
			return req
		}},
		{"leaving as a member nobody knows", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Group, req.MemberID = "judge", "nobody"
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID = "nobody"
			req.Members = append(req.Members, m)
			return req
		}},
		{"a consumer's heartbeat of a member nobody knows", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			req.Group, req.MemberID, req.MemberEpoch = "judge-consumers", "nobody", 7
			return req
		}},
	}
}

func transactionQuestions() []asked {
	init := func(id *string, timeout int32) func(*server, int16) kmsg.Request {
		return func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.TransactionalID, req.TransactionTimeoutMillis = id, timeout
			return req
		}
	}
	return []asked{
		{"a producer id", 0, init(nil, 1000)},
		{"a producer id of a transaction", 0, init(kmsg.StringPtr("judge"), 1000)},
		{"a producer id of a transaction without a name", 0, init(kmsg.StringPtr(""), 1000)},
		{"a transaction of 24 days", 0, init(kmsg.StringPtr("judge"), 1<<31-1)},
		{"a transaction of 0 ms", 0, init(kmsg.StringPtr("judge"), 0)},
		{"adding partitions to a transaction nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrAddPartitionsToTxnRequest()
			req.TransactionalID, req.ProducerID = "nobody-has", 77
			t := kmsg.NewAddPartitionsToTxnRequestTopic()
			t.Topic, t.Partitions = topic, []int32{0}
			req.Topics = append(req.Topics, t)
			x := kmsg.NewAddPartitionsToTxnRequestTransaction()
			x.TransactionalID, x.ProducerID = "nobody-has", 77
			xt := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			xt.Topic, xt.Partitions = topic, []int32{0}
			x.Topics = append(x.Topics, xt)
			req.Transactions = append(req.Transactions, x)
			return req
		}},
		{"adding offsets to a transaction nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrAddOffsetsToTxnRequest()
			req.TransactionalID, req.ProducerID, req.Group = "nobody-has", 77, "judge"
			return req
		}},
		{"ending a transaction nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrEndTxnRequest()
			req.TransactionalID, req.ProducerID, req.Commit = "nobody-has", 77, true
			return req
		}},
		{"describing a transaction nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeTransactionsRequest()
			req.TransactionalIDs = []string{"nobody-has"}
			return req
		}},
	}
}

func adminQuestions() []asked {
	configs := func(kind kmsg.ConfigResourceType, name string) func(*server, int16) kmsg.Request {
		return func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeConfigsRequest()
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName = kind, name
			req.Resources = append(req.Resources, r)
			return req
		}
	}
	alter := func(topicName, name string) func(*server, int16) kmsg.Request {
		return func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			req.ValidateOnly = true
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topicName
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Value = name, kmsg.StringPtr("1000")
			r.Configs = append(r.Configs, c)
			req.Resources = append(req.Resources, r)
			return req
		}
	}
	return []asked{
		{"the settings of a topic", 0, configs(kmsg.ConfigResourceTypeTopic, topic)},
		{"the settings of a topic nobody has", 0, configs(kmsg.ConfigResourceTypeTopic, "nobody-has")},
		{"the settings of broker 77", 0, configs(kmsg.ConfigResourceTypeBroker, "77")},
		{"the settings of kind 99", 0, configs(99, topic)},
		{"a setting of a topic", 0, alter(topic, "retention.ms")},
		{"a setting of a topic nobody has", 0, alter("nobody-has", "retention.ms")},
		{"a setting nobody knows", 0, alter(topic, "no.such.setting")},
		{"a SASL handshake without SASL", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrSASLHandshakeRequest()
			req.Mechanism = "PLAIN"
			return req
		}},
		{"SASL authentication without SASL", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrSASLAuthenticateRequest()
			req.SASLAuthBytes = []byte("\x00user\x00password")
			return req
		}},
	}
}
