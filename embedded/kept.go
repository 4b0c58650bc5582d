package embedded

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Besides records a cluster keeps what clients leave behind: groups, their members and
// offsets, transactional ids, users. kfake keeps all of it in memory and bounds none of it,
// so a client could make a process of any size with small requests. Here each request is
// charged, before kfake sees it, with what will be kept of it. What went since (members that
// timed out, groups that were deleted) is found out when the bound seems to be reached: then
// kfake is asked for all that it has, as for records (see memoryLog).

const (
	// keptPart is which part of the memory what clients leave behind may take.
	keptPart = 64
	// keptLeast and keptMost bound Config.KeptBytesMax by default; it is keptUnknown where
	// nobody knows how much memory there is.
	keptLeast, keptMost, keptUnknown = 2 << 20, 1 << 30, 64 << 20
	// keptAskInterval is how often kfake is asked at most.
	keptAskInterval = time.Second
	// keptSayInterval is how often a refusal is logged.
	keptSayInterval = time.Minute

	// What a thing takes besides its own bytes, here and in kfake: measured in a process
	// with many of each.
	groupBytes      = 1500
	memberBytes     = 1200
	assignmentBytes = 64
	offsetBytes     = 200
	txnBytes        = 1000
	credentialBytes = 500
	// regexBytes is what an instruction of a regular expression takes.
	regexBytes = 64
)

// KeptBytesIn is the default of Config.KeptBytesMax in so many bytes of memory.
func KeptBytesIn(bytes int64) int64 {
	if bytes <= 0 {
		return keptUnknown
	}
	return min(max(bytes/keptPart, keptLeast), keptMost)
}

// keptKind is what sort of thing is left behind.
type keptKind uint8

const (
	keptGroup keptKind = iota
	keptOffset
	keptJoin
	keptAssignment
	keptTxn
	keptUser
	keptQuota
)

// keptName names a thing that is left behind: one that is left again takes the place of
// the one that was there.
type keptName struct {
	kind      keptKind
	of, name  string // group and member or topic, or the transactional id
	partition int32
}

// left is what a request leaves behind.
type left struct {
	name  keptName
	bytes int64
	// nameless is something that adds to all that is there; see rename.
	nameless bool
	// passes is after how long it goes by itself, where kfake can't be asked for it. Then
	// it is nameless. 0: never.
	passes time.Duration
	// txn is the transactional id whose transaction has it until its end.
	txn string
}

// kept counts what clients have left behind.
type kept struct {
	most int64
	seed maphash.Seed

	asking sync.Mutex
	asked  time.Time // guarded by asking; when kfake was asked last
	said   time.Time // guarded by asking; when a refusal was logged last

	mu    sync.Mutex
	used  int64            // guarded by mu
	has   map[uint64]int64 // guarded by mu; bytes by name
	fades map[int64]int64  // guarded by mu; bytes without a name, by the minute after which they are gone
	open  map[string]int64 // guarded by mu; bytes of transactions, by transactional id
	// unsure are those for which one request alone was charged, whose answer is not there
	// yet. Guarded by mu; what is never answered is forgotten when kfake is asked.
	unsure map[uint64]*charge
}

// charge is what a request was charged that kfake may refuse. Guarded by kept.mu.
type charge []charged

type charged struct {
	name      keptName
	was, adds int64
	txn       string
}

func (k *kept) init(most int64) {
	k.most, k.seed = most, maphash.MakeSeed()
	k.has, k.fades, k.open = make(map[uint64]int64), make(map[int64]int64), make(map[string]int64)
	k.unsure = make(map[uint64]*charge)
}

func (k *kept) hash(n keptName) uint64 { return maphash.Comparable(k.seed, n) }

// take counts what is left behind, unless it is too much. What takes the place of as much
// is never too much. by notes what can be given back; see settle.
func (k *kept) take(all []left, by *charge) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	more := int64(0)
	for i := range all {
		more += k.adds(&all[i])
	}
	if more > 0 && k.used+more > k.most {
		return false
	}
	for i := range all {
		l := &all[i]
		adds := k.adds(l)
		k.used += adds
		if l.txn != "" && adds > 0 {
			k.open[l.txn] += adds
		}
		if !l.nameless {
			k.note(l, adds, by)
		}
		switch {
		case l.passes > 0:
			k.fades[minuteOf(time.Now().Add(l.passes))] += adds
		case !l.nameless && adds > 0:
			k.has[k.hash(l.name)] = l.bytes
		}
	}
	return true
}

