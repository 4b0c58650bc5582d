package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"kring/internal/top"
	"kring/views"
)

// connectionsCmd is `kring connections`.
type connectionsCmd struct {
	List  connectionsListCmd  `cmd:"" help:"List who is connected to a running kring."`
	Close connectionsCloseCmd `cmd:"" help:"Close connections of a running kring that has --http-admin."`
}

// Help is the text above the commands.
func (connectionsCmd) Help() string {
	return `They ask the HTTP side door of kring serve (--http). docs/views.md has every field.

Examples:

    kring connections list --sort latency --limit 20
    kring connections list --where client_id=batch-7 --json
    kring connections list --ended
    kring connections close 0-17 0-23
    kring connections close --where principal=User:alice --yes`
}

// whereFlags choose connections.
type whereFlags struct {
	Where []string `placeholder:"KEY=VALUE" sep:"none" help:"Only connections whose KEY is VALUE; repeat for more, all must match. KEY is one of {{filter_keys}}. search=TEXT: it is a part of the client id, principal, address, software or listener. muted=*: any that is muted."`
}

// values are the filters as the side door takes them.
func (f whereFlags) values() (map[string]string, error) {
	by := map[string]string{}
	for _, w := range f.Where {
		key, value, ok := strings.Cut(w, "=")
		if !ok || !slices.Contains(views.FilterKeys(), key) {
			return nil, usageError{fmt.Errorf("--where %s: give KEY=VALUE, with one of the keys %s", w, strings.Join(views.FilterKeys(), ", "))}
		}
		by[key] = value
	}
	return by, nil
}

type connectionsListCmd struct {
	Side    sideFlags  `embed:""`
	Where   whereFlags `embed:""`
	Sort    string     `placeholder:"KEY" default:"age" help:"What to sort by, the largest first: {{sort_keys}}. Default: ${default}."`
	Reverse bool       `help:"The smallest first."`
	Limit   int        `placeholder:"N" default:"100" help:"How many at most, 10,000 or less. Default: ${default}."`
	Offset  int        `placeholder:"N" help:"How many to pass over."`
	Ended   bool       `help:"List those that have ended instead, the last first, with why. The server remembers 256."`
	JSON    bool       `name:"json" help:"Write what the server has answered, as JSON; docs/views.md names its fields."`
}

// Run lists.
func (c *connectionsListCmd) Run(p process) error {
	where, err := c.Where.values()
	if err != nil {
		return err
	}
	if err := checkSort(c.Sort); err != nil {
		return err
	}
	ask := url.Values{"sort": {c.Sort}, "limit": {fmt.Sprint(c.Limit)}, "offset": {fmt.Sprint(c.Offset)}, "closed_limit": {"0"}}
	if c.Ended {
		ask = url.Values{"limit": {"0"}, "closed_limit": {fmt.Sprint(min(c.Limit, 256))}, "closed_offset": {fmt.Sprint(c.Offset)}}
	}
	if c.Reverse {
		ask.Set("order", "asc")
	}
	for key, value := range where {
		ask.Set(key, value)
	}
	var all views.Connections
	if err := c.Side.side().get(context.Background(), "/connections", ask, &all); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(p.stdout, all)
	}
	if all.Incomplete != "" {
		fmt.Fprintf(p.stderr, "kring: the list is incomplete: %s\n", top.Clean(all.Incomplete))
	}
	if c.Ended {
		return writeEnded(p.stdout, all)
	}
	return writeOpen(p.stdout, all)
}

// checkSort checks --sort.
func checkSort(key string) error {
	if slices.Contains(views.SortKeys(), key) {
		return nil
	}
	return usageError{fmt.Errorf("--sort %s: give one of %s", key, strings.Join(views.SortKeys(), ", "))}
}

func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

