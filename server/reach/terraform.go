package reach

import (
	"fmt"
	"strings"

	"gcp-metadata-emulator/server/router/hostname"
)

// Terraform returns a provider block for Terraform and OpenTofu: the project, the region unless it is empty,
// and the addresses of the emulator's APIs. It has no credentials: the provider finds them by the variables,
// like every program in Go.
//
// The provider takes the version of an API for the last part of its address, and removes it if it does not
// need it (https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference).
func (t Target) Terraform(region string) string {
	base := t.base()
	arguments := []Variable{
		{"project", t.ProjectID},
		{"region", region},
	}
	if t.UniverseDomain != hostname.DefaultUniverse {
		arguments = append(arguments, Variable{"universe_domain", t.UniverseDomain})
	}
	arguments = append(arguments,
		Variable{"cloud_run_custom_endpoint", base + "/"},
		Variable{"cloud_run_v2_custom_endpoint", base + "/v2/"},
		Variable{"compute_custom_endpoint", base + "/compute/v1/"},
		Variable{"iam_beta_custom_endpoint", base + "/v1/"}, // workload identity pools
		Variable{"iam_credentials_custom_endpoint", base + "/v1/"},
		Variable{"iam_custom_endpoint", base + "/v1/"},
		Variable{"resource_manager_custom_endpoint", base + "/v1/"},
	)
	var block strings.Builder
	block.WriteString("provider \"google\" {\n")
	for _, argument := range arguments {
		if argument.Value != "" {
			fmt.Fprintf(&block, "  %-32s = %s\n", argument.Name, inHCL(argument.Value))
		}
	}
	block.WriteString("}\n")
	return block.String()
}

// inHCL writes a text as a string of Terraform's language, in which two sequences begin a template
// (https://developer.hashicorp.com/terraform/language/expressions/strings).
func inHCL(text string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "${", "$${", "%{", "%%{")
	return `"` + escape.Replace(text) + `"`
}
