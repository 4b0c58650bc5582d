package embedded

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// ownAPIs are served although kfake does not have them: a repair answers them.
var ownAPIs = []kafka.VersionRange{
	{Key: int16(kmsg.DescribeQuorum), Min: 0, Max: 2},
}

// addOwn adds ownAPIs to kfake's answer to ApiVersions.
func addOwn(resp *kmsg.ApiVersionsResponse) {
	for _, own := range ownAPIs {
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MinVersion, key.MaxVersion = own.Key, own.Min, own.Max
		resp.ApiKeys = append(resp.ApiKeys, key)
	}
	slices.SortFunc(resp.ApiKeys, func(a, b kmsg.ApiVersionsResponseApiKey) int { return cmp.Compare(a.ApiKey, b.ApiKey) })
}

// announceOwn names ownAPIs in the answers that kfake gives itself.
func announceOwn(x *exchange, _ *kmsg.ApiVersionsRequest) kmsg.Response {
	then(x, func(resp *kmsg.ApiVersionsResponse) {
		if resp.ErrorCode == 0 {
			addOwn(resp)
		}
	})
	return nil
}
