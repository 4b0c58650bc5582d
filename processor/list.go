package processor

// listedPerPassMax is how many slots a listing looks at in one pass, so that
// listing very many connections holds up none of them.
const listedPerPassMax = 512

// Listing is a walk over the connections, some of them in each pass.
type Listing struct {
	at    int // the slot to look at next
	found []ConnInfo
	done  chan struct{}
}

// Done is closed when the walk is over, or the processor has ended.
func (l *Listing) Done() <-chan struct{} { return l.done }

// Conns are the connections, once Done is closed; none if the processor has ended.
// The slice is for all who asked.
func (l *Listing) Conns() []ConnInfo { return l.found }

// List asks for the connections. Those who ask before the walk begins get the same.
// Any goroutine.
func (p *Processor) List() *Listing {
	i := &p.inbox
	i.mu.Lock()
	l := i.listing
	first := l == nil
	if first {
		l = &Listing{done: make(chan struct{})}
		i.listing = l
	}
	i.mu.Unlock()
	if first {
		p.list(l)
	}
	return l
}

// list has a listing go on in the next pass.
func (p *Processor) list(l *Listing) {
	if !p.inbox.submit(func() { p.listSome(l) }) {
		p.begun(l)
		l.found = nil
		close(l.done)
	}
}

// begun has those who ask from here on wait for another listing.
func (p *Processor) begun(l *Listing) {
	p.inbox.mu.Lock()
	defer p.inbox.mu.Unlock()
	if p.inbox.listing == l {
		p.inbox.listing = nil
	}
}

func (p *Processor) listSome(l *Listing) {
	if l.at == 0 {
		p.begun(l)
	}
	for n := 0; n < listedPerPassMax && l.at < len(p.slots.all); n++ {
		if c := p.slots.all[l.at]; c.Info() != nil && c.upstream == nil {
			l.found = append(l.found, c.Describe())
		}
		l.at++
	}
	if l.at < len(p.slots.all) {
		p.list(l)
		return
	}
	close(l.done)
}
