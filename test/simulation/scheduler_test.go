package simulation

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// task is one thing that a stage does between two looks of the scheduler. It
// waits until it is ready, as a send waits for room; nil stands for at once.
type task struct {
	name  string
	ready func() bool
	run   func() error
}

// stage is an actor without a goroutine. It takes a batch, and then has work to do
// before it takes the next.
type stage struct {
	name string
	// waiting tells whether there is something to take, and take begins a step.
	waiting func() bool
	take    func() error
	// fail answers the batch in hand after an error, and abandon what is left when
	// the engine has broken down.
	fail    func(cause error)
	abandon func(cause error)

	work      []task
	abandoned bool
}

func (s *stage) then(name string, run func() error) {
	s.work = append(s.work, task{name: name, run: run})
}

func (s *stage) when(name string, ready func() bool, run func() error) {
	s.work = append(s.work, task{name, ready, run})
}

// mailbox is a bounded queue.
type mailbox[T any] struct {
	name     string
	capacity int
	messages []T
}

func (m *mailbox[T]) room() bool { return len(m.messages) < m.capacity }

func (m *mailbox[T]) put(msg T) error {
	if !m.room() {
		return fmt.Errorf("mailbox %s exceeds its bound of %d", m.name, m.capacity)
	}
	m.messages = append(m.messages, msg)
	return nil
}

// takeUpTo takes between one and n of the waiting messages, as the scheduler likes.
func (m *mailbox[T]) takeUpTo(n int, choose func(int) int) []T {
	n = min(n, len(m.messages))
	if n == 0 {
		return nil
	}
	n = 1 + choose(n)
	batch := slices.Clone(m.messages[:n])
	m.messages = slices.Delete(m.messages, 0, n)
	return batch
}

// choice is something that can happen next.
type choice struct {
	name   string
	weight int
	run    func() error
}

// pick draws one of the choices by weight.
func pick(choices []choice, draw func(int) int) choice {
	total := 0
	for _, c := range choices {
		total += c.weight
	}
	n := draw(total)
	for _, c := range choices {
		if n -= c.weight; n < 0 {
			return c
		}
	}
	panic("the weights are not positive")
}

// trace is what has happened: a digest of all of it, and the end as text.
type trace struct {
	digest uint64
	all    bool // keep everything
	lines  []string
}

// traceTail is how many events are shown of a history that went wrong.
const traceTail = 60

func (t *trace) add(line string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", t.digest, line)
	t.digest = h.Sum64()
	t.lines = append(t.lines, line)
	if !t.all && len(t.lines) > 2*traceTail {
		t.lines = slices.Delete(t.lines, 0, traceTail)
	}
}

func (t *trace) String() string {
	lines := t.lines
	if !t.all {
		lines = lines[max(0, len(lines)-traceTail):]
	}
	return strings.Join(lines, "\n")
}
