// Command gocloud is a typical user of the emulator. It uses Google's own Go libraries, unmodified.
// It knows nothing about an emulator, except if a library needs an address in code. Each subcommand
// does a task of such a program, and prints the results as JSON; the tests check the values.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
)

const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gocloud:", err)
		os.Exit(1) //nolint:forbidigo // a client program sets its own exit status
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: gocloud metadata | watch | agent | access | identity AUDIENCE | keyfile FILE AUDIENCE | impersonated FILE TARGET | files FOLDER | downscoped | iam rest|grpc|proxied TARGET AUDIENCE | packages TARGET AUDIENCE | signedurl ACCOUNT | users CLIENT USER | admin ACCOUNT_ID MEMBER | services ID ACCOUNT MEMBER | matrix FILE AUDIENCE TARGET WANTED")
	}
	report, err := dispatch(ctx, args)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func dispatch(ctx context.Context, args []string) (any, error) {
	switch name, rest := args[0], args[1:]; {
	case name == "metadata" && len(rest) == 0:
		return readMetadata(ctx)
	case name == "watch" && len(rest) == 0:
		return watch(ctx)
	case name == "agent" && len(rest) == 0:
		return agent(ctx)
	case name == "access" && len(rest) == 0:
		return accessTokens(ctx)
	case name == "identity" && len(rest) == 1:
		return identityTokens(ctx, rest[0])
	case name == "keyfile" && len(rest) == 2:
		return keyFileTokens(ctx, rest[0], rest[1])
	case name == "impersonated" && len(rest) == 2:
		return impersonatedTokens(ctx, rest[0], rest[1])
	case name == "files" && len(rest) == 1:
		return fileTokens(ctx, rest[0])
	case name == "downscoped" && len(rest) == 0:
		return downscopedToken(ctx)
	case name == "iam" && len(rest) == 3:
		return callIAMCredentials(ctx, rest[0], rest[1], rest[2])
	case name == "packages" && len(rest) == 2:
		return packageTokens(ctx, rest[0], rest[1])
	case name == "signedurl" && len(rest) == 1:
		return signedURL(ctx, rest[0])
	case name == "users" && len(rest) == 2:
		return signIn(ctx, rest[0], rest[1])
	default:
		return dispatchManager(ctx, args)
	}
}

// dispatchManager is dispatch for subcommands that create something.
func dispatchManager(ctx context.Context, args []string) (any, error) {
	switch name, rest := args[0], args[1:]; {
	case name == "admin" && len(rest) == 2:
		return administer(ctx, rest[0], rest[1])
	case name == "services" && len(rest) == 3:
		return manageService(ctx, rest[0], rest[1], rest[2])
	default:
		return dispatchMany(ctx, args)
	}
}

// dispatchMany is dispatch for subcommands with any number of arguments.
func dispatchMany(ctx context.Context, args []string) (any, error) {
	if name, rest := args[0], args[1:]; name == "matrix" && len(rest) >= 3 {
		return matrix(ctx, ask{rest[0], rest[1], rest[2]}, rest[3:])
	}
	return nil, fmt.Errorf("unknown command or wrong number of arguments: %q", args)
}

// emulator returns the base URL of the running emulator, for the few addresses that a library
// takes only in code.
func emulator() string {
	return os.Getenv("GCP_METADATA_EMULATOR_URL") //nolint:forbidigo // exec sets this variable
}
