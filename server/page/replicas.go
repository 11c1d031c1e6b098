package page

import "net/url"

// replica is one of the emulators that share a world.
type replica struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Yours  bool   `json:"yours"`  // it shows the page
	Reason string `json:"reason"` // why it has not answered
}

// gathering is the part of an answer that says of which replicas it is not.
type gathering struct {
	Unanswered []replica `json:"unanswered"`
}

// replicas are the replicas, for the choice of those that a page is about.
type replicas struct {
	All    []replica // none: the emulator is alone
	Chosen string    // empty: the one that shows the page
	Silent []replica // what they have is missing
}

// replicaField is the field with the chosen replica, and the parameter of the operations.
const replicaField = "replica"

// every stands for all replicas.
const every = "all"

// readReplicas returns the replicas, and the choice of the visitor.
func readReplicas(v *visit) replicas {
	return replicas{Chosen: v.Form.Get(replicaField), All: get[struct {
		Replicas []replica `json:"replicas"`
	}](v, "control.replicas").Replicas}
}

// Several reports whether the page is about all replicas.
func (r replicas) Several() bool { return r.Chosen == every && len(r.All) > 0 }

// TemplateMethod returns the methods for templates.
func (r replicas) TemplateMethod(name string) any {
	return map[string]any{"Several": r.Several}[name]
}

// getOf is get, of the chosen replicas.
func getOf[T any](v *visit, name string, of replicas) (answer T) {
	query := url.Values{}
	if of.Chosen != "" {
		query.Set(replicaField, of.Chosen)
	}
	v.ask(Operation{Name: name, Query: query}, &answer)
	return answer
}
