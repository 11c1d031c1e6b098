package page

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"gcp-metadata-emulator/server/markup"
)

// rows is the number of requests on a page.
const rows = 50

// exchange is a request with its answer, as the journal has it.
type exchange struct {
	Sequence  uint64    `json:"sequence"`
	Time      time.Time `json:"time"`
	Duration  string    `json:"duration"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Route     string    `json:"route"`
	Instance  string    `json:"instance"`
	ChosenBy  string    `json:"chosenBy"`
	Peer      string    `json:"peer"`
	Account   string    `json:"account"`
	Audience  string    `json:"audience"`
	Status    int       `json:"status"`
	Bytes     int       `json:"bytes"`
	UserAgent string    `json:"userAgent"`
	Fault     string    `json:"fault"`
	Host      string    `json:"host"`
	Caller    string    `json:"caller"`
	Reason    string    `json:"reason"`
	Hint      string    `json:"hint"`
	Missing   *missing  `json:"missing"`

	Carried json.RawMessage `json:"carried"` // the claims of the token with which it came
	Got     json.RawMessage `json:"got"`     // the claims of the token in the answer

	Replica string `json:"replica"` // that has recorded it

	Key string `json:"-"` // no other request on the page has it
}

// missing is a permission that a caller lacked.
type missing struct {
	Permission string   `json:"permission"`
	Resource   string   `json:"resource"`
	Roles      []string `json:"roles"`
}

// Library returns the client library that has sent the request, by its user agent.
func (e exchange) Library() string { return libraryOf(e.UserAgent) }

// Class returns the class of the status: 2, 4 or 5, or 0 if there was no answer.
func (e exchange) Class() int { return e.Status / statusClass }

const statusClass = 100

// TemplateMethod returns the methods for templates.
func (e exchange) TemplateMethod(name string) any {
	return map[string]any{"Library": e.Library, "Class": e.Class}[name]
}

// journalled is the answer of control.requests.list.
type journalled struct {
	gathering

	Requests []exchange `json:"requests"`
	Count    int        `json:"count"`
	Dropped  uint64     `json:"dropped"`
	Last     uint64     `json:"last"`
}

// readRequests returns requests, the newest first.
func readRequests(v *visit, query map[string]string) (list journalled) {
	values := url.Values{}
	for name, value := range query {
		if value != "" {
			values.Set(name, value)
		}
	}
	v.ask(Operation{Name: "control.requests.list", Query: values}, &list)
	slices.Reverse(list.Requests)
	for i := range list.Requests {
		one := &list.Requests[i]
		if one.Key = strconv.FormatUint(one.Sequence, 10); query[replicaField] == every && one.Replica != "" {
			one.Key = one.Replica + "." + one.Key // each replica has numbers of its own
		}
	}
	return list
}

// requests holds the data of the page of requests.
type requests struct {
	journalled

	Replicas replicas

	Routes []string
	Open   string     // the key of the request that is open
	Kept   url.Values // the filter
	Older  markup.URL // the query of the next page; empty: there are no older requests
}

// filters are the parameters that select requests.
func filters() []string {
	return []string{"route", "status", "instance", "account", "audience", "since", replicaField}
}

func loadRequests(v *visit) any {
	page := requests{Kept: url.Values{}, Replicas: readReplicas(v), Open: v.Form.Get("open")}
	query := map[string]string{"limit": strconv.Itoa(rows), "before": v.Form.Get("before")}
	for _, name := range filters() {
		if value := v.Form.Get(name); value != "" {
			query[name] = value
			page.Kept.Set(name, value)
		}
	}
	page.journalled = readRequests(v, query)
	page.Replicas.Silent = page.Unanswered
	if shown := len(page.Requests); shown > 0 && page.Count > shown && !page.Replicas.Several() {
		page.Older = with(page.Kept, "before", strconv.FormatUint(page.Requests[shown-1].Sequence, 10))
	}
	page.Routes = get[routeList](v, "control.routes").Routes
	return page
}

// Link returns the query that opens a request, or closes it again.
func (r requests) Link(e exchange, before string) markup.URL {
	kept := r.Kept
	if before != "" {
		kept = maps.Clone(kept)
		kept.Set("before", before)
	}
	if e.Key == r.Open {
		return encodedQuery(kept)
	}
	return with(kept, "open", e.Key)
}

// TemplateMethod returns the methods for templates.
func (r requests) TemplateMethod(name string) any { return map[string]any{"Link": r.Link}[name] }

// with returns a query with a further parameter.
func with(query url.Values, name, value string) markup.URL {
	more := maps.Clone(query)
	more.Set(name, value)
	return encodedQuery(more)
}

// encodedQuery returns a query for a link. Package markup would encode a text once more.
func encodedQuery(query url.Values) markup.URL {
	return markup.URL(query.Encode())
}

func requestActs() map[string]act {
	return map[string]act{
		"clear": {said: "The journal is empty.", op: func(url.Values) (Operation, error) { return Operation{Name: "control.requests.clear"}, nil }},
	}
}