// note remembers that a named thing was charged, before it is. A second request that names
// it relies on the charge, so that it is not given back then. mu is held.
func (k *kept) note(l *left, adds int64, by *charge) {
	h := k.hash(l.name)
	first, is := k.unsure[h]
	switch {
	case is && first != by:
		delete(k.unsure, h)
	case adds > 0 && by != nil:
		*by = append(*by, charged{l.name, k.has[h], adds, l.txn})
		k.unsure[h] = by
	}
}

// settle gives back what a request was charged for things that kfake refused.
func (k *kept) settle(by *charge, refused func(keptName) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range slices.Backward(*by) {
		h := k.hash(c.name)
		if k.unsure[h] != by || !refused(c.name) {
			continue
		}
		if k.used, k.has[h] = k.used-c.adds, c.was; c.was == 0 {
			delete(k.has, h)
		}
		if c.txn == "" {
			continue
		}
		if k.open[c.txn] -= c.adds; k.open[c.txn] <= 0 {
			delete(k.open, c.txn) // a name that nobody is charged for
		}
	}
	for _, c := range *by {
		if h := k.hash(c.name); k.unsure[h] == by {
			delete(k.unsure, h)
		}
	}
}

// adds is how much more there is with l. mu is held.
func (k *kept) adds(l *left) int64 {
	if l.nameless {
		return l.bytes
	}
	return max(l.bytes-k.has[k.hash(l.name)], 0)
}

func minuteOf(t time.Time) int64 { return t.Unix()/60 + 1 }

// rename gives something a name that was nameless when it was counted.
func (k *kept) rename(n keptName, bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.has[k.hash(n)] = bytes
}

// keeps reports whether there is room for what a request leaves behind, and counts it. It
// waits for kfake's answer, but not for one that somebody else waits for: the goroutines
// that stood in that line would be those that answer everybody else. Who is refused comes
// again.
func (c *Cluster) keeps(all []left, by *charge) bool {
	k := &c.kept
	if k.take(all, by) {
		return true
	}
	if !k.asking.TryLock() {
		return false
	}
	defer k.asking.Unlock()
	if time.Since(k.asked) >= keptAskInterval {
		if err := c.askKept(); err != nil {
			c.log.Debug("embedded: what clients have left behind is unknown", "error", err)
		}
		k.asked = time.Now()
	}
	if k.take(all, by) {
		return true
	}
	if time.Since(k.said) >= keptSayInterval {
		k.said = time.Now()
		c.log.Error("clients have left behind too much: new groups, members, offsets and transactional ids are refused; delete groups, or raise KeptBytesMax (--memory-max)",
			"bytes_max", k.most)
	}
	return false
}

// askKept asks kfake for all that it keeps of clients. asking is held. What is left behind
// meanwhile is counted twice at most.
func (c *Cluster) askKept() error {
	k := &c.kept
	k.mu.Lock()
	before := k.used
	k.mu.Unlock()
	s := keptSum{kept: k, has: make(map[uint64]int64), open: make(map[string]int64)}
	if err := s.addGroups(c); err != nil {
		return err
	}
	if err := s.addOthers(c); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := minuteOf(time.Now())
	for minute, bytes := range k.fades {
		if minute < now {
			delete(k.fades, minute)
		} else {
			s.bytes += bytes
		}
	}
	k.used, k.has, k.open = s.bytes+max(k.used-before, 0), s.has, s.open
	clear(k.unsure)
	return nil
}

// keptSum adds up what kfake says.
type keptSum struct {
	kept  *kept
	has   map[uint64]int64
	open  map[string]int64
	bytes int64
}

func (s *keptSum) add(n keptName, bytes int64) {
	s.has[s.kept.hash(n)] = bytes
	s.bytes += bytes
}

