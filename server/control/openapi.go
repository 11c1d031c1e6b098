package control

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"net/http"

	"go.yaml.in/yaml/v4"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// packed is openapi.yaml, compressed (TestReadmeTextsArePacked in package server writes it), which is written by
// hand. Tests check it against the table of routes and against real answers.
//
//go:embed openapi.gz
var packed []byte

// OpenAPI returns the OpenAPI description of the control plane
// (https://spec.openapis.org/oas/v3.1.0).
func (s *Server) OpenAPI(*http.Request) (wire.Response, error) {
	document, err := description()
	if err != nil {
		return wire.Response{}, fmt.Errorf("read the description of the control plane: %w", err)
	}
	components, _ := document["components"].(map[string]any)
	if schemas, ok := components["schemas"].(map[string]any); ok {
		schemas["Fixture"] = fixtures.JSONSchema() // the schema comes from package fixtures
	}
	return googleapi.JSON(document), nil
}

// description returns the description, without the schema of a fixture.
func description() (document map[string]any, err error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	err = yaml.Unmarshal(text, &document)
	return document, err
}
