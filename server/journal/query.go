package journal

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// since is the parameter of Filter.From.
const since = "since"

// texts returns the fields of the filter that are texts, by their parameters.
func texts(f *Filter) map[string]*string {
	return map[string]*string{
		"account": &f.Account, "audience": &f.Audience, "instance": &f.Instance, "route": &f.Route, "status": &f.Status,
	}
}

// Parameters returns the names under which a query has the fields of a filter, in order.
func Parameters() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(texts(new(Filter)))), since)))
}

// Query returns the query of a filter. Fields that match everything are left out.
func (f Filter) Query() url.Values {
	query := url.Values{}
	for name, field := range texts(&f) {
		if *field != "" {
			query.Set(name, *field)
		}
	}
	if !f.From.IsZero() {
		query.Set(since, f.From.Format(time.RFC3339Nano))
	}
	return query
}

// With returns the filter with another value for the field of a parameter. known reports whether
// there is such a parameter. The error describes the mistake in the value.
func (f Filter) With(parameter, value string) (changed Filter, known bool, err error) {
	if parameter == since {
		if f.From, err = time.Parse(time.RFC3339, value); err != nil {
			return f, true, fmt.Errorf("%q is not an RFC 3339 time", value)
		}
		return f, true, nil
	}
	field, known := texts(&f)[parameter]
	if !known {
		return f, false, nil
	}
	if field == &f.Status && !isStatus(value) {
		return f, true, fmt.Errorf("%q is not a status; write 503 or 5xx", value)
	}
	*field = value
	return f, true, nil
}

// isStatus reports whether text is a status, or a class of statuses.
func isStatus(text string) bool {
	const digits = "0123456789"
	class, isClass := strings.CutSuffix(text, "xx")
	return isClass && len(class) == 1 && strings.Contains(digits, class) || strings.Trim(text, digits) == ""
}
