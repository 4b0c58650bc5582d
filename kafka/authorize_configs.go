package kafka

import (
	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// configVerdict is the verdict about a resource that has settings. Those of brokers,
// and of what has no rules of its own, are the cluster's.
func (s *screening) configVerdict(op acl.Operation, kind kmsg.ConfigResourceType, name string) int16 {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		if !s.may(op, acl.Topic, name) {
			return codeTopicAuthorization
		}
	case kmsg.ConfigResourceTypeGroupConfig:
		if !s.may(op, acl.Group, name) {
			return codeGroupAuthorization
		}
	default:
		if !s.cluster(op) {
			return codeClusterAuthorization
		}
	}
	return 0
}

var describedConfigs = elements[*kmsg.DescribeConfigsRequest, *kmsg.DescribeConfigsResponse, kmsg.DescribeConfigsRequestResource, kmsg.DescribeConfigsResponseResource]{
	of: func(r *kmsg.DescribeConfigsRequest) *[]kmsg.DescribeConfigsRequestResource { return &r.Resources },
	verdict: func(s *screening, r *kmsg.DescribeConfigsRequestResource) int16 {
		return s.configVerdict(acl.DescribeConfigs, r.ResourceType, r.ResourceName)
	},
	in: func(r *kmsg.DescribeConfigsResponse) *[]kmsg.DescribeConfigsResponseResource { return &r.Resources },
	denied: func(of *kmsg.DescribeConfigsRequestResource, code int16) kmsg.DescribeConfigsResponseResource {
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode = of.ResourceType, of.ResourceName, code
		r.ErrorMessage = kmsg.StringPtr(errorText(code))
		return r
	},
}

var alteredConfigs = elements[*kmsg.AlterConfigsRequest, *kmsg.AlterConfigsResponse, kmsg.AlterConfigsRequestResource, kmsg.AlterConfigsResponseResource]{
	of: func(r *kmsg.AlterConfigsRequest) *[]kmsg.AlterConfigsRequestResource { return &r.Resources },
	verdict: func(s *screening, r *kmsg.AlterConfigsRequestResource) int16 {
		return s.configVerdict(acl.AlterConfigs, r.ResourceType, r.ResourceName)
	},
	in: func(r *kmsg.AlterConfigsResponse) *[]kmsg.AlterConfigsResponseResource { return &r.Resources },
	denied: func(of *kmsg.AlterConfigsRequestResource, code int16) kmsg.AlterConfigsResponseResource {
		r := kmsg.NewAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode = of.ResourceType, of.ResourceName, code
		r.ErrorMessage = kmsg.StringPtr(errorText(code))
		return r
	},
}

var incrementallyAltered = elements[*kmsg.IncrementalAlterConfigsRequest, *kmsg.IncrementalAlterConfigsResponse, kmsg.IncrementalAlterConfigsRequestResource, kmsg.IncrementalAlterConfigsResponseResource]{
	of: func(r *kmsg.IncrementalAlterConfigsRequest) *[]kmsg.IncrementalAlterConfigsRequestResource {
		return &r.Resources
	},
	verdict: func(s *screening, r *kmsg.IncrementalAlterConfigsRequestResource) int16 {
		return s.configVerdict(acl.AlterConfigs, r.ResourceType, r.ResourceName)
	},
	in: func(r *kmsg.IncrementalAlterConfigsResponse) *[]kmsg.IncrementalAlterConfigsResponseResource {
		return &r.Resources
	},
	denied: func(of *kmsg.IncrementalAlterConfigsRequestResource, code int16) kmsg.IncrementalAlterConfigsResponseResource {
		r := kmsg.NewIncrementalAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode = of.ResourceType, of.ResourceName, code
		r.ErrorMessage = kmsg.StringPtr(errorText(code))
		return r
	},
}
