// Package manual writes the manual of the command line in the format of man pages, from the model
// of its commands. It does not know the commands.
package manual

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Write writes the manual of a program and its version as a page of section 1, in the macros of
// man(7).
func Write(w io.Writer, model *kong.Application, version string) error {
	p := &page{}
	p.line(".TH", strings.ToUpper(model.Name), "1", "", version, "User Commands")
	p.line(".SH", "NAME")
	p.text(model.Name + ` \- ` + escape(strings.TrimSuffix(model.Help, ".")))
	p.line(".SH", "SYNOPSIS")
	p.text(bold(model.Name) + " [" + italic("command") + "] [" + italic("flags") + "]")
	p.line(".SH", "COMMANDS")
	for _, command := range model.Leaves(true) {
		p.command(command)
	}
	p.line(".SH", "ENVIRONMENT")
	p.text("Each flag can be set by a variable, which the flag's description names in parentheses. A flag takes precedence over its variable.")
	p.line(".SH", "EXIT STATUS")
	for _, row := range statuses() {
		p.item(bold(row[0]), row[1])
	}
	_, err := p.WriteTo(w)
	return err
}

func statuses() [][2]string {
	return [][2]string{
		{"0", "The command did what it is for."},
		{"1", "The command failed."},
		{"2", "The command line is wrong."},
		{"126, 127", "The command to run cannot be run, or was not found."},
		{"128+N", "The command that was run ended by signal N. Otherwise its own status is passed on."},
	}
}

// page is a page being written.
type page struct{ bytes.Buffer }

// line writes a macro with its arguments.
func (p *page) line(macro string, arguments ...string) {
	p.WriteString(macro)
	for _, argument := range arguments {
		p.WriteString(` "` + strings.ReplaceAll(escape(argument), `"`, `\(dq`) + `"`)
	}
	p.WriteByte('\n')
}

// text writes text that is already escaped.
func (p *page) text(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		p.WriteString(`\&`) // otherwise the line is a macro
	}
	p.WriteString(text + "\n")
}

func (p *page) item(head, description string) {
	p.line(".TP")
	p.text(head)
	p.text(escape(description))
}

func (p *page) command(command *kong.Node) {
	p.line(".SS", command.Path())
	p.text(escape(command.Help))
	p.detail(command.Detail)
	for _, argument := range command.Positional {
		p.item(italic(argument.Name), argument.Help)
	}
	for _, flag := range command.Flags {
		if flag.Hidden {
			continue
		}
		name := bold("--" + flag.Name)
		if !flag.IsBool() {
			name += "=" + italic(placeholder(flag))
		}
		p.item(name, description(flag))
	}
}

func placeholder(flag *kong.Flag) string {
	if flag.Enum != "" && flag.PlaceHolder == "" {
		return strings.Join(flag.EnumSlice(), "|")
	}
	return flag.FormatPlaceHolder()
}

// description returns a flag's help, followed by its variable.
func description(flag *kong.Flag) string {
	if len(flag.Envs) == 0 || slices.Equal(flag.Envs, []string{"-"}) {
		return flag.Help
	}
	return flag.Help + " ($" + strings.Join(flag.Envs, ", $") + ")"
}

// detail writes the detailed help of a command: paragraphs, and blocks of indented lines, which
// are examples.
func (p *page) detail(text string) {
	for block := range strings.SplitSeq(text, "\n\n") {
		p.block(strings.Split(strings.Trim(block, "\n"), "\n"))
	}
}

func (p *page) block(lines []string) {
	p.line(".PP")
	isExample := false
	for _, line := range lines {
		bare := strings.TrimLeft(line, " \t")
		if isExample != (bare != line) {
			isExample = !isExample
			p.line(map[bool]string{true: ".nf", false: ".fi"}[isExample])
		}
		p.text(escape(bare))
	}
	if isExample {
		p.line(".fi")
	}
}

// escape escapes text for roff. A hyphen becomes a minus sign, which can be copied into a shell.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
}

func bold(text string) string   { return `\fB` + escape(text) + `\fR` }
func italic(text string) string { return `\fI` + escape(text) + `\fR` }
