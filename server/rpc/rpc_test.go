package rpc_test

import (
	"net/http"
	"slices"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"gcp-metadata-emulator/server/emulatortest"
)

// Tools can list the services by reflection, and ask for their health.
func TestRPCHealthAndReflection(t *testing.T) {
	t.Parallel()
	conn := emulatortest.New(t).DialGRPC(t)
	healthy := emulatortest.Must[*healthpb.HealthCheckResponse](t)(healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}))
	if healthy.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health is %v", healthy.GetStatus())
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, service := range emulatortest.Must[*reflectionpb.ServerReflectionResponse](t)(stream.Recv()).GetListServicesResponse().GetService() {
		services = append(services, service.GetName())
	}
	if !slices.Contains(services, "google.iam.credentials.v1.IAMCredentials") {
		t.Errorf("services %q", services)
	}
}

// A call over HTTP/1.1 is not gRPC, but gets an answer.
func TestRPCNeedsHTTP2(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.URL+"/google.iam.credentials.v1.IAMCredentials/SignBlob", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("status %d", response.StatusCode)
	}
}
