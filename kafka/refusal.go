package kafka

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Refusal is a response to req that has the same error wherever it can have
// one: as a whole, and in each of the elements (topics, partitions, groups,
// resources) that the request names. Kafka's responses repeat the structure of
// their requests, so one function serves all of them; TestEveryRefusal looks at
// each.
func Refusal(req kmsg.Request, code int16, message string) kmsg.Response {
	resp := req.ResponseKind()
	r := refuser{code: code, message: message}
	r.fill(reflect.ValueOf(resp).Elem(), reflect.ValueOf(req).Elem())
	switch resp := resp.(type) {
	case *kmsg.InitProducerIDResponse:
		resp.ProducerID, resp.ProducerEpoch = -1, -1
	case *kmsg.JoinGroupResponse:
		resp.Generation = -1
	case *kmsg.FindCoordinatorResponse:
		resp.NodeID, resp.Port = -1, -1
		for i := range resp.Coordinators {
			resp.Coordinators[i].NodeID, resp.Coordinators[i].Port = -1, -1
		}
	case *kmsg.AlterReplicaLogDirsResponse: // whose topics are not below folders
		for _, dir := range req.(*kmsg.AlterReplicaLogDirsRequest).Dirs {
			r.copy(reflect.ValueOf(&resp.Topics).Elem(), reflect.ValueOf(dir.Topics))
		}
	case *kmsg.EndTxnResponse:
		resp.ProducerID, resp.ProducerEpoch = -1, -1
	}
	return resp
}

type refuser struct {
	code    int16
	message string
}

// asked are the fields of a request whose elements a response's field answers,
// where the two are not of one name.
var asked = map[string][]string{
	"Results": {"Creations", "Filters", "Deletions", "Upsertions"},
	"User":    {"Name"},
	"Topics":  {"TopicNames"},

	"Coordinators":      {"CoordinatorKeys"},
	"TransactionStates": {"TransactionalIDs"},
	"Groups":            {"GroupIDs"},
}

// fill makes dst, a struct of a response, answer src, what it answers in the
// request.
func (r refuser) fill(dst, src reflect.Value) {
	for i := range dst.NumField() {
		name, to := dst.Type().Field(i).Name, dst.Field(i)
		switch name {
		case "Version", "UnknownTags", "Configs":
			continue
		case "BaseOffset":
			to.SetInt(-1)
			continue
		case "ErrorCode":
			to.SetInt(int64(r.code))
			continue
		case "ErrorMessage":
			if to.Type() == reflect.TypeFor[*string]() {
				to.Set(reflect.ValueOf(&r.message))
			}
			continue
		}
		for _, from := range append([]string{name}, asked[name]...) {
			if from := src.FieldByName(from); from.IsValid() {
				r.copy(to, from)
			}
		}
	}
}

// copy answers one field: elements one by one, anything else as it was sent.
func (r refuser) copy(to, from reflect.Value) {
	answersElements := to.Kind() == reflect.Slice && from.Kind() == reflect.Slice && to.Type().Elem().Kind() == reflect.Struct
	switch {
	case answersElements:
		for i := range from.Len() {
			to.Set(reflect.Append(to, r.element(to.Type().Elem(), from.Index(i))))
		}
	case to.Type() == from.Type():
		to.Set(from)
	case to.Type() == reflect.PointerTo(from.Type()): // DeleteTopics: a name, which the response may lack
		to.Set(reflect.New(from.Type()))
		to.Elem().Set(from)
	}
}

// element is the answer to one element of a request, which may be a struct, or
// just a name or a number.
func (r refuser) element(t reflect.Type, from reflect.Value) reflect.Value {
	made := reflect.New(t)
	if d, ok := made.Interface().(interface{ Default() }); ok {
		d.Default()
	}
	e := made.Elem()
	if from.Kind() == reflect.Struct {
		r.fill(e, from)
		return e
	}
	r.fill(e, reflect.ValueOf(struct{}{}))
	for i := range e.NumField() {
		if f, name := e.Field(i), e.Type().Field(i).Name; name != "ErrorCode" && name != "ErrorMessage" &&
			(f.Type() == from.Type() || f.Type() == reflect.PointerTo(from.Type())) {
			r.copy(f, from)
			return e
		}
	}
	return e
}
