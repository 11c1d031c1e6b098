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

// openapi is written by hand. Tests check it against the table of routes and against real
// answers.
//
//go:embed openapi.yaml
var openapi []byte

// OpenAPI returns the OpenAPI description of the control plane
// (https://spec.openapis.org/oas/v3.1.0).
func (s *Server) OpenAPI(*http.Request) (wire.Response, error) {
	var document map[string]any
	if err := yaml.Unmarshal(openapi, &document); err != nil {
		return wire.Response{}, fmt.Errorf("read the description of the control plane: %w", err)
	}
	components, _ := document["components"].(map[string]any)
	if schemas, ok := components["schemas"].(map[string]any); ok {
		schemas["Fixture"] = fixtures.JSONSchema() // the schema comes from package fixtures
	}
	return googleapi.JSON(document), nil
}
