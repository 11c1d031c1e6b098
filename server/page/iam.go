package page

import "net/url"

// troubleshooting is the answer of control.iam.troubleshoot.
type troubleshooting struct {
	Access       string   `json:"access"`
	Principal    string   `json:"principal"`
	Permission   string   `json:"permission"`
	Resource     string   `json:"resource"`
	Roles        []string `json:"roles"`
	Explanations []struct {
		Access         string     `json:"access"`
		Resource       string     `json:"resource"`
		Role           string     `json:"role"`
		RolePermission string     `json:"rolePermission"`
		Member         string     `json:"member"`
		Condition      *condition `json:"condition"`
		Holds          bool       `json:"conditionHolds"`
	} `json:"bindingExplanations"`
}

// policies holds the data of the page of IAM.
type policies struct {
	World     world
	Services  []service
	IAM       string
	Answer    *troubleshooting // nil: nothing was asked
	IsGranted bool
}

func loadIAM(v *visit) any {
	page := policies{World: readWorld(v), Services: get[serviceList](v, "control.services").Services, IAM: get[status](v, "control.livez").IAM}
	if v.Form.Has("principal") {
		var answer troubleshooting
		if v.ask(troubleshoot(v.Form), &answer) {
			page.Answer, page.IsGranted = &answer, answer.Access == "GRANTED"
		}
	}
	return page
}

func troubleshoot(form url.Values) Operation {
	return Operation{Name: "control.iam.troubleshoot", Body: filled(form, "principal", "permission", "resource")}
}
