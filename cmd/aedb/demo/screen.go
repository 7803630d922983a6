package demo

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// Widths in columns. Text is wrapped at most at wide; a terminal below narrow has
// no room for the view of the pipeline, and gets lines of text instead.
const (
	narrow = 80
	wide   = 100
)

// screen prints what the demo has to say. It belongs to one goroutine.
type screen struct {
	w io.Writer
	// live is whether lines may be coloured and drawn again in place.
	live  bool
	width int
}

// newScreen returns a screen on a writer; only a terminal is live, and only if
// plain is not asked for.
func newScreen(w io.Writer, plain bool) *screen {
	s := &screen{w: w, width: wide}
	if f, ok := w.(*os.File); ok && !plain && term.IsTerminal(int(f.Fd())) {
		n, _, err := term.GetSize(int(f.Fd()))
		s.live = err == nil && n >= narrow
		if s.live {
			s.width = min(n, wide)
		}
	}
	return s
}

func (s *screen) paint(c text.Colors, str string) string {
	if !s.live {
		return str
	}
	return c.Sprint(str)
}

func (s *screen) bold(str string) string  { return s.paint(text.Colors{text.Bold}, str) }
func (s *screen) faint(str string) string { return s.paint(text.Colors{text.Faint}, str) }
func (s *screen) good(str string) string {
	return s.paint(text.Colors{text.FgGreen, text.Bold}, str)
}

// heading begins a part.
func (s *screen) heading(number int, title string) {
	lead := fmt.Sprintf("── %d. %s ", number, title)
	rule := strings.Repeat("─", max(0, s.width-len([]rune(lead))))
	s.print("\n%s\n\n", s.paint(text.Colors{text.FgCyan, text.Bold}, lead+rule))
}

// say prints a paragraph, wrapped.
func (s *screen) say(format string, args ...any) {
	s.print("%s\n\n", trimmed(text.WrapSoft(fmt.Sprintf(format, args...), s.width)))
}

// lines prints lines as they are.
func (s *screen) lines(lines ...string) {
	for _, line := range lines {
		s.print("%s\n", line)
	}
}

// table prints rows in aligned columns; those named by right are aligned to the
// right, counted from 1.
func (s *screen) table(header table.Row, rows []table.Row, right ...int) {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options.DrawBorder = false
	style.Options.SeparateColumns = false
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "  ", ""
	t.SetStyle(style)
	if header != nil {
		t.AppendHeader(header)
	}
	t.AppendRows(rows)
	var configs []table.ColumnConfig
	for _, n := range right {
		configs = append(configs, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	s.print("%s\n\n", trimmed(t.Render()))
}

// trimmed removes what pads lines to one width.
func trimmed(block string) string {
	var b strings.Builder
	for line := range strings.Lines(block) {
		b.WriteString(strings.TrimRight(line, " \n"))
		if strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func (s *screen) print(format string, args ...any) { fmt.Fprintf(s.w, format, args...) }
