package page

import "net/url"

// replica is an emulator that shares the world.
type replica struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Yours  bool   `json:"yours"`  // it shows the page
	Reason string `json:"reason"` // why it has not answered
}

// gathering is the part of an answer with the replicas that have not answered.
type gathering struct {
	Unanswered []replica `json:"unanswered"`
}

// replicas is the list of replicas, from which a visitor chooses the replicas for a page.
type replicas struct {
	All    []replica // none: the emulator is alone
	Chosen string    // empty: the one that shows the page
	Silent []replica // have not answered
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

// query returns the query of an operation about the chosen replicas, with more parameters: names and values take turns.
func (r replicas) query(more ...string) url.Values {
	query := url.Values{}
	if r.Chosen != "" {
		query.Set(replicaField, r.Chosen)
	}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	return query
}

// getOf is get, of the chosen replicas.
func getOf[T any](v *visit, name string, of replicas, more ...string) (answer T) {
	v.ask(Operation{Name: name, Query: of.query(more...)}, &answer)
	return answer
}
