package gateway

import "fmt"

func (s *stage) dump() {
	for _, n := range s.g.allNodes() {
		fmt.Printf("node %d state=%v failures=%d opening=%d retry in %dms versions=%v failure=%v\n", n.id, n.state, n.failures, n.opening, (n.retryAt-s.now)/1e6, n.versions != nil, n.failure)
		for k, p := range n.pools {
			for i := range p.lanes {
				l := &p.lanes[i]
				if l.pool == nil || len(l.links) == 0 && l.waits == 0 {
					continue
				}
				fmt.Printf("  pool %p lane %v waits=%d line=%d\n", k.identity, l.lane, l.waits, l.line.len())
				for _, u := range l.links {
					fmt.Printf("     link life=%d away=%d unsent=%d retiring=%v muted=%d owner=%p\n", u.life, u.away.len(), u.unsent, u.retiring, u.muted, u.owner)
				}
			}
		}
	}
	for _, c := range s.clients {
		if len(c.requests) > 0 {
			k := c.conn.Attachment().(*client)
			fmt.Printf("client %d node=%d away=%d queue=%d lane=%v alone=%v doomed=%v gone=%v line=%v own=%v\n", c.number, k.node.id, k.away, k.queue.len(), k.lane, k.alone, k.doomed, k.gone, k.line != nil, k.own != nil)
			for _, r := range c.requests { fmt.Println("   ", r.tag, kmsgName(r)) }
		}
	}
}

func kmsgName(r *stageRequest) string { return fmt.Sprintf("%T", r.resp) }
