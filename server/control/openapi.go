package control

import (
	_ "embed"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v4"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// openapi is written by hand, and checked against the table of routes and against what they
// answer by tests.
//
//go:embed openapi.yaml
var openapi []byte

// OpenAPI describes the control plane (https://spec.openapis.org/oas/v3.1.0).
func (s *Server) OpenAPI(*http.Request) (wire.Response, error) {
	var document map[string]any
	if err := yaml.Unmarshal(openapi, &document); err != nil {
		return wire.Response{}, fmt.Errorf("read the description of the control plane: %w", err)
	}
	components, _ := document["components"].(map[string]any)
	if schemas, ok := components["schemas"].(map[string]any); ok {
		schemas["Fixture"] = fixtures.JSONSchema() // which the reader of fixtures makes
	}
	return googleapi.JSON(document), nil
}
