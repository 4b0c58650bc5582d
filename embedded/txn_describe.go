package embedded

import (
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeTransactions says of transactions that are over how they ended.
func describeTransactions(x *exchange, _ *kmsg.DescribeTransactionsRequest) kmsg.Response {
	then(x, func(resp *kmsg.DescribeTransactionsResponse) {
		for i := range resp.TransactionStates {
			t := &resp.TransactionStates[i]
			switch {
			case t.TransactionalID == "":
				t.ErrorCode = kerr.InvalidRequest.Code
			case t.ErrorCode == 0:
				t.State, t.StartTimestamp = x.cluster().transactions.seen(t.TransactionalID, t.State, t.StartTimestamp)
			}
		}
	})
	return nil
}

// listTransactions does the same for ListTransactions, whose filter of states is
// therefore ours. As in Apache Kafka a pattern is to match the whole id, and a
// state that there is none of is named.
func listTransactions(x *exchange, req *kmsg.ListTransactionsRequest) kmsg.Response {
	states := req.StateFilters
	req.StateFilters, x.changed = nil, true
	if p := req.TransactionalIDPattern; p != nil && *p != "" {
		if _, err := regexp.Compile(*p); err == nil { // else kfake says what is wrong
			req.TransactionalIDPattern = kmsg.StringPtr("^(?:" + *p + ")$")
		}
	}
	then(x, func(resp *kmsg.ListTransactionsResponse) {
		now := time.Now().UnixMilli()
		resp.TransactionStates = slices.DeleteFunc(resp.TransactionStates, func(t kmsg.ListTransactionsResponseTransactionState) bool {
			state, started := x.cluster().transactions.seen(t.TransactionalID, t.TransactionState, notStarted)
			// kfake has looked at how long the open ones last; Empty ones never began.
			short := state != txnOngoing && started != notStarted && now-started <= req.DurationFilterMillis
			return short || len(states) > 0 && !slices.Contains(states, state)
		})
		for i := range resp.TransactionStates {
			t := &resp.TransactionStates[i]
			t.TransactionState, _ = x.cluster().transactions.seen(t.TransactionalID, t.TransactionState, notStarted)
		}
		for _, s := range states {
			if resp.ErrorCode == 0 && !slices.Contains(txnStates, s) {
				resp.UnknownStateFilters = append(resp.UnknownStateFilters, s)
			}
		}
	})
	return nil
}
