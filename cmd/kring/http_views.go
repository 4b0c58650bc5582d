package main

import (
	"net/http"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/kafka"
	"kring/reqchan"
	"kring/views"
)

// adminFlags say what may be changed by the side door.
type adminFlags struct {
	HTTPAdmin bool `group:"observe" name:"http-admin" help:"Let whoever reaches --http close connections, by kring connections close or POST /connections/close. Default: nothing can be changed there."`
}

// viewPaths are what a views.View answers beside the side door's own paths.
var viewPaths = []string{"GET /{$}", "GET /status", "GET /connections", "GET /producers", "GET /processors", "/connections/close"}

// addViews has mux show the server.
func (d *sideDoor) addViews(mux *http.ServeMux, server *kring.Server, served service) {
	view := &views.View{
		Source: server, Closed: d.closed, Version: programVersion(), APIName: kmsg.NameForKey,
		LongPoll: func(key int16) bool { return slices.Contains(longPolls, key) },
		Admin:    d.flags.Admin.HTTPAdmin,
		Administered: func(r *http.Request, closed int) {
			d.log.Warn("connections were closed by --http-admin", "connections", closed, "from", r.RemoteAddr)
		},
	}
	if p := served.producers; p != nil {
		view.Producers = func() ([]views.Producer, uint64) { return shownProducers(p) }
	}
	if served.telemetry != nil { // nil in an interface is somebody
		view.Telemetry = served.telemetry
	}
	for _, path := range viewPaths {
		mux.Handle(path, view)
	}
}

// shownProducers are those that p remembers, as they are shown.
func shownProducers(p *kafka.Producers) (shown []views.Producer, forgotten uint64) {
	all, forgotten := p.All()
	for _, one := range all {
		c := one.Conn
		shown = append(shown, views.Producer{
			Connection: c.ID.String(), Connected: !c.Ended(), Listener: c.Listener, Remote: reqchan.EndString(c.Remote),
			Principal: c.Principal(), ClientID: c.ClientID(), Software: c.Software().Name, Topic: one.Topic,
			Partitions: one.Partitions, TransactionalID: one.TransactionalID, ProducerID: one.ProducerID, ProducerEpoch: one.ProducerEpoch,
			Acks: one.Acks, Requests: one.Requests, Batches: one.Batches, Records: one.Records, Bytes: one.Bytes,
			First: one.First.UTC(), Last: one.Last.UTC(),
		})
	}
	return shown, forgotten
}

// producers are remembered if there is somebody to show them to. topics gives the names of
// topics.
func (c *serveCmd) producers(topics kafka.Topics) *kafka.Producers {
	if c.HTTP.HTTP == "" {
		return nil
	}
	return &kafka.Producers{Topics: topics}
}

// topicCounts count what is done with each topic, if there is somebody to show it to.
func (c *serveCmd) topicCounts(topics kafka.Topics) *kafka.TopicCounts {
	if c.HTTP.HTTP == "" {
		return nil
	}
	counts := &kafka.TopicCounts{Topics: topics, Max: c.HTTP.MetricsTopics}
	if counts.Max == 0 {
		counts.Max = -1 // none by itself
	}
	return counts
}
