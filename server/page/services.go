package page

import "slices"

// service is a service behind a door.
type service struct {
	Name           string   `json:"name"`
	Region         string   `json:"region"`
	URL            string   `json:"url"`
	URLs           []string `json:"urls"`
	Upstream       string   `json:"upstream"`
	Authentication string   `json:"authentication"`
	Internal       bool     `json:"internal"`
	Audiences      []string `json:"audiences"`
	Callers        []string `json:"callers"`
}

// Admits reports whether the door lets a member in.
func (s service) Admits(member string) bool {
	return slices.Contains(s.Callers, "allUsers") || slices.Contains(s.Callers, member)
}

// TemplateMethod returns the methods for templates.
func (s service) TemplateMethod(name string) any { return map[string]any{"Admits": s.Admits}[name] }

// serviceList is the answer of control.services.
type serviceList struct {
	Services []service `json:"services"`
}

// services holds the data of the page of services.
type services struct {
	Services  []service
	Members   []string // the permitted callers
	Decisions journalled
}

func loadServices(v *visit) any {
	page := services{Services: get[serviceList](v, "control.services").Services}
	if len(page.Services) == 0 {
		return page
	}
	w := readWorld(v)
	for _, account := range w.ServiceAccounts {
		page.Members = append(page.Members, "serviceAccount:"+account.Email)
	}
	for _, user := range w.Users {
		page.Members = append(page.Members, "user:"+user.Email)
	}
	page.Members = append(page.Members, "allUsers")
	page.Decisions = readRequests(v, map[string]string{"route": "ingress.*", "limit": "20"})
	return page
}
