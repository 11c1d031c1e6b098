package record

import (
	"slices"
	"strings"
)

// setting is an attribute with a value that stays in a recording. Either Google documents the attribute and a list of
// its values, or Google's software sets it.
type setting struct {
	name   string
	source string // the evidence
}

// The sources of settings.
const (
	effective  = "https://cloud.google.com/compute/docs/reference/rest/v1/instances, resourceStatus.effectiveInstanceMetadata"
	predefined = "https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys"
	facts      = "the well-known attributes of a VM, from Google's documentation of the metadata server"
	guestAgent = "https://github.com/GoogleCloudPlatform/guest-agent, metadata/metadata.go"
	osConfig   = "https://github.com/GoogleCloudPlatform/osconfig, agentconfig/agentconfig.go"
	ofCOS      = "https://cloud.google.com/container-optimized-os/docs/how-to/create-configure-instance"
	ofNodes    = "https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/NodeConfig, reserved keys of metadata"
)

// settings returns the attributes with a documented list of values.
func settings() []setting {
	return []setting{
		{"block-project-ssh-keys", effective},
		{"cos-update-strategy", "https://cloud.google.com/container-optimized-os/docs/concepts/auto-update"},
		{"disable-account-manager", guestAgent},
		{"disable-https-mds-setup", facts},
		{"disable-legacy-endpoints", predefined},
		{"enable-access-token-enforce-scopes", facts},
		{"enable-guest-attributes", effective},
		{"enable-os-inventory", effective},
		{"enable-osconfig", effective},
		{"enable-oslogin", effective},
		{"enable-oslogin-2fa", guestAgent},
		{"enable-oslogin-certificates", guestAgent},
		{"enable-oslogin-sk", guestAgent},
		{"enable-windows-ssh", guestAgent},
		{"enable-workload-certificate", facts},
		{"gci-ensure-gke-docker", ofNodes},
		{"gci-metrics-enabled", ofNodes},
		{"gci-update-strategy", ofNodes},
		{"google-compute-default-region", facts},
		{"google-compute-default-zone", facts},
		{"google-logging-enabled", ofCOS},
		{"google-logging-use-fluentbit", "https://cloud.google.com/container-optimized-os/docs/release-notes"},
		{"google-monitoring-enabled", ofCOS},
		{"osconfig-disabled-features", osConfig},
		{"osconfig-log-level", osConfig},
		{"serial-port-enable", effective},
		{"serial-port-logging-enable", effective},
		{"vmdnssetting", effective},
	}
}

// googlesAttributes returns attributes that Google sets on machines of clusters and groups. Their values have words
// that are not plain.
func googlesAttributes() []setting {
	return []setting{
		{"cluster-location", ofNodes},
		{"cluster-name", ofNodes},
		{"cluster-uid", ofNodes},
		{"created-by", facts},
		{"instance-template", ofNodes},
	}
}

// isSetting reports whether an attribute is a setting and its value is a single word.
func isSetting(name, text string) bool {
	return !strings.Contains(text, " ") && has(settings(), strings.ToLower(name))
}

func has(settings []setting, name string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.name == name })
}
