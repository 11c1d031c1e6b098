package cli_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// block is a fenced block of a README. The first word after its fence is the language. Then follow,
// for a command block:
//
//	terminal      the commands run in another terminal, until the next such block or the README's end
//	fails         a command must fail
//	needs=A,B     the block is skipped if a program is not installed
//	not-run WHY   the block cannot run in a test
//
// and for any other block the name of a file, which the following commands find.
type block struct {
	line     int
	language string
	words    []string
	notRun   string // the reason
	text     string
}

func (b block) isCommands() bool { return b.language == "sh" || b.language == "console" }

func (b block) has(word string) bool { return slices.Contains(b.words, word) }

// needs returns the programs that the commands call and that may be missing.
func (b block) needs() []string {
	for _, word := range b.words {
		if list, ok := strings.CutPrefix(word, "needs="); ok {
			return strings.Split(list, ",")
		}
	}
	return nil
}

// file returns the name of the block's file, or "".
func (b block) file() string {
	if b.isCommands() || len(b.words) == 0 {
		return ""
	}
	return b.words[0]
}

// blocksOf returns the fenced blocks of a README.
func blocksOf(text string) ([]block, error) {
	var blocks []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = described(fence)
			open.line = i + 1
		case isFence:
			blocks = append(blocks, *open)
			open = nil
			if err := blocks[len(blocks)-1].check(); err != nil {
				return nil, err
			}
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block does not end", open.line)
	}
	return blocks, nil
}

// described returns a block with the words after its fence.
func described(fence string) *block {
	info, reason, _ := strings.Cut(fence, " not-run ")
	b := &block{notRun: reason}
	if words := strings.Fields(info); len(words) > 0 {
		b.language, b.words = words[0], words[1:]
	}
	return b
}

// check refuses languages and words that nobody looks at: their blocks would be neither run nor
// counted.
func (b block) check() error {
	if !b.isCommands() {
		if !slices.Contains([]string{"yaml", "yml", "json", "go", "js", "python", "text", "mermaid"}, b.language) || len(b.words) > 1 {
			return fmt.Errorf("line %d: %q %q is not the language of a block and the name of its file", b.line, b.language, b.words)
		}
		return nil
	}
	for _, word := range b.words {
		if word != "terminal" && word != "fails" && !strings.HasPrefix(word, "needs=") {
			return fmt.Errorf("line %d: %q is not a word for a block of commands", b.line, word)
		}
	}
	if b.language == "console" && !strings.HasPrefix(b.text, "$ ") {
		return fmt.Errorf("line %d: the first line has no command", b.line)
	}
	return nil
}

// step is a command and its output.
type step struct {
	command string
	want    string
	checked bool // whether the output must be as wanted
}

// steps returns the commands of a block. In a console block, a line that begins with "$ " is a
// command, "> " continues it, and the other lines are its output.
func (b block) steps() []step {
	if b.language == "sh" {
		return []step{{command: b.text}}
	}
	var steps []step
	for line := range strings.Lines(b.text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, step{command: command, checked: true})
			continue
		}
		last := &steps[len(steps)-1]
		if more, ok := strings.CutPrefix(line, "> "); ok && last.want == "" {
			last.command += more
			continue
		}
		last.want += line
	}
	return steps
}

// matches reports whether an output is as wanted. In the wanted output, a line "…" stands for any
// lines, "…" in a line for any text, and the number of spaces does not count.
func matches(want, got string) bool {
	pattern := regexp.QuoteMeta(condensed(want))
	pattern = regexp.MustCompile(`\n…\z`).ReplaceAllString(pattern, `(?s:\n.*)?`)
	pattern = regexp.MustCompile(`(?m)^…$\n?`).ReplaceAllString(pattern, `(?s:.*)`)
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(condensed(got))
}

func condensed(text string) string {
	text = regexp.MustCompile(`[ \t\r]+`).ReplaceAllString(text, " ")
	text = strings.ReplaceAll(text, " \n", "\n")
	return strings.TrimRight(text, " \n") + "\n"
}
