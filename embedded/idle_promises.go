package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What kfake says yes to and then does not do, and what has nothing to do on one
// node without an authorizer, is answered here, as Apache Kafka answers it.

const (
	noAuthorizer = "No Authorizer is configured."
	onlyBroker   = "The embedded cluster has one broker, 0: every partition has the one replica there."
)

func refuseCreateACLs(x *exchange, req *kmsg.CreateACLsRequest) kmsg.Response {
	resp := x.response().(*kmsg.CreateACLsResponse)
	for range req.Creations {
		r := kmsg.NewCreateACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = kerr.SecurityDisabled.Code, kmsg.StringPtr(noAuthorizer)
		resp.Results = append(resp.Results, r)
	}
	return resp
}

func refuseDeleteACLs(x *exchange, req *kmsg.DeleteACLsRequest) kmsg.Response {
	resp := x.response().(*kmsg.DeleteACLsResponse)
	for range req.Filters {
		r := kmsg.NewDeleteACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = kerr.SecurityDisabled.Code, kmsg.StringPtr(noAuthorizer)
		resp.Results = append(resp.Results, r)
	}
	return resp
}

func refuseDescribeACLs(x *exchange, _ *kmsg.DescribeACLsRequest) kmsg.Response {
	resp := x.response().(*kmsg.DescribeACLsResponse)
	resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, kmsg.StringPtr(noAuthorizer)
	return resp
}

// electLeaders: the only broker leads everything already. kfake would count
// every partition's leader epoch up.
func electLeaders(x *exchange, req *kmsg.ElectLeadersRequest) kmsg.Response {
	resp := x.response().(*kmsg.ElectLeadersResponse)
	for _, t := range req.Topics { // none: those that need it, which are none
		answer := kmsg.NewElectLeadersResponseTopic()
		answer.Topic = t.Topic
		for _, n := range t.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			why := kerr.ElectionNotNeeded
			if x.cluster().partitionInfo(t.Topic, n) == nil {
				why = kerr.UnknownTopicOrPartition
			}
			p.Partition, p.ErrorCode, p.ErrorMessage = n, why.Code, kmsg.StringPtr(why.Description)
			answer.Partitions = append(answer.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// validateAssignments lets partitions be assigned to the only broker, where they
// are, and to no other. kfake says yes to everything.
func validateAssignments(x *exchange, req *kmsg.AlterPartitionAssignmentsRequest) kmsg.Response {
	resp := x.response().(*kmsg.AlterPartitionAssignmentsResponse)
	for _, t := range req.Topics {
		answer := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		answer.Topic = t.Topic
		for _, asked := range t.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			p.Partition = asked.Partition
			switch {
			case x.cluster().partitionInfo(t.Topic, asked.Partition) == nil:
				p.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case asked.Replicas == nil:
				p.ErrorCode = kerr.NoReassignmentInProgress.Code
			case !slices.Equal(asked.Replicas, []int32{nodeID}):
				p.ErrorCode = kerr.InvalidReplicaAssignment.Code
				p.ErrorMessage = kmsg.StringPtr(onlyBroker)
			}
			answer.Partitions = append(answer.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// keepFeatures refuses to change a feature's level: what kfake can do does not
// depend on it, and it forgets the level when it stops.
func keepFeatures(x *exchange, req *kmsg.UpdateFeaturesRequest) kmsg.Response {
	resp := x.response().(*kmsg.UpdateFeaturesResponse)
	levels := featureLevels(x)
	for _, f := range req.FeatureUpdates {
		r := kmsg.NewUpdateFeaturesResponseResult()
		r.Feature = f.Feature
		if level, has := levels[f.Feature]; !has || level != f.MaxVersionLevel {
			r.ErrorCode = kerr.InvalidUpdateVersion.Code
			r.ErrorMessage = kmsg.StringPtr("The features of the embedded cluster have the levels that ApiVersions says, and no others.")
		}
		if r.ErrorCode != 0 && resp.ErrorCode == 0 && req.Version >= featuresAnsweredAsOne {
			resp.ErrorCode, resp.ErrorMessage = r.ErrorCode, r.ErrorMessage
		}
		resp.Results = append(resp.Results, r)
	}
	return resp
}

// featuresAnsweredAsOne is the first version of UpdateFeatures whose response has
// one error for all.
const featuresAnsweredAsOne = 2

func featureLevels(x *exchange) map[string]int16 {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 3, "kring", "1" // the form is checked
	levels := make(map[string]int16)
	resp, err := x.ask(req)
	if err != nil {
		return levels
	}
	for _, f := range resp.(*kmsg.ApiVersionsResponse).FinalizedFeatures {
		levels[f.Name] = f.MaxVersionLevel
	}
	return levels
}
