package iamcredentials

import (
	"context"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"gcp-metadata-emulator/server/rpc"
)

// Register registers the API with a gRPC server.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	credentialspb.RegisterIAMCredentialsServer(registrar, service{server: s})
}

// service is the API in gRPC.
type service struct {
	credentialspb.UnimplementedIAMCredentialsServer

	server *Server
}

// begin authenticates the caller of a method and finds the service account by its resource
// name.
func (s service) begin(ctx context.Context, method, name string) (call, error) {
	credential, err := rpc.Bearer(ctx, API(), method)
	if err != nil {
		return call{}, err
	}
	return s.server.begin(credential, method, name)
}

// GenerateAccessToken issues an access token for a service account.
func (s service) GenerateAccessToken(
	ctx context.Context, request *credentialspb.GenerateAccessTokenRequest,
) (*credentialspb.GenerateAccessTokenResponse, error) {
	c, err := s.begin(ctx, "GenerateAccessToken", request.GetName())
	if err != nil {
		return nil, err
	}
	issued, err := s.server.generateAccessToken(ctx, c, accessTokenRequest{
		delegates:   request.GetDelegates(),
		scopes:      request.GetScope(),
		hasLifetime: request.GetLifetime() != nil,
		lifetime:    request.GetLifetime().AsDuration(),
	})
	if err != nil {
		return nil, err
	}
	return &credentialspb.GenerateAccessTokenResponse{
		AccessToken: issued.Text, ExpireTime: timestamppb.New(issued.Expires),
	}, nil
}

// GenerateIdToken issues an ID token for a service account.
func (s service) GenerateIdToken(
	ctx context.Context, request *credentialspb.GenerateIdTokenRequest,
) (*credentialspb.GenerateIdTokenResponse, error) {
	c, err := s.begin(ctx, "GenerateIdToken", request.GetName())
	if err != nil {
		return nil, err
	}
	issued, err := s.server.generateIDToken(ctx, c, idTokenRequest{
		delegates: request.GetDelegates(), audience: request.GetAudience(), includeEmail: request.GetIncludeEmail(),
	})
	if err != nil {
		return nil, err
	}
	return &credentialspb.GenerateIdTokenResponse{Token: issued.Text}, nil
}

// SignBlob signs bytes with the account's system-managed key.
func (s service) SignBlob(ctx context.Context, request *credentialspb.SignBlobRequest) (*credentialspb.SignBlobResponse, error) {
	c, err := s.begin(ctx, "SignBlob", request.GetName())
	if err != nil {
		return nil, err
	}
	keyID, signature, err := s.server.signBlob(ctx, c, request.GetDelegates(), request.GetPayload())
	if err != nil {
		return nil, err
	}
	return &credentialspb.SignBlobResponse{KeyId: keyID, SignedBlob: signature}, nil
}

// SignJwt signs the exact payload of a JWT with the account's system-managed key.
func (s service) SignJwt(
	ctx context.Context, request *credentialspb.SignJwtRequest,
) (*credentialspb.SignJwtResponse, error) {
	c, err := s.begin(ctx, "SignJwt", request.GetName())
	if err != nil {
		return nil, err
	}
	keyID, signed, err := s.server.signJWT(ctx, c, request.GetDelegates(), request.GetPayload())
	if err != nil {
		return nil, err
	}
	return &credentialspb.SignJwtResponse{KeyId: keyID, SignedJwt: signed}, nil
}
