package world

import (
	"fmt"
	"strconv"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

// inventedURLs returns the URLs that Google gives to a service: the deterministic URL, and the older
// URL with a hash. A function also has a URL that names the project.
func (s *Service) inventedURLs(p Project) []string {
	var list []string
	if s.IsFunction {
		list = append(list, fmt.Sprintf("https://%s-%s.cloudfunctions.net/%s", s.Region, fixtures.Dotted(p.ID), s.Name))
	}
	list = append(list, fmt.Sprintf("https://%s-%d.%s.run.app", s.Name, p.Number, s.Region))
	if code, known := regionCode(s.Region); known {
		list = append(list, fmt.Sprintf("https://%s-%s-%s.a.run.app", s.Name, projectHash(p, s.Region), code))
	}
	return list
}

// projectHash returns the hash in the older URLs of a project's services in a region: ten letters and
// digits.
func projectHash(p Project, region string) string {
	const digits, base = 10, 36
	text := strconv.FormatUint(number("run-hash:"+strconv.FormatUint(p.Number, 10)+"/"+region), base)
	if len(text) > digits {
		return text[len(text)-digits:]
	}
	return strings.Repeat("a", digits-len(text)) + text
}

// regionCode returns the short form of a region in older URLs. It does not know the newer regions.
func regionCode(region string) (code string, known bool) {
	code, known = map[string]string{
		"asia-east1": "de", "asia-east2": "df", "asia-northeast1": "an", "asia-northeast2": "dt", "asia-northeast3": "du",
		"asia-south1": "el", "asia-southeast1": "as", "asia-southeast2": "et", "australia-southeast1": "ts",
		"europe-central2": "lm", "europe-north1": "lz", "europe-west1": "ew", "europe-west2": "nw", "europe-west3": "ey",
		"europe-west4": "ez", "europe-west6": "oa", "northamerica-northeast1": "nn", "southamerica-east1": "rj",
		"us-central1": "uc", "us-east1": "ue", "us-east4": "uk", "us-west1": "uw", "us-west2": "wl", "us-west3": "wm", "us-west4": "wn",
	}[region]
	return code, known
}
