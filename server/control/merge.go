package control

import (
	"cmp"
	"slices"
	"sort"
)

// merging puts the journals of replicas together as they come. It keeps little more than the exchanges that the limit
// leaves.
type merging struct {
	limit int // maximum number of exchanges, the newest; 0: no limit

	journals int
	recorded recorded
}

// add adds a journal, and takes the exchanges out of it.
func (m *merging) add(one *part[recorded]) {
	const most = 2 // times the limit
	for _, e := range one.has.Requests {
		m.recorded.Requests = append(m.recorded.Requests, exchange{e.Exchange, one.of.Name})
	}
	one.has.Requests = nil
	if m.limit > 0 && len(m.recorded.Requests) > most*m.limit {
		m.order()
	}
	m.recorded.Count += one.has.Count
	m.recorded.Dropped += one.has.Dropped
	if one.has.DroppedTo.After(m.recorded.DroppedTo) {
		m.recorded.DroppedTo = one.has.DroppedTo
	}
	m.recorded.Last = one.has.Last
	m.journals++
}

// order sorts the exchanges by time, and removes the oldest if there are more than the limit.
func (m *merging) order() {
	list := m.recorded.Requests
	sort.Slice(list, func(i, j int) bool { // slices.SortFunc takes much more space in the program, because an exchange is large
		a, b := &list[i], &list[j]
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Replica, b.Replica), cmp.Compare(a.Sequence, b.Sequence)) < 0
	})
	if extra := len(m.recorded.Requests) - m.limit; m.limit > 0 && extra > 0 {
		m.recorded.Requests = slices.Delete(m.recorded.Requests, 0, extra)
	}
}

// done returns the exchanges of all journals, with the names of their replicas.
func (m *merging) done(of gathering) recorded {
	if m.recorded.Requests == nil {
		m.recorded.Requests = []exchange{}
	}
	m.order()
	if m.journals > 1 {
		m.recorded.Last = nil
	}
	m.recorded.gathering = of
	return m.recorded
}
