package manual_test

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/server/cli/manual"
)

type printing struct {
	Color string `enum:"red,green" default:"red" env:"COLOR" help:"Color of the ink."`
	Fast  bool   `help:"Print fast."`
	Files string `arg:"" help:"Files."`
}

// Help has all that roff could misread.
func (printing) Help() string {
	return ".TH is no macro here, nor is \\fB.\n\nExamples:\n  tool print --fast 'a\\b'\n  .hidden"
}

func TestWrite(t *testing.T) {
	t.Parallel()
	var grammar struct {
		Print printing `cmd:"" help:"Print \"it\"."`
		Inner struct{} `cmd:"" hidden:"" help:"Nothing."`
	}
	parser, err := kong.New(&grammar, kong.Name("my-tool"), kong.Description("Prints."))
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := manual.Write(&page, parser.Model, "v1.2.3"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`.TH "MY\-TOOL" "1" "" "v1.2.3" "User Commands"` + "\n",
		`my-tool \- Prints` + "\n",
		".SS \"print\"\nPrint \"it\".\n",
		`\&.TH is no macro here, nor is \efB.` + "\n",
		".nf\ntool print \\-\\-fast 'a\\eb'\n\\&.hidden\n.fi\n",
		"\\fB\\-\\-color\\fR=\\fIred|green\\fR\nColor of the ink. ($COLOR)\n",
		"\\fB\\-\\-fast\\fR\nPrint fast.\n",
		".SH \"EXIT STATUS\"\n",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q:\n%s", want, page.String())
		}
	}
	if strings.Contains(page.String(), "Nothing.") {
		t.Error("the page has a hidden command")
	}
}
