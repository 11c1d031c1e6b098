//go:build cluster

package kubernetes

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// ErrNoCluster says that the program does not run in a pod with access to the API server.
var ErrNoCluster = errors.New("this program does not run in a pod that has the token of a service account")

// userAgent is how the API server's logs name this program.
const userAgent = "gcp-metadata-emulator"

// Client asks an API server.
type Client struct{ rest *rest.RESTClient }

// Connect returns a client for the API server in a kubeconfig file. If the path is empty, it is the
// API server of the pod in which this program runs. It asks nothing yet.
func Connect(kubeconfig string) (*Client, error) {
	config, err := configOf(kubeconfig)
	if err != nil {
		return nil, err
	}
	// Client-go's own client of core/v1 links the types of all APIs, which is 13 MB.
	config.APIPath, config.GroupVersion, config.UserAgent = "/api", &corev1.SchemeGroupVersion, userAgent
	config.WarningHandler = rest.NoWarnings{} // users of this program cannot do anything about deprecated versions
	config.NegotiatedSerializer = serializer.NewCodecFactory(newScheme()).WithoutConversion()
	config.AcceptContentTypes, config.ContentType = runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON, runtime.ContentTypeProtobuf
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("use the configuration of the cluster: %w", err)
	}
	return &Client{client}, nil
}

func configOf(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		return clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	config, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, ErrNoCluster
	}
	return config, err
}

// newScheme returns the types that the watches decode.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Pod{}, &corev1.PodList{}, &corev1.ServiceAccount{}, &corev1.ServiceAccountList{})
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	return scheme
}

// Pods returns the source of the pods of a node, or of all pods if node is empty.
func (c *Client) Pods(node string) cache.ListerWatcher {
	chosen := fields.Everything()
	if node != "" {
		chosen = fields.OneTermEqualSelector("spec.nodeName", node)
	}
	return cache.NewListWatchFromClient(c.rest, "pods", metav1.NamespaceAll, chosen)
}

// Accounts returns the source of the service accounts of all namespaces.
func (c *Client) Accounts() cache.ListerWatcher {
	return cache.NewListWatchFromClient(c.rest, "serviceaccounts", metav1.NamespaceAll, fields.Everything())
}

// contentTypeJWKS is the only type in which an API server sends keys.
const contentTypeJWKS = "application/jwk-set+json"

// Read returns a document in JSON of the API server that is not an object of an API.
func (c *Client) Read(ctx context.Context, path string) ([]byte, error) {
	return c.rest.Get().AbsPath(path).SetHeader("Accept", runtime.ContentTypeJSON+","+contentTypeJWKS).DoRaw(ctx)
}