// addAsCharged is add for what kfake does not tell the size of; least if nobody knows.
func (s *keptSum) addAsCharged(n keptName, least int64) {
	s.kept.mu.Lock()
	bytes := s.kept.has[s.kept.hash(n)]
	s.kept.mu.Unlock()
	s.add(n, max(bytes, least))
}

// addGroups adds groups with their members and offsets. It asks as clients do: kfake's own
// GroupInfo compares all topics of a member with each other, and answers nobody meanwhile.
func (s *keptSum) addGroups(c *Cluster) error {
	req := kmsg.NewPtrListGroupsRequest()
	req.Version = 5
	resp, err := c.inside.ask(req)
	if err != nil {
		return err
	}
	for _, g := range resp.(*kmsg.ListGroupsResponse).Groups {
		s.add(keptName{kind: keptGroup, of: g.Group}, groupBytes+int64(len(g.Group)))
		if err := s.addOffsets(c, g.Group); err != nil {
			return err
		}
		if g.GroupState == groupEmpty {
			continue
		}
		members, err := c.membersOf(g.Group, g.GroupType)
		if err != nil {
			return err
		}
		for i := range members {
			s.addAsCharged(memberName(g.Group, members[i].id, members[i].instance), memberBytes)
		}
		if len(members) > 0 {
			s.addAsCharged(assignmentName(g.Group), assignmentBytes)
		}
	}
	return nil
}

// addOffsets adds what a group has committed.
func (s *keptSum) addOffsets(c *Cluster, group string) error {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 7, group
	resp, err := c.inside.ask(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.OffsetFetchResponse).Topics {
		for _, p := range t.Partitions {
			s.add(offsetName(group, t.Topic, p.Partition), offsetBytes+int64(lengthOf(p.Metadata)))
		}
	}
	return nil
}

// addOthers adds transactional ids, users and quotas.
func (s *keptSum) addOthers(c *Cluster) error {
	resp, err := c.inside.ask(kmsg.NewPtrListTransactionsRequest())
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.ListTransactionsResponse).TransactionStates {
		s.addTxn(&t)
	}
	resp, err = c.inside.ask(kmsg.NewPtrDescribeUserSCRAMCredentialsRequest())
	if err != nil {
		return err
	}
	for _, u := range resp.(*kmsg.DescribeUserSCRAMCredentialsResponse).Results {
		s.addAsCharged(keptName{kind: keptUser, of: u.User}, credentialBytes+int64(len(u.User)))
	}
	quotas := kmsg.NewPtrDescribeClientQuotasRequest()
	resp, err = c.inside.ask(quotas)
	if err != nil {
		return err
	}
	for _, e := range resp.(*kmsg.DescribeClientQuotasResponse).Entries {
		l := quotaLeft(entityName(e.Entity, func(of *kmsg.DescribeClientQuotasResponseEntryEntity) (string, *string) { return of.Type, of.Name }))
		s.add(l.name, l.bytes)
	}
	return nil
}

// addTxn adds a transactional id, and what its transaction has if it is open.
func (s *keptSum) addTxn(t *kmsg.ListTransactionsResponseTransactionState) {
	id := t.TransactionalID
	s.add(txnName(id), txnBytes+2*int64(len(id)))
	if t.TransactionState != txnOngoing {
		return
	}
	s.kept.mu.Lock()
	bytes := s.kept.open[id]
	s.kept.mu.Unlock()
	s.bytes += bytes
	s.open[id] = bytes
}

func offsetName(group, topic string, partition int32) keptName {
	return keptName{kind: keptOffset, of: group, name: topic, partition: partition}
}

// memberName names a member: by its instance, if it has one, for its next id takes the place of the last.
func memberName(group, id string, instance *string) keptName {
	if instance != nil {
		id = "\x00" + *instance
	}
	return keptName{kind: keptJoin, of: group, name: id}
}

// assignmentName names what the leader of a group has assigned last.
func assignmentName(group string) keptName { return keptName{kind: keptAssignment, of: group} }

func txnName(id string) keptName { return keptName{kind: keptTxn, of: id} }