func writeOpen(w io.Writer, all views.Connections) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tCLIENT\tREMOTE\tPRINCIPAL\tSOFTWARE\tREQ/S\tIN/S\tOUT/S\tP50\tP99\tFLY\tMUTED\tIDLE\tAGE")
	for _, c := range all.Connections {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			c.ID, top.OrDash(c.ClientID), c.Remote, top.OrDash(c.Principal), top.OrDash(strings.TrimSpace(c.Software+" "+c.SoftwareVersion)),
			top.Amount(c.RequestsPerSec), top.Amount(c.BytesInPerSec), top.Amount(c.BytesOutPerSec), top.Millis(c.LatencyP50), top.Millis(c.LatencyP99),
			c.InFlight, top.OrDash(c.Muted), top.Since(c.IdleMilliseconds), top.Since(c.AgeMilliseconds))
	}
	fmt.Fprintf(t, "%d of %d, %d open\n", len(all.Connections), all.Matched, all.Open)
	return t.Flush()
}

func writeEnded(w io.Writer, all views.Connections) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ENDED\tID\tCLIENT\tREMOTE\tPRINCIPAL\tSOFTWARE\tREASON\tREQUESTS\tIN\tOUT\tAGE\tDETAIL")
	for _, c := range all.Closed {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n",
			c.At.Format("2006-01-02T15:04:05.000Z07:00"), c.ID, top.OrDash(c.ClientID), c.Remote, top.OrDash(c.Principal), top.OrDash(strings.TrimSpace(c.Software+" "+c.SoftwareVersion)),
			c.Reason, c.Requests, top.Amount(float64(c.BytesIn)), top.Amount(float64(c.BytesOut)), top.Since(c.AgeMilliseconds), top.OrDash(c.Detail))
	}
	fmt.Fprintf(t, "%d of %d\n", len(all.Closed), all.ClosedMatched)
	return t.Flush()
}

type connectionsCloseCmd struct {
	IDs   []string   `arg:"" optional:"" name:"id" help:"Ids of connections, as kring connections list shows them."`
	Side  sideFlags  `embed:""`
	Where whereFlags `embed:""`
	Yes   bool       `help:"Close all that --where chooses. Without it they are only counted."`
	JSON  bool       `name:"json" help:"Write what the server has answered, as JSON."`
}

// Run closes connections. With ids that are gone it fails, once the others are closed.
func (c *connectionsCloseCmd) Run(p process) error {
	where, err := c.Where.values()
	if err != nil {
		return err
	}
	if (len(c.IDs) > 0) == (len(where) > 0) {
		return usageError{errors.New("connections close: give ids, or --where KEY=VALUE, one of the two")}
	}
	s := c.Side.side()
	if len(where) > 0 && !c.Yes {
		return c.count(s, where)
	}
	var got views.CloseAnswer
	if err := s.post(context.Background(), "/connections/close", views.CloseRequest{IDs: c.IDs, Filter: where}, &got); err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(p.stdout, got)
	} else {
		_, err = fmt.Fprintf(p.stdout, "%d closed\n", len(got.Closed))
	}
	if err != nil {
		return err
	}
	if got.Incomplete != "" {
		return fmt.Errorf("connections close: %s", top.Clean(got.Incomplete))
	}
	if len(got.NotFound) > 0 && len(where) == 0 {
		return fmt.Errorf("connections close: %s: no such connection, or it is closing", strings.Join(got.NotFound, " "))
	}
	return nil
}

// count says how many would be closed, which is an error: none was.
func (c *connectionsCloseCmd) count(s *side, where map[string]string) error {
	ask := url.Values{"limit": {"0"}, "closed_limit": {"0"}}
	for key, value := range where {
		ask.Set(key, value)
	}
	var all views.Connections
	if err := s.get(context.Background(), "/connections", ask, &all); err != nil {
		return err
	}
	return usageError{fmt.Errorf("connections close: %d of %d connections match, and none was closed; give --yes to close them", all.Matched, all.Open)}
}
