package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
)

type fixtureCommand struct {
	Check  fixtureCheckCommand  `cmd:"" help:"Check a fixture, and report the position of the first mistake."`
	Show   fixtureShowCommand   `cmd:"" help:"Print a fixture with all defaults filled in and without references to other files."`
	Schema fixtureSchemaCommand `cmd:"" help:"Print the JSON Schema of fixtures, for editors."`
}

// fixtureFile names a fixture.
type fixtureFile struct {
	File string `arg:"" optional:"" type:"path" placeholder:"FILE" help:"Fixture; - for stdin (default: the built-in one)."`
}

type fixtureCheckCommand struct {
	fixtureFile `embed:""`
}

// Run loads a fixture and prints a summary.
func (c *fixtureCheckCommand) Run(ctx context.Context, std streams) error {
	files, err := worldFlags{Fixture: c.File}.files(ctx, std.in)
	if err != nil {
		return err
	}
	f, _, err := files.Load(ctx)
	if err != nil {
		return err
	}
	w, err := world.Checked(f)
	if err != nil {
		return err
	}
	for _, note := range f.Notes() {
		if _, err := fmt.Fprintf(std.err, "%s\nhint: %s\n", note.Message, note.Hint); err != nil {
			return err
		}
	}
	for _, unknown := range w.UnknownRoles() {
		if _, err := fmt.Fprintf(std.err, "%s\nhint: %s\n", unknown, unknown.Hint()); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(std.err, "project %q, instances: %d, service accounts: %d, users: %d\n",
		f.Project.ID, len(f.Instances), len(f.ServiceAccounts), len(f.Users))
	return err
}

type fixtureShowCommand struct {
	fixtureFile `embed:""`

	Metadata string `type:"path" placeholder:"FILE" help:"${recording}"`
	Format   string `enum:"yaml, json" env:"GCP_METADATA_EMULATOR_FIXTURE_FORMAT" default:"yaml" help:"Output format: ${enum}."`
}

// Run prints a fixture with all defaults.
func (c *fixtureShowCommand) Run(ctx context.Context, std streams) error {
	files, err := worldFlags{Fixture: c.File, Metadata: c.Metadata}.files(ctx, std.in)
	if err != nil {
		return err
	}
	f, _, err := files.Load(ctx)
	if err != nil {
		return err
	}
	w, err := world.Checked(f)
	if err != nil {
		return err
	}
	shown := w.Fixture()
	write := shown.YAML
	if c.Format == "json" {
		write = shown.JSON
	}
	text, err := write()
	if err != nil {
		return fmt.Errorf("print the fixture: %w", err)
	}
	_, err = std.out.Write(text)
	return err
}

type fixtureSchemaCommand struct{}

// Run prints the JSON Schema.
func (*fixtureSchemaCommand) Run(std streams) error {
	text, err := json.MarshalIndent(fixtures.JSONSchema(), "", "  ")
	if err != nil {
		return fmt.Errorf("print the schema: %w", err)
	}
	_, err = io.WriteString(std.out, string(text)+"\n")
	return err
}
