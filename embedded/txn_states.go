package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// How transactions ended outlasts the process, as far as clients are told of it:
// what the logs of a killed process say, and behind that what was known at the
// last start or stop, which stands in a file of its own. Nothing but
// DescribeTransactions and ListTransactions depends on it.

// txnStatesName is a JSON object of endedTxn by transactional id, and a line with
// its checksum.
const txnStatesName = "txn_states.json"

// endedTxn is how the last transaction of a transactional id ended, as long as
// the id's producer has this epoch.
type endedTxn struct {
	State string `json:"state"`
	Epoch int16  `json:"epoch"`
}

// endedTxns is what a directory says, once its logs are repaired.
func (m *recovery) endedTxns() map[string]endedTxn {
	kept, err := readEndedTxns(m.dir)
	if err != nil {
		m.note(damagedPart{File: txnStatesName, What: fmt.Sprintf("unreadable (%v); transactions that are over are Empty, as if they had never begun", err), NextOffset: -1})
	}
	states := make(map[string]endedTxn)
	for id, known := range m.pids {
		if known.TxID == "" || len(states) >= 2*transactionsKept {
			continue
		}
		ended := endedTxn{Epoch: known.Epoch}
		switch t := m.txns[id]; {
		case t != nil && t.TxID == known.TxID && t.Ending != nil && (t.Over && known.Epoch == t.Epoch+1 || !t.Over && known.Epoch == t.Epoch):
			ended.State = endState(t.Ending.Commit)
		case known.timedOut || m.open[id] != nil: // which is aborted, unless somebody ends it
			ended.State = txnAborted
		case known.ended && known.Commit != nil:
			ended.State = endState(*known.Commit)
		case kept[known.TxID].Epoch == known.Epoch:
			ended.State = kept[known.TxID].State
		}
		if ended.State == txnCommited || ended.State == txnAborted {
			states[known.TxID] = ended
		}
	}
	return states
}

func endState(commit bool) string {
	if commit {
		return txnCommited
	}
	return txnAborted
}

func readEndedTxns(dir string) (states map[string]endedTxn, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, txnStatesName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	line, sum, _ := bytes.Cut(raw, []byte("\n"))
	if err == nil && string(sum) != fmt.Sprintf(manifestSum, crc32.Checksum(line, castagnoli)) {
		err = errors.New("its checksum is wrong")
	}
	if err == nil {
		err = json.Unmarshal(line, &states)
	}
	return states, err
}

func writeEndedTxns(dir string, states map[string]endedTxn) error {
	line, err := json.Marshal(states)
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("\n"+manifestSum, crc32.Checksum(line, castagnoli))
	return replaceFile(filepath.Join(dir, txnStatesName), strings.NewReader(string(line)+sum))
}

// restore takes what the last process knew. Nobody asks meanwhile.
func (t *transactions) restore(ended map[string]endedTxn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = make(map[string]string, len(ended))
	for id, e := range ended {
		if _, seen := t.find(id); !seen {
			t.before[id] = e.State
		}
	}
}

// states is how transactions ended, of all that are known.
func (t *transactions) states() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	states := maps.Clone(t.before)
	if states == nil {
		states = make(map[string]string)
	}
	for _, half := range []map[string]lastTransaction{t.old, t.young} {
		for id, l := range half {
			states[id] = l.state
		}
	}
	return states
}

// keepEndedTxns writes down how transactions ended, after kfake's orderly stop.
func (c *Cluster) keepEndedTxns() error {
	raw, err := os.ReadFile(filepath.Join(c.cfg.DataDir, "pids.log"))
	if err != nil {
		return err
	}
	var entries [][]byte
	for data, size, ok := entryAt(raw); ok; data, size, ok = entryAt(raw) {
		entries, raw = append(entries, data), raw[size:]
	}
	states, ended := c.transactions.states(), make(map[string]endedTxn)
	pids, _ := readPIDs(entries)
	for _, known := range pids {
		if state := states[known.TxID]; known.TxID != "" && (state == txnCommited || state == txnAborted) {
			ended[known.TxID] = endedTxn{state, known.Epoch}
		}
	}
	return writeEndedTxns(c.cfg.DataDir, ended)
}
