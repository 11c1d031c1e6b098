package server

import (
	"context"

	"gcp-metadata-emulator/server/token"
)

// Mint issues any token, as POST /emulator/v1/tokens does. The error is a *token.OrderError, or
// says why the keys cannot be used.
func (s *Server) Mint(ctx context.Context, order token.Order) (token.Token, error) {
	return s.issuer.Mint(ctx, s.worlds.Load().State, order)
}

// Verify reads a token of any kind, as POST /emulator/v1/tokens:verify does. The error is a
// *token.RefusedError, or says why the keys cannot be read.
func (s *Server) Verify(ctx context.Context, text string, demand token.Demand) (token.Verified, error) {
	return s.issuer.Verify(ctx, s.worlds.Load().State, text, demand)
}
