package main

import (
	"fmt"
	"io"
	"os"
)

// isTerminal reports whether a person reads what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress says on a terminal what is being waited for, in one line that goes away.
type progress struct {
	w    io.Writer
	show bool
}

func newProgress(w io.Writer) *progress { return &progress{w, isTerminal(w)} }

const clearLine = "\r\x1b[K"

func (p *progress) waiting(subject, words string) {
	if p.show {
		fmt.Fprintf(p.w, clearLine+"%s: waiting for %s", oneLine(subject), oneLine(words))
	}
}

// saying shows words as they are.
func (p *progress) saying(subject, words string) {
	if p.show {
		fmt.Fprintf(p.w, clearLine+"%s: %s", oneLine(subject), oneLine(words))
	}
}

func (p *progress) clear() {
	if p.show {
		fmt.Fprint(p.w, clearLine)
	}
}
