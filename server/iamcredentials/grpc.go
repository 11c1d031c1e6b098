package iamcredentials

import (
	"context"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"gcp-metadata-emulator/server/rpc"
)

// beginCall begins a call in gRPC, for the resource name of a service account.
func (s *Server) beginCall(ctx context.Context, method, name string) (call, error) {
	credential, err := rpc.Bearer(ctx, s.api, method)
	if err != nil {
		return call{}, err
	}
	return s.begin(ctx, credential, s.api, method, name)
}

// CallGenerateAccessToken issues an access token for a service account.
func (s *Server) CallGenerateAccessToken(ctx context.Context, request *credentialspb.GenerateAccessTokenRequest) (rpc.Answer, error) {
	c, err := s.beginCall(ctx, "GenerateAccessToken", request.GetName())
	if err != nil {
		return rpc.Answer{}, err
	}
	issued, err := s.generateAccessToken(ctx, c, accessTokenRequest{
		delegates:   request.GetDelegates(),
		scopes:      request.GetScope(),
		hasLifetime: request.GetLifetime() != nil,
		lifetime:    request.GetLifetime().AsDuration(),
	})
	if err != nil {
		return rpc.Answer{}, err
	}
	message := &credentialspb.GenerateAccessTokenResponse{AccessToken: issued.Text, ExpireTime: timestamppb.New(issued.Expires)}
	return rpc.Answer{Message: message, Defective: issued.IsDefective()}, nil
}

// CallGenerateIDToken issues an ID token for a service account.
func (s *Server) CallGenerateIDToken(ctx context.Context, request *credentialspb.GenerateIdTokenRequest) (rpc.Answer, error) {
	c, err := s.beginCall(ctx, "GenerateIdToken", request.GetName())
	if err != nil {
		return rpc.Answer{}, err
	}
	issued, err := s.generateIDToken(ctx, c, idTokenRequest{
		delegates: request.GetDelegates(), audience: request.GetAudience(), includeEmail: request.GetIncludeEmail(),
	})
	if err != nil {
		return rpc.Answer{}, err
	}
	return rpc.Answer{Message: &credentialspb.GenerateIdTokenResponse{Token: issued.Text}, Defective: issued.IsDefective()}, nil
}

// CallSignBlob signs bytes with the account's system-managed key.
func (s *Server) CallSignBlob(ctx context.Context, request *credentialspb.SignBlobRequest) (rpc.Answer, error) {
	c, err := s.beginCall(ctx, "SignBlob", request.GetName())
	if err != nil {
		return rpc.Answer{}, err
	}
	keyID, signature, err := s.signBlob(ctx, c, request.GetDelegates(), request.GetPayload())
	if err != nil {
		return rpc.Answer{}, err
	}
	return rpc.Answer{Message: &credentialspb.SignBlobResponse{KeyId: keyID, SignedBlob: signature}}, nil
}

// CallSignJWT signs the exact payload of a JWT with the account's system-managed key.
func (s *Server) CallSignJWT(ctx context.Context, request *credentialspb.SignJwtRequest) (rpc.Answer, error) {
	c, err := s.beginCall(ctx, "SignJwt", request.GetName())
	if err != nil {
		return rpc.Answer{}, err
	}
	keyID, signed, err := s.signJWT(ctx, c, request.GetDelegates(), request.GetPayload())
	if err != nil {
		return rpc.Answer{}, err
	}
	message := &credentialspb.SignJwtResponse{KeyId: keyID, SignedJwt: signed.Text}
	return rpc.Answer{Message: message, Defective: signed.IsDefective()}, nil
}
