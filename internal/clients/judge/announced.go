package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// versionsNewest is the newest version of ApiVersions that is compared.
const versionsNewest = 4

func askingVersions() *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "judge", "1"
	return req
}

// announced asks for all that ApiVersions says, of each API and each feature.
func announced(servers []*server) ([]question, error) {
	features := map[string]bool{}
	for _, s := range servers {
		req := askingVersions()
		req.Version = versionsNewest
		resp, err := s.exchange(req)
		if err != nil {
			return nil, fmt.Errorf("%s: ApiVersions: %w", s.name, err)
		}
		for _, f := range resp.(*kmsg.ApiVersionsResponse).SupportedFeatures {
			features[f.Name] = true
		}
	}
	var all []question
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		all = append(all, question{family: "what ApiVersions announces of an API", variant: apiName(key), talk: func(t *talk) {
			t.say("%s", rangeOf(t.versions(versionsNewest), key))
		}})
	}
	all = append(all, talks("what ApiVersions announces in an older version", 0, versionsNewest-1, announcesTheSame)...)
	for _, name := range slices.Sorted(maps.Keys(features)) {
		for v := int16(3); v <= versionsNewest; v++ {
			all = append(all, question{family: "a feature in ApiVersions", variant: fmt.Sprintf("%s in v%d", name, v), talk: func(t *talk) {
				t.say("%s", featureOf(t.versions(v), name))
			}})
		}
	}
	return all, nil
}

func (t *talk) versions(version int16) *kmsg.ApiVersionsResponse {
	return t.must(askingVersions(), version).(*kmsg.ApiVersionsResponse)
}

func rangeOf(resp *kmsg.ApiVersionsResponse, key int16) string {
	for _, k := range resp.ApiKeys {
		if k.ApiKey == key {
			return fmt.Sprintf("%d-%d", k.MinVersion, k.MaxVersion)
		}
	}
	return "nothing"
}

// announcesTheSame holds an older version against the newest.
func announcesTheSame(t *talk, version int16) {
	newest, older := t.versions(versionsNewest), t.versions(version)
	differ := false
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if a, b := rangeOf(newest, key), rangeOf(older, key); a != b {
			t.say("%s: %s instead of %s", apiName(key), b, a)
			differ = true
		}
	}
	if !differ {
		t.say("the same as in v%d", versionsNewest)
	}
}

func featureOf(resp *kmsg.ApiVersionsResponse, name string) string {
	supported, level := "not named", "no level"
	for _, f := range resp.SupportedFeatures {
		if f.Name == name {
			supported = fmt.Sprintf("%d-%d", f.MinVersion, f.MaxVersion)
		}
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == name {
			level = fmt.Sprintf("level %d", f.MaxVersionLevel)
		}
	}
	return supported + ", " + level
}
