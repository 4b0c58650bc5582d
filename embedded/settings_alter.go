package embedded

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake takes any setting, of any value, and then refuses every record of a topic
// whose max.message.bytes is 10MB. So the settings that a client changes are
// checked here, and kfake is shown what became of them.

// alteration is what a request changes of one resource.
type alteration struct {
	kind  kmsg.ConfigResourceType
	name  string
	whole bool // what it does not name goes back to its default
	ops   []alterOp
}

type alterOp struct {
	name  string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

// alterConfigs serves AlterConfigs.
func alterConfigs(x *exchange, req *kmsg.AlterConfigsRequest) kmsg.Response {
	resp := x.response().(*kmsg.AlterConfigsResponse)
	for _, r := range req.Resources {
		a := alteration{kind: r.ResourceType, name: r.ResourceName, whole: true}
		for _, c := range r.Configs {
			a.ops = append(a.ops, alterOp{name: c.Name, value: c.Value})
		}
		done := kmsg.NewAlterConfigsResponseResource()
		done.ResourceType, done.ResourceName = r.ResourceType, r.ResourceName
		done.ErrorCode, done.ErrorMessage = x.cluster().settings.change(x.ask, a, req.ValidateOnly).answer()
		resp.Resources = append(resp.Resources, done)
	}
	return resp
}

// incrementalAlterConfigs serves IncrementalAlterConfigs.
func incrementalAlterConfigs(x *exchange, req *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	resp := x.response().(*kmsg.IncrementalAlterConfigsResponse)
	for _, r := range req.Resources {
		a := alteration{kind: r.ResourceType, name: r.ResourceName}
		for _, c := range r.Configs {
			a.ops = append(a.ops, alterOp{c.Name, c.Op, c.Value})
		}
		done := kmsg.NewIncrementalAlterConfigsResponseResource()
		done.ResourceType, done.ResourceName = r.ResourceType, r.ResourceName
		done.ErrorCode, done.ErrorMessage = x.cluster().settings.change(x.ask, a, req.ValidateOnly).answer()
		resp.Resources = append(resp.Resources, done)
	}
	return resp
}

// change makes an alteration, or says why not. It blocks while another is made.
func (s *settings) change(ask asker, a alteration, validateOnly bool) *refusal {
	s.alter.Lock()
	defer s.alter.Unlock()
	switch a.kind {
	case kmsg.ConfigResourceTypeTopic:
		return s.changeTopic(ask, a, validateOnly)
	case kmsg.ConfigResourceTypeBroker:
		return s.changeBroker(ask, a, validateOnly)
	case kmsg.ConfigResourceTypeGroupConfig:
		return s.changeGroup(ask, a, validateOnly)
	case kmsg.ConfigResourceTypeClientMetrics:
		return refuse(kerr.InvalidRequest.Code, s.clientMetricsAdvice())
	case kmsg.ConfigResourceTypeBrokerLogger:
		return refuse(kerr.InvalidRequest.Code, "Log levels are not changed by requests: start kring with --log-level.")
	}
	return refuse(kerr.InvalidRequest.Code, "Unknown resource type "+strconv.Itoa(int(a.kind)))
}

// clientMetricsAdvice says what decides which metrics clients push, instead of such resources.
func (s *settings) clientMetricsAdvice() string {
	if s.cluster.cfg.Telemetry != nil {
		return "What clients push is not changed by requests: start kring with another --client-telemetry-subscription."
	}
	return "Nobody receives client metrics here: start kring with --client-telemetry."
}

func (s *settings) changeTopic(ask asker, a alteration, validateOnly bool) *refusal {
	if a.name == "" {
		return refuse(kerr.InvalidRequest.Code, "Default topic resources are not allowed.")
	}
	info := s.cluster.topicInfo(a.name)
	if info == nil {
		return refuse(kerr.UnknownTopicOrPartition.Code, "The topic '"+a.name+"' does not exist.")
	}
	was := make(map[string]string)
	for name, v := range info.Configs {
		if v != nil {
			was[name] = *v
		}
	}
	is, fault := a.apply(was, settingOfTopic, s)
	if fault == nil {
		fault = s.checkTopic(is)
	}
	if fault != nil || validateOnly {
		return fault
	}
	defer s.forget()
	return refused(storeSettings(ask, a.kind, a.name, changesOf(was, is)))
}

// refused is an error of storeSettings as a client is told of it.
func refused(err error) *refusal {
	if err == nil {
		return nil
	}
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return refuse(kerr.UnknownServerError.Code, "")
}

// changesOf is what has to be set so that was becomes is; nil: what goes.
func changesOf(was, is map[string]string) map[string]*string {
	changes := make(map[string]*string)
	for name := range was {
		if _, stays := is[name]; !stays {
			changes[name] = nil
		}
	}
	for name, v := range is {
		if before, had := was[name]; !had || before != v {
			changes[name] = &v
		}
	}
	return changes
}

// checkTopic checks the settings that a topic is to have, and puts their values
// into the form in which they are stored.
func (s *settings) checkTopic(is map[string]string) *refusal {
	if fault := checkAll(is, settingOfTopic, kerr.InvalidConfig, "Unknown topic config name: %s"); fault != nil {
		return fault
	}
	s.stampsIf(is[timestampType])
	return nil
}

// checkAll checks settings that are to be known ones, in the order of their names,
// and puts their values into the form in which they are stored. unknown is what is
// said of the name of another.
func checkAll(is map[string]string, known map[string]*setting, code *kerr.Error, unknown string) *refusal {
	for _, name := range slices.Sorted(maps.Keys(is)) {
		of := known[name]
		if of == nil {
			return refuse(code.Code, fmt.Sprintf(unknown, name))
		}
		stored, fault := of.check(is[name])
		if fault != "" {
			return refuse(code.Code, fault)
		}
		is[name] = stored
	}
	return nil
}

// stampsIf notes that records are stamped, before anybody fetches one of them.
func (s *settings) stampsIf(timestamps string) {
	if timestamps == logAppendTime {
		s.stamps.Store(true)
	}
}

// apply is what an alteration makes of the settings that were.
func (a alteration) apply(was map[string]string, known map[string]*setting, s *settings) (map[string]string, *refusal) {
	is := make(map[string]string)
	if !a.whole {
		maps.Copy(is, was)
	}
	seen := make(map[string]bool, len(a.ops))
	for _, op := range a.ops {
		if seen[op.name] {
			return nil, refuse(kerr.InvalidRequest.Code, "Error due to duplicate config keys")
		}
		seen[op.name] = true
		if op.op == kmsg.IncrementalAlterConfigOpDelete {
			delete(is, op.name)
			continue
		}
		if op.value == nil {
			return nil, refuse(kerr.InvalidRequest.Code, "Null value not supported for : "+op.name)
		}
		switch op.op {
		case kmsg.IncrementalAlterConfigOpSet:
			is[op.name] = *op.value
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			of := known[op.name]
			if of == nil || of.value != kmsg.ConfigTypeList {
				return nil, refuse(kerr.InvalidConfig.Code, "Can't "+op.op.String()+" to key "+op.name+" because its type is not LIST.")
			}
			before, has := is[op.name]
			if !has {
				before = s.preset(of)
			}
			is[op.name] = changeList(before, *op.value, op.op)
		default:
			return nil, refuse(kerr.InvalidRequest.Code, "Unknown operation "+strconv.Itoa(int(op.op))+" on "+op.name)
		}
	}
	return is, nil
}

// changeList adds elements to a list, or takes them out.
func changeList(before, elements string, op kmsg.IncrementalAlterConfigOp) string {
	after := list(before)
	for _, e := range list(elements) {
		at := slices.Index(after, e)
		switch {
		case op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
			after = append(after, e)
		case op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
			after = slices.Delete(after, at, at+1)
		}
	}
	return strings.Join(after, ",")
}

// changeBroker alters the only broker, by its id, or the default of all.
func (s *settings) changeBroker(ask asker, a alteration, validateOnly bool) *refusal {
	if fault := brokerFault(a.name); fault != nil {
		return fault
	}
	was := s.ofBroker()
	becomes := was
	is, fault := a.apply(*was.of(a.name), settingOfBroker, s)
	if fault != nil {
		return fault
	}
	if fault := checkAll(is, settingOfBroker, kerr.InvalidRequest, "Cannot update these configs dynamically: Set(%s)"); fault != nil {
		return fault
	}
	s.stampsIf(is[settingOfTopic[timestampType].broker])
	if validateOnly {
		return nil
	}
	*becomes.of(a.name) = is
	if fault := refused(s.store(ask, was, becomes)); fault != nil {
		return fault
	}
	s.setBroker(becomes)
	return nil
}

// nodeID is kfake's first broker, and the only one.
const nodeID = 0

// brokerFault says what is wrong with a broker's name.
func brokerFault(name string) *refusal {
	if name == "" {
		return nil
	}
	id, err := strconv.Atoi(name)
	switch {
	case err != nil:
		return refuse(kerr.InvalidRequest.Code, "Node id must be an integer, but it is: "+name)
	case id != nodeID:
		return refuse(kerr.InvalidRequest.Code, "Unexpected broker id, expected "+strconv.Itoa(nodeID)+" or empty string, but received "+name)
	}
	return nil
}

// groupsSetMax is how many settings all groups together may have.
const groupsSetMax = 10_000

func (s *settings) changeGroup(ask asker, a alteration, validateOnly bool) *refusal {
	if a.name == "" {
		return refuse(kerr.InvalidRequest.Code, "Default group resources are not allowed.")
	}
	is, fault := a.apply(nil, settingOfGroup, s)
	if fault != nil {
		return fault
	}
	if fault := checkAll(is, settingOfGroup, kerr.InvalidConfig, "Unknown group config name: %s"); fault != nil {
		return fault
	}
	if validateOnly {
		return nil
	}
	changes, kept := make(map[string]*string), make(map[string]*string)
	for _, op := range a.ops {
		var v *string
		if text, set := is[op.name]; set {
			v = &text
		}
		if of := settingOfGroup[op.name]; of != nil && of.done == enforced { // kfake knows no others
			changes[op.name], kept[storedGroup+op.name+":"+a.name] = v, v
		}
	}
	if n, more, err := groupsSet(ask, kept); err != nil {
		return refused(err)
	} else if more > 0 && n+more > groupsSetMax {
		return refuse(kerr.PolicyViolation.Code, "All groups together have "+strconv.Itoa(n)+" settings; at most "+
			strconv.Itoa(groupsSetMax)+" are kept.")
	}
	if fault := refused(storeSettings(ask, kmsg.ConfigResourceTypeBroker, "", kept)); fault != nil {
		return fault
	}
	return refused(storeSettings(ask, a.kind, a.name, changes))
}

// groupsSet counts what is set of groups, and what changes would add to that.
func groupsSet(ask asker, changes map[string]*string) (n, more int, err error) {
	kept, err := describedBroker(ask)
	for name := range kept {
		if strings.HasPrefix(name, storedGroup) {
			n++
		}
	}
	for name, v := range changes {
		if _, set := kept[name]; v != nil && !set {
			more++
		}
	}
	return n, more, err
}
