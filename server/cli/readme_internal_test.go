package cli

import (
	"flag"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/server/emulatortest"
)

var _ = flag.Bool("update", false, "write the generated tables of the READMEs")

// README.md lists every command, and server/cli/README.md also every flag with its variable.
func TestReadmesListCommandsAndFlags(t *testing.T) {
	parser, err := newParser(streams{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	commands, usages, flags := [][]string{{"command", "what it does"}}, [][]string{{"command and arguments", "what it does"}}, &flagTable{}
	for _, leaf := range parser.Model.Leaves(true) {
		commands = append(commands, []string{"`" + commandName(leaf) + "`", leaf.Help})
		usages = append(usages, []string{"`" + strings.TrimPrefix(leaf.Summary(), program+" ") + "`", leaf.Help})
		for _, group := range leaf.AllFlags(true) {
			for _, one := range group {
				flags.add(commandName(leaf), one)
			}
		}
	}
	flags.everywhere(len(usages) - 1)
	emulatortest.Generated(t, "../../README.md", "commands", emulatortest.TableOf(commands...))
	emulatortest.Generated(t, "README.md", "usages", emulatortest.TableOf(usages...))
	emulatortest.Generated(t, "README.md", "flags", emulatortest.TableOf(flags.table()...))
}

func commandName(leaf *kong.Node) string {
	name := strings.TrimPrefix(leaf.FullPath(), program+" ")
	name, _, _ = strings.Cut(name, " <")
	return name
}

// flagTable has a row for each flag. Commands that have the same flag share its row.
type flagTable struct {
	rows     [][]string
	commands [][]string
}

func (f *flagTable) add(command string, one *kong.Flag) {
	name := "`" + strings.ReplaceAll(one.String(), `"`, "") + "`"
	variables := strings.Join(one.Envs, ", ")
	row := []string{name, strings.ReplaceAll(one.Help, defaultStateDir(), "$XDG_STATE_HOME/"+program), variables}
	i := slices.IndexFunc(f.rows, func(known []string) bool { return slices.Equal(known, row) })
	if i < 0 {
		i = len(f.rows)
		f.rows, f.commands = append(f.rows, row), append(f.commands, nil)
	}
	f.commands[i] = append(f.commands[i], command)
}

// everywhere shortens the list of commands of the flags that every command has.
func (f *flagTable) everywhere(all int) {
	for i, commands := range f.commands {
		if len(commands) == all {
			f.commands[i] = []string{"every"}
		}
	}
}

func (f *flagTable) table() [][]string {
	table := [][]string{{"flag", "what it does", "variable", "commands"}}
	for i, row := range f.rows {
		variable := ""
		if row[2] != "" {
			variable = "`" + row[2] + "`"
		}
		table = append(table, []string{row[0], row[1], variable, "`" + strings.Join(f.commands[i], "`, `") + "`"})
	}
	return table
}
