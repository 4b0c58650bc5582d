package embedded

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupGate keeps members and commits from coming between the steps of a group's deletion (see
// forgetGroups): the group would not be deleted, and its offsets would be gone.
//
// Concurrency: any goroutine.
type groupGate struct {
	mu      sync.Mutex
	changed *sync.Cond            // of mu
	of      map[string]groupTurns // guarded by mu; groups of which nothing is under way are not there
	waiting int                   // guarded by mu; requests that wait for the end of a deletion
}

// groupTurns is what is under way of one group.
type groupTurns struct {
	joins    int // which may wait in kfake for others
	commits  int // and others that kfake answers at once
	deleting bool
}

func newGroupGate() *groupGate {
	g := &groupGate{of: make(map[string]groupTurns)}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// set notes what is under way. mu is held.
func (g *groupGate) set(group string, to groupTurns) {
	if g.of[group] = to; to == (groupTurns{}) {
		delete(g.of, group)
	}
	g.changed.Broadcast()
}

// enter waits while the group is being deleted.
func (g *groupGate) enter(group string, joins, commits int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.of[group].deleting {
		g.waiting++
		g.changed.Wait()
		g.waiting--
	}
	at := g.of[group]
	at.joins, at.commits = at.joins+joins, at.commits+commits
	g.set(group, at)
}

func (g *groupGate) leave(group string, joins, commits int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.of[group]
	at.joins, at.commits = at.joins-joins, at.commits-commits
	g.set(group, at)
}

// close lets nothing in until open is called; false: a member is joining, and nothing is closed. Order:
// who closes several groups does so in the order of their names.
func (g *groupGate) close(group string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.of[group].deleting {
		g.changed.Wait()
	}
	at := g.of[group]
	at.deleting = true
	g.set(group, at)
	for g.of[group].commits > 0 {
		g.changed.Wait()
	}
	at = g.of[group]
	if at.joins > 0 {
		at.deleting = false
		g.set(group, at)
	}
	return at.deleting
}

func (g *groupGate) open(group string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.of[group]
	at.deleting = false
	g.set(group, at)
}

// besideDeletion has a request wait until its group is not being deleted, and a deletion wait for the
// request, or find a member.
func (x *exchange) besideDeletion(group string, joins, commits int) kmsg.Response {
	if !x.cluster().keepsShares() {
		return nil // a deletion has one step
	}
	g := x.cluster().groupGate
	g.enter(group, joins, commits)
	x.finally(func() { g.leave(group, joins, commits) })
	return nil
}

func joinBesideDeletion(x *exchange, req *kmsg.JoinGroupRequest) kmsg.Response {
	return x.besideDeletion(req.Group, 1, 0)
}

func commitBesideDeletion(x *exchange, req *kmsg.OffsetCommitRequest) kmsg.Response {
	return x.besideDeletion(req.Group, 0, 1)
}

func consumerBesideDeletion(x *exchange, req *kmsg.ConsumerGroupHeartbeatRequest) kmsg.Response {
	return x.besideDeletion(req.Group, 0, 1)
}

func shareBesideDeletion(x *exchange, req *kmsg.ShareGroupHeartbeatRequest) kmsg.Response {
	return x.besideDeletion(req.GroupID, 0, 1)
}

func alterBesideDeletion(x *exchange, req *kmsg.AlterShareGroupOffsetsRequest) kmsg.Response {
	return x.besideDeletion(req.GroupID, 0, 1)
}

// closeGroups closes the groups of a request until it is over. Those that a member is joining are not
// empty, and are answered without kfake.
func (x *exchange) closeGroups(req *kmsg.DeleteGroupsRequest) {
	g, joined := x.cluster().groupGate, make(map[string]bool)
	for _, group := range slices.Compact(slices.Sorted(slices.Values(req.Groups))) {
		if g.close(group) {
			x.finally(func() { g.open(group) })
		} else {
			joined[group] = true
		}
	}
	if len(joined) == 0 {
		return
	}
	req.Groups = slices.DeleteFunc(req.Groups, func(group string) bool { return joined[group] })
	x.changed = true
	then(x, func(resp *kmsg.DeleteGroupsResponse) {
		for group := range joined {
			refused := kmsg.NewDeleteGroupsResponseGroup()
			refused.Group, refused.ErrorCode = group, kerr.NonEmptyGroup.Code
			resp.Groups = append(resp.Groups, refused)
		}
	})
}
