package embedded

import (
	"testing"
)

// How a transaction ended is known after a restart, however the process ended, and
// however often.
func TestFinishedTransactionsOutlastTheProcess(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{Seed: []Topic{{txnTopic, 1}}, DataDir: dir})
	want := make(map[string]string)
	for _, version := range []int16{4, 5} {
		for _, commit := range []bool{true, false} {
			id := string(rune('0'+version)) + endState(commit)
			p := initialized(t, c, id)
			addPartition(t, c, 3, p)
			if code := produceIn(t, c, 11, p, 0); code != 0 {
				t.Fatalf("produce: error %d", code)
			}
			if code := end(t, c, version, p, commit); code != 0 {
				t.Fatalf("EndTxn v%d: error %d", version, code)
			}
			want[id] = endState(commit)
			again := "begun-again-" + id // its producer began anew, and did nothing since
			p = initialized(t, c, again)
			addPartition(t, c, 3, p)
			if code := produceIn(t, c, 11, p, 0) + end(t, c, version, p, commit); code != 0 {
				t.Fatalf("error %d", code)
			}
			initialized(t, c, again)
			want[again] = txnEmpty
		}
	}
	initialized(t, c, "new")
	going := initialized(t, c, "going")
	addPartition(t, c, 3, going)
	if code := produceIn(t, c, 11, going, 0); code != 0 {
		t.Fatalf("produce: error %d", code)
	}
	want["new"], want["going"] = txnEmpty, txnOngoing
	check := func(c *Cluster, when string) {
		t.Helper()
		for id, state := range want {
			if got := describedTxn(t, c, id); got.State != state {
				t.Errorf("%s: %s is %s, want %s", when, id, got.State, state)
			}
		}
	}
	check(c, "at once")
	dir = killed(t, dir)
	check(open(t, Config{DataDir: dir}), "after a kill")
	dir = killed(t, dir)
	c, err := Open(Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c.Advertise("localhost", 9092)
	check(c, "after two kills")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	check(open(t, Config{DataDir: dir}), "after an orderly stop")
	check(open(t, Config{DataDir: killed(t, dir)}), "after a kill behind an orderly stop")
}
