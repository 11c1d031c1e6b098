package compute

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"gcp-metadata-emulator/server/filter"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/order"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// resource is an item of a list.
type resource interface {
	identity() (name string, created time.Time)
}

// list is the answer of a method list.
type list[T any] struct {
	Kind          string `json:"kind"`
	ID            string `json:"id"`
	Items         []T    `json:"items,omitempty"`
	NextPageToken string `json:"nextPageToken,omitempty"`
	SelfLink      string `json:"selfLink"`
}

// aggregate is the answer of a method aggregatedList: the items of each zone or region.
type aggregate struct {
	Kind          string                    `json:"kind"`
	ID            string                    `json:"id"`
	Items         map[string]map[string]any `json:"items"`
	NextPageToken string                    `json:"nextPageToken,omitempty"`
	SelfLink      string                    `json:"selfLink"`
}

// query is the part of a list that a request asks for.
type query struct {
	filter      filter.Filter
	newestFirst bool
	page        googleapi.Page
}

// readQuery reads the query parameters of every list. own names further parameters.
func readQuery(r *http.Request, own ...string) (query, error) {
	if err := googleapi.CheckQuery(r, append(own, "filter", "maxResults", "orderBy", "pageToken", "returnPartialSuccess")...); err != nil {
		return query{}, err
	}
	asked := r.URL.Query()
	var q query
	switch order := asked.Get("orderBy"); order {
	case "", "name", "name asc":
	case "creationTimestamp desc":
		q.newestFirst = true
	default:
		return query{}, refuse("orderBy", order, "Unsupported sort order.", journal.Refusal{
			Reason: fmt.Sprintf("lists cannot be sorted by %q", order), Hint: `write "name" or "creationTimestamp desc"`,
		})
	}
	var err error
	if q.filter, err = filter.Compute().Parse(asked.Get("filter")); err != nil {
		return query{}, refuse("filter", asked.Get("filter"), "Invalid list filter expression.", journal.Refusal{
			Reason: "the filter cannot be read: " + err.Error(),
			Hint:   `write it as in "(name = web*) (labels.env = prod)" or "name eq web.*"`,
		})
	}
	q.page, err = readPage(asked.Get("maxResults"), asked.Get("pageToken"))
	return q, err
}

// refuse returns the error for a parameter with a wrong value.
func refuse(parameter, value, message string, why journal.Refusal) error {
	const longest = 200
	if len(value) > longest {
		value = value[:longest] + "..."
	}
	why.Code = reason.InvalidArgument
	return googleapi.InvalidArgument(fmt.Sprintf("Invalid value for field '%s': '%s'. %s", parameter, value, message)).Because(why)
}

func readPage(size, token string) (googleapi.Page, error) {
	sizes := googleapi.PageSizes{Default: 500, Largest: 500}
	if size == "" {
		return sizes.Page(0, token)
	}
	number, err := strconv.Atoi(size)
	if err != nil || number < 0 || number > sizes.Largest {
		return googleapi.Page{}, googleapi.InvalidArgument(fmt.Sprintf("Invalid value '%.20s'. Values must be within the range: [0, %d]", size, sizes.Largest))
	}
	return sizes.Page(number, token)
}

// pick returns the items that a request asks for, and the token of the next page.
func pick[T resource](q query, items []T) (part []T, next string) {
	if !q.filter.AcceptsAll() {
		items = slices.DeleteFunc(items, func(item T) bool { return !q.filter.Matches(document(item)) })
	}
	return googleapi.Cut(q.page, items, func(item T) string {
		name, created := item.identity()
		if q.newestFirst {
			return fmt.Sprintf("%019d %s", math.MaxInt64-created.UnixMilli(), name)
		}
		return name
	})
}

// document returns an item as encoding/json decodes it.
func document(item any) any {
	decoder := json.NewDecoder(bytes.NewBufferString(wire.Compact(item)))
	decoder.UseNumber()
	var decoded any
	_ = decoder.Decode(&decoded) // it has just been encoded
	return decoded
}

// answerList answers a request for items of a collection.
func answerList[T resource](r *http.Request, kind, collection string, items []T) (wire.Response, error) {
	q, err := readQuery(r)
	if err != nil {
		return wire.Response{}, err
	}
	answer := list[T]{Kind: kind, ID: collection, SelfLink: selfLinks + collection}
	answer.Items, answer.NextPageToken = pick(q, items)
	return googleapi.Reply(r, answer), nil
}

// located is a resource of a zone.
type located interface {
	resource
	zone() string
}

// aggregation holds the differences between aggregated lists.
type aggregation struct {
	kind   string
	name   string   // of the items
	scopes []string // the zones and regions of an answer
}

// answerAggregate answers a request for items of every zone. An answer has all zones, and a warning
// for each without items on the page.
func answerAggregate[T located](r *http.Request, w *world.World, to aggregation, items []T) (wire.Response, error) {
	q, err := readQuery(r, "includeAllScopes", "serviceProjectNumber")
	if err == nil {
		err = googleapi.CheckPlayed(r, "serviceProjectNumber")
	}
	if err != nil {
		return wire.Response{}, err
	}
	collection := inProject(w, "/aggregated/"+to.name)
	answer := aggregate{Kind: to.kind, ID: collection, SelfLink: selfLinks + collection, Items: map[string]map[string]any{}}
	byScope := map[string][]T{}
	items, answer.NextPageToken = pick(q, items)
	for _, item := range items {
		byScope["zones/"+item.zone()] = append(byScope["zones/"+item.zone()], item)
	}
	for _, scope := range to.scopes {
		if part := byScope[scope]; len(part) > 0 {
			answer.Items[scope] = map[string]any{to.name: part}
			continue
		}
		answer.Items[scope] = map[string]any{"warning": noResults(scope)}
	}
	return googleapi.Reply(r, answer), nil
}

type warning struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Data    []warningData `json:"data"`
}

type warningData struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func noResults(scope string) warning {
	return warning{
		Code: "NO_RESULTS_ON_PAGE", Message: fmt.Sprintf("There are no results for scope '%s' on this page.", scope),
		Data: []warningData{{Key: "scope", Value: scope}},
	}
}

// numbered is a resource with an ID.
type numbered interface {
	resource
	id() string
}

// answerOne answers a request for the item of a list with a name or an ID. resource is the name of the
// item in an error.
func answerOne[T numbered](r *http.Request, items []T, wanted, resource string) (wire.Response, error) {
	for _, item := range items {
		if name, _ := item.identity(); wanted == name || wanted == item.id() {
			return googleapi.Reply(r, item), nil
		}
	}
	return wire.Response{}, notFound(resource)
}

// machines returns the virtual machines, sorted by name. If a zone is given, it returns those of the
// zone.
func machines(w *world.World, zone string) []instance {
	var found []instance
	for _, i := range w.Instances {
		if isMachine(w, i) && (zone == "" || lastSegment(i.Zone()) == zone) {
			found = append(found, describe(w, i))
		}
	}
	order.Sort(found, func(a, b instance) int { return cmp.Compare(a.Name, b.Name) })
	return found
}
