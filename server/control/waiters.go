package control

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/wire"
)

// Waiter describes a request that waits for a metadata change.
type Waiter struct {
	Instance string    `json:"instance"`
	Path     string    `json:"path"` // includes the query; secrets are hidden when shown
	Since    time.Time `json:"since"`
}

// waitersPath is the path of the waiting requests.
const waitersPath = "/emulator/v1/waiters"

// waiterList has the waiting requests of a replica, or of several.
type waiterList struct {
	gathering

	Waiters   []shownWaiter `json:"waiters"`   // the requests with the longest waits
	Count     int           `json:"count"`     // of waiting requests, listed or not
	Instances []waitedFor   `json:"instances"` // all that requests wait for
}

// shownWaiter is a waiting request, and the replica at which it waits.
type shownWaiter struct {
	Waiter

	Replica string `json:"replica,omitempty"` // empty: the emulator is alone
}

// waitedFor is an instance with the number of requests that wait for a change of it.
type waitedFor struct {
	Instance string    `json:"instance"`
	Count    int       `json:"count"`
	Since    time.Time `json:"since"` // the first of them waits
}

// Waiters lists the waiting requests.
func (s *Server) Waiters(r *http.Request) (wire.Response, error) {
	limit := 0
	if value := r.URL.Query().Get("limit"); value != "" {
		var problem string
		if limit, problem = readLimit(value); problem != "" {
			return wire.Response{}, googleapi.InvalidArgument(`"limit": ` + problem)
		}
	}
	list, err := s.waitersOf(r, limit)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(list), nil
}

// waitersOf returns the waiting requests that a request is about, as many as a limit says; 0 stands for all.
func (s *Server) waitersOf(r *http.Request, limit int) (waiterList, error) {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	all := waiterList{Waiters: []shownWaiter{}, Instances: []waitedFor{}}
	at := map[string]int{} // index of an instance
	_, of, err := gather(s, r, source[waiterList]{
		asked: peers.Question{Method: http.MethodGet, Path: waitersPath, Query: query}, own: s.ownWaiters,
		add: func(one *part[waiterList]) {
			all.add(one, at)
			all.cut(limit)
			one.has = waiterList{}
		},
	})
	all.gathering = of
	return all, err
}

// ownWaiters returns the requests that wait at this replica.
func (s *Server) ownWaiters() waiterList {
	var own waiterList
	at := map[string]int{}
	for _, waiter := range s.waiters() {
		waiter.Path = journal.Redacted(waiter.Path)
		own.Waiters = append(own.Waiters, shownWaiter{Waiter: waiter})
		own.wait(waitedFor{waiter.Instance, 1, waiter.Since}, at)
	}
	own.Count = len(own.Waiters)
	return own
}

// add adds the waiting requests of a replica.
func (l *waiterList) add(one *part[waiterList], at map[string]int) {
	for _, waiter := range one.has.Waiters {
		l.Waiters = append(l.Waiters, shownWaiter{waiter.Waiter, one.of.Name})
	}
	for _, more := range one.has.Instances {
		l.wait(more, at)
	}
	l.Count += one.has.Count
}

// wait counts requests that wait for a change of an instance.
func (l *waiterList) wait(more waitedFor, at map[string]int) {
	i, known := at[more.Instance]
	if !known {
		at[more.Instance] = len(l.Instances)
		l.Instances = append(l.Instances, more)
		return
	}
	l.Instances[i].Count += more.Count
	if more.Since.Before(l.Instances[i].Since) {
		l.Instances[i].Since = more.Since
	}
}

// cut leaves the requests that have waited longest.
func (l *waiterList) cut(limit int) {
	list := l.Waiters
	sort.Slice(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Replica, b.Replica), cmp.Compare(a.Path, b.Path)) < 0
	})
	if limit > 0 && len(l.Waiters) > limit {
		l.Waiters = slices.Delete(l.Waiters, limit, len(l.Waiters))
	}
}
