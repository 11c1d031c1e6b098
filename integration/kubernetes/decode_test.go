//go:build cluster

package kubernetes_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"testing"

	"gcp-metadata-emulator/server/mds"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// decodeFile decodes every document of a manifest into its API's type. It refuses unknown fields.
func decodeFile(t *testing.T, path string) []apiruntime.Object {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, path, content)
}

func decode(t *testing.T, name string, content []byte) []apiruntime.Object {
	t.Helper()
	objects, err := decodeAll(content)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return objects
}

func decodeAll(content []byte) ([]apiruntime.Object, error) {
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var objects []apiruntime.Object
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, document)
		}
		objects = append(objects, object)
	}
}

func parse(t *testing.T, text string) netip.Addr {
	t.Helper()
	address, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// isOf returns a condition for a request of an instance.
func isOf(instance string) func(mds.Waiter) bool {
	return func(w mds.Waiter) bool { return w.Instance == instance }
}
