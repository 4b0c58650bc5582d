package kafka

import (
	"strings"

	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ruleLister is an Authorizer whose rules can be listed.
type ruleLister interface{ List() []acl.Rule }

// readOnly is why ACLs can't be changed by clients: a rules file has what Kafka's ACLs
// have no words for (listeners, networks, APIs, comments), so that writing it anew would
// lose what its owner meant.
const readOnly = "The ACLs of this broker are read from a rules file: change that file, and the broker rereads it. They can't be changed by clients."

// describeACLs answers from the rules. An Authorizer that can't list them has none to
// show.
func describeACLs(s *screening) {
	req := s.req.(*kmsg.DescribeACLsRequest)
	resp := s.response().(*kmsg.DescribeACLsResponse)
	s.answer = resp
	lister, lists := s.seen.(ruleLister)
	switch {
	case !lists:
		resp.ErrorCode, resp.ErrorMessage = codeSecurityDisabled, kmsg.StringPtr("The authorizer of this broker does not list its rules.")
		return
	case req.ResourceType == 0 || req.Operation == 0 || req.PermissionType == 0 || s.header.Version > 0 && req.ResourcePatternType == 0:
		resp.ErrorCode, resp.ErrorMessage = codeInvalidRequest, kmsg.StringPtr("DescribeAclsRequest contains UNKNOWN elements.")
		return
	}
	at := map[acl.Resource]int{}
	for _, rule := range lister.List() {
		if rule.Kind == acl.Super {
			continue // no ACL: Kafka has super.users
		}
		for _, on := range rule.Resources {
			found := entries(req, &rule, on)
			if len(found) == 0 {
				continue
			}
			i, has := at[on]
			if !has {
				i = len(resp.Resources)
				at[on], resp.Resources = i, append(resp.Resources, resourceOf(on))
			}
			resp.Resources[i].ACLs = append(resp.Resources[i].ACLs, found...)
		}
	}
}

// refuseACLs refuses every change.
func refuseACLs(s *screening) {
	s.answer = Refusal(s.req, codePolicyViolation, readOnly)
	if resp, deletes := s.answer.(*kmsg.DeleteACLsResponse); deletes {
		for i := range resp.Results {
			resp.Results[i].MatchingACLs = []kmsg.DeleteACLsResponseResultMatchingACL{}
		}
	}
}

// resourceOf is a resource as ACLs name it: every one is the literal name *.
func resourceOf(on acl.Resource) kmsg.DescribeACLsResponseResource {
	r := kmsg.NewDescribeACLsResponseResource()
	r.ResourceType, r.ResourceName, r.ResourcePatternType = kmsg.ACLResourceType(on.Type), on.Name, kmsg.ACLResourcePatternTypeLiteral
	switch {
	case on.Prefix && on.Name == "":
		r.ResourceName = "*"
	case on.Prefix:
		r.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
	}
	return r
}

// entries are the ACLs of a rule on a resource that a filter lets through.
func entries(f *kmsg.DescribeACLsRequest, rule *acl.Rule, on acl.Resource) (found []kmsg.DescribeACLsResponseResourceACL) {
	if !resourceMatches(f, on) {
		return nil
	}
	permission := kmsg.ACLPermissionTypeAllow
	if rule.Kind == acl.Deny {
		permission = kmsg.ACLPermissionTypeDeny
	}
	if f.PermissionType != kmsg.ACLPermissionTypeAny && f.PermissionType != permission {
		return nil
	}
	for _, principal := range rule.Principals {
		for _, op := range rule.Operations {
			for _, host := range hosts(rule) {
				if f.Principal != nil && *f.Principal != principal || f.Host != nil && *f.Host != host ||
					f.Operation != kmsg.ACLOperationAny && f.Operation != kmsg.ACLOperation(op) {
					continue
				}
				e := kmsg.NewDescribeACLsResponseResourceACL()
				e.Principal, e.Host, e.Operation, e.PermissionType = principal, host, kmsg.ACLOperation(op), permission
				found = append(found, e)
			}
		}
	}
	return found
}

func resourceMatches(f *kmsg.DescribeACLsRequest, on acl.Resource) bool {
	is := resourceOf(on)
	if f.ResourceType != kmsg.ACLResourceTypeAny && f.ResourceType != is.ResourceType {
		return false
	}
	pattern := f.ResourcePatternType
	switch {
	case pattern == kmsg.ACLResourcePatternTypeMatch && f.ResourceName != nil:
		return on.Name == *f.ResourceName || on.Prefix && strings.HasPrefix(*f.ResourceName, on.Name)
	case pattern > kmsg.ACLResourcePatternTypeMatch && pattern != is.ResourcePatternType:
		return false
	}
	return f.ResourceName == nil || *f.ResourceName == is.ResourceName
}

// hosts are where a rule holds, as ACLs name it: Kafka has addresses alone. What else
// bounds the rule stands behind, so that nobody takes it for more than it is.
func hosts(rule *acl.Rule) (all []string) {
	bounds := ""
	if len(rule.Listeners) > 0 {
		bounds += " on " + strings.Join(rule.Listeners, ",")
	}
	if len(rule.APIs) > 0 {
		names := make([]string, len(rule.APIs))
		for i, key := range rule.APIs {
			names[i] = kmsg.NameForKey(key)
		}
		bounds += " using " + strings.Join(names, ",")
	}
	for _, p := range rule.Clients {
		if p.IsSingleIP() {
			all = append(all, p.Addr().String()+bounds)
		} else {
			all = append(all, p.String()+bounds)
		}
	}
	if rule.Unix {
		all = append(all, "unix"+bounds)
	}
	if len(all) == 0 {
		all = []string{"*" + bounds}
	}
	return all
}
