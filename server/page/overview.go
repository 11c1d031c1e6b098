package page

import (
	"encoding/json"
	"net/http"
)

// world is the part of a fixture that the page shows.
type world struct {
	Project struct {
		ID     string      `json:"id"`
		Number json.Number `json:"number"`
	} `json:"project"`
	UniverseDomain  string     `json:"universeDomain"`
	ServiceAccounts []account  `json:"serviceAccounts"`
	Users           []account  `json:"users"`
	Groups          []group    `json:"groups"`
	Policies        []policy   `json:"policies"`
	Instances       []instance `json:"instances"`
}

type account struct {
	Email       string `json:"email"`
	UniqueID    string `json:"uniqueId"`
	DisplayName string `json:"displayName"`
	Name        string `json:"name"` // of a user
	Disabled    bool   `json:"disabled"`
}

type group struct {
	Email   string   `json:"email"`
	Members []string `json:"members"`
}

type policy struct {
	Resource string    `json:"resource"`
	Bindings []binding `json:"bindings"`
}

type binding struct {
	Role      string     `json:"role"`
	Members   []string   `json:"members"`
	Condition *condition `json:"condition"`
}

type condition struct {
	Title      string `json:"title"`
	Expression string `json:"expression"`
}

type instance struct {
	Name            string `json:"name"`
	Profile         string `json:"profile"`
	Zone            string `json:"zone"`
	ServiceAccounts []struct {
		Email   string   `json:"email"`
		Aliases []string `json:"aliases"`
	} `json:"serviceAccounts"`

	Addresses []string `json:"addresses"` // from which it asks

	URL string `json:"-"` // of its own address
}

// addresses is the answer of control.instances.
type addresses struct {
	Instances []struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	} `json:"instances"`
}

// readWorld returns the world, with the addresses of its instances.
func readWorld(v *visit) world {
	w, urls := get[world](v, "control.state.get"), map[string]string{}
	for _, one := range get[addresses](v, "control.instances").Instances {
		urls[one.Name] = one.URL
	}
	for i := range w.Instances {
		w.Instances[i].URL = urls[w.Instances[i].Name]
	}
	return w
}

// status is the answer of control.livez.
type status struct {
	IAM string `json:"iam"`
}

// overview holds the data of the first page.
type overview struct {
	World    world
	Base     environment
	IAM      string
	Ready    bool
	Clock    clockState
	Keys     []key
	Waiters  int
	Faults   int
	Lately   []explanation
	Requests journalled
	Replicas replicas
}

// explanation is a sentence about recent requests.
type explanation struct {
	Sentence string   `json:"sentence"`
	Hint     string   `json:"hint"`
	Requests []uint64 `json:"requests"`
}

// Signing returns the ID of the key that signs ID tokens, or "" if there is no key yet.
func (o overview) Signing() string {
	for _, key := range o.Keys {
		if key.Use == "id-token" && key.State == "active" {
			return key.ID
		}
	}
	return ""
}

// TemplateMethod returns the methods for templates.
func (o overview) TemplateMethod(name string) any { return map[string]any{"Signing": o.Signing}[name] }

// loadOverview asks for the answers of replicas at once, because a hanging replica delays each of them.
func loadOverview(v *visit) any {
	of := readReplicas(v)
	page := overview{Replicas: of}
	var lately struct {
		Findings []explanation `json:"findings"`
	}
	var waiting waiterList
	v.together(func(v *visit) {
		page.Requests = readRequests(v, map[string]string{"limit": "5", replicaField: of.Chosen})
	}, func(v *visit) {
		waiting = getOf[waiterList](v, "control.waiters", of, "limit", "1")
	}, func(v *visit) {
		v.ask(Operation{Name: "control.explain", Query: of.query()}, &lately)
	})
	page.Replicas.Silent, page.Waiters, page.Lately = page.Requests.Unanswered, waiting.Count, lately.Findings
	ready := v.perform(v.request, Operation{Name: "control.readyz"}) // not being ready is no problem of the page
	page.World, page.Base, page.IAM, page.Ready = readWorld(v), readEnvironment(v), get[status](v, "control.livez").IAM, ready.Status < http.StatusBadRequest
	page.Clock, page.Keys, page.Faults = get[clockState](v, "control.clock.get"), get[keyList](v, "control.keys.list").Keys, len(get[faultList](v, "control.faults.list").Faults)
	return page
}
