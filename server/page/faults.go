package page

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"gcp-metadata-emulator/server/token"
)

// clockState is the answer of control.clock.get.
type clockState struct {
	Now    time.Time `json:"now"`
	Frozen bool      `json:"frozen"`
}

// faultList is the answer of control.faults.list.
type faultList struct {
	gathering

	Faults []map[string]any `json:"faults"`
}

// routeList is the answer of control.routes.
type routeList struct {
	Routes []string `json:"routes"`
}

// faulty is a fault, as a row of a table.
type faulty struct {
	ID, Route, Effect, Strikes string
	Requests, Hits             any
	Replicas                   any // the counts of each replica
}

// faults holds the data of the page of faults and the clock.
type faults struct {
	Faults  []faulty
	Clock   clockState
	Routes  []string
	Defects []token.Defect

	Replicas replicas
}

func loadFaults(v *visit) any {
	page := faults{Clock: get[clockState](v, "control.clock.get"), Routes: get[routeList](v, "control.routes").Routes, Defects: token.KindID.Defects(), Replicas: readReplicas(v)}
	list := getOf[faultList](v, "control.faults.list", page.Replicas)
	page.Replicas.Silent = list.Unanswered
	for _, fault := range list.Faults {
		id, _ := fault["id"].(string)
		route, _ := fault["route"].(string)
		page.Faults = append(page.Faults, faulty{
			ID: id, Route: route, Requests: fault["requests"], Hits: fault["hits"], Replicas: fault["replicas"],
			Effect:  words(fault, "status", "location", "outage", "delay", "hangUp", "malformed", "withoutHeader", "withHeader", "defect", "body"),
			Strikes: words(fault, "match", "after", "every", "times", "for", "until", "probability", "seed"),
		})
	}
	return page
}

// words returns the members of a fault that are set.
func words(fault map[string]any, names ...string) string {
	var parts []string
	for _, name := range names {
		switch value := fault[name].(type) {
		case nil:
		case map[string]any:
			if name == "match" {
				parts = append(parts, words(value, "account", "audience", "path"))
				continue
			}
			if text, err := json.Marshal(value); err == nil {
				parts = append(parts, name+" "+string(text))
			}
		default:
			parts = append(parts, fmt.Sprintf("%s %v", name, value))
		}
	}
	return strings.Join(parts, ", ")
}

func faultActs() map[string]act {
	plain := func(name string) func(url.Values) (Operation, error) {
		return func(url.Values) (Operation, error) { return Operation{Name: name}, nil }
	}
	return map[string]act{
		"add":     {said: "The fault is active.", op: addFault},
		"remove":  {said: "The fault is removed.", op: removeFault},
		"clear":   {said: "All faults are removed.", op: plain("control.faults.clear")},
		"advance": {said: "The clock is advanced.", op: advance},
		"set":     {said: "The clock is set.", op: setClock},
		"freeze":  {said: "The clock stands still.", op: freeze},
		"run":     {said: "The clock runs.", op: run},
		"reset":   {said: "The emulator is as it was at its start.", op: plain("control.reset")},
	}
}

func addFault(form url.Values) (Operation, error) {
	body := filled(form, "route", "delay", "hangUp", "outage", "defect", "for")
	if match := filled(form, "account", "audience", "path"); len(match) > 0 {
		body["match"] = match
	}
	for _, name := range []string{"status", "after", "times", "probability"} {
		text := strings.TrimSpace(form.Get(name))
		if text == "" {
			continue
		}
		if !json.Valid([]byte(text)) || strings.Trim(text, "0123456789.") != "" {
			return Operation{}, fmt.Errorf("%s %q is not a number", name, text)
		}
		body[name] = json.Number(text)
	}
	return Operation{Name: "control.faults.add", Body: body}, nil
}

func removeFault(form url.Values) (Operation, error) {
	return Operation{Name: "control.faults.remove", Path: map[string]string{"fault": form.Get("fault")}}, nil
}

func advance(form url.Values) (Operation, error) {
	return Operation{Name: "control.clock.advance", Body: filled(form, "duration")}, nil
}

func setClock(form url.Values) (Operation, error) {
	return Operation{Name: "control.clock.set", Body: filled(form, "now")}, nil
}

func freeze(url.Values) (Operation, error) {
	return Operation{Name: "control.clock.set", Body: map[string]any{"frozen": true}}, nil
}

func run(url.Values) (Operation, error) {
	return Operation{Name: "control.clock.set", Body: map[string]any{"frozen": false}}, nil
}
