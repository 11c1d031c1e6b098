package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcmetadata "google.golang.org/grpc/metadata"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

// inGRPC is the name of the emulator's row in gRPC.
const inGRPC = "signBlob in gRPC"

// signingRPC is a reference server that makes one RSA-2048 signature per call.
const signingRPC kind = "signing-grpc"

// grpcSigning compares the emulator with a bare signing server. Both use gRPC and the same
// client.
func (b *bench) grpcSigning(ctx context.Context, emulator *process) (row, error) {
	server, err := start(ctx, b.self, referenceCommand, "--listen", "{addr}", "--kind", string(signingRPC))
	if err != nil {
		return row{}, err
	}
	defer server.stop()
	ours, closeOurs, err := b.callers("the emulator", emulator)
	if err != nil {
		return row{}, err
	}
	defer closeOurs()
	theirs, closeTheirs, err := b.callers("the reference server", server)
	if err != nil {
		return row{}, err
	}
	defer closeTheirs()
	measured := row{name: inGRPC, against: signingRPC.String(), ours: ours, theirs: theirs}
	return measured, b.contest(ctx, measured)
}

// callers returns a server under load from one client per connection.
func (b *bench) callers(name string, server *process) (s *subject, closeAll func(), err error) {
	var conns []*grpc.ClientConn
	closeAll = func() {
		for _, conn := range conns {
			_ = conn.Close() // no call is under way
		}
	}
	for range b.connections {
		conn, err := grpc.NewClient(server.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		conns = append(conns, conn)
	}
	call := func(ctx context.Context, worker int) error {
		ctx = grpcmetadata.AppendToOutgoingContext(ctx, "authorization", "Bearer x")
		_, err := credentialspb.NewIAMCredentialsClient(conns[worker]).SignBlob(ctx, &credentialspb.SignBlobRequest{
			Name: "projects/-/serviceAccounts/target@demo-project.iam.gserviceaccount.com", Payload: []byte("hello"),
		}, grpc.WaitForReady(true)) // the server may still be starting
		return err
	}
	run := func(ctx context.Context, limits load.Limits) (*load.Result, error) {
		ctx, cancel := server.during(ctx)
		defer cancel()
		result, err := load.Repeat(ctx, limits, call)
		return result, server.explain(err)
	}
	open := func(context.Context) (loader, func(), error) { return run, func() {}, nil } // the clients stay connected
	return &subject{name: name, server: server, open: open}, closeAll, nil
}

// signer is the bare signing server.
type signer struct {
	credentialspb.UnimplementedIAMCredentialsServer

	key *rsa.PrivateKey
}

// SignBlob signs a blob.
func (s signer) SignBlob(_ context.Context, request *credentialspb.SignBlobRequest) (*credentialspb.SignBlobResponse, error) {
	digest := sha256.Sum256(request.GetPayload())
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
	return &credentialspb.SignBlobResponse{KeyId: "reference", SignedBlob: signature}, err
}

// serveSigner runs the bare signing server until ctx ends.
func serveSigner(ctx context.Context, listener net.Listener) error {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fmt.Errorf("cannot make a key: %w", err)
	}
	server := grpc.NewServer()
	credentialspb.RegisterIAMCredentialsServer(server, signer{key: key})
	defer context.AfterFunc(ctx, server.Stop)()
	if err := server.Serve(listener); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}
