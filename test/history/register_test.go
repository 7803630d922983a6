package history

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// register is what the model knows of one key.
type register struct {
	present bool
	value   uint64
	// version is the commit that wrote the key last; 0 if that is not known yet,
	// because nobody was told the seq of that commit.
	version uint64
}

// action is what a caller does to a key.
type action uint8

const (
	actGet action = iota
	actSet
	actDelete
	actAdd
	actSetAtVersion // if the version is as expected
	actSetAtValue   // if the value is as expected
	actIncrement    // reads and writes in a transaction
	actions
)

var actionNames = [...]string{"get", "set", "delete", "add", "set at version", "set at value", "increment"}

// call is an operation as it was asked for.
type call struct {
	action   action
	key      string
	arg      uint64 // value to set, or amount to add
	expected uint64 // version or value
}

// verdict is what a caller learned about its operation.
type verdict uint8

const (
	applied verdict = iota
	refused         // the condition did not hold
	pending         // it may or may not have happened, or happen yet
)

// reply is an operation as it was answered.
type reply struct {
	verdict verdict
	// seq is that of the commit, if it was applied.
	seq uint64
	// found is what was read: by a get or an increment, or by a condition that
	// did not hold. For the latter only the version or the value is known.
	found register
}

// step returns the states that an operation can have led to.
func step(s register, c call, r reply) []register {
	if r.verdict == pending {
		return mayBe(s, c, r)
	}
	if r.verdict == applied && c.action != actGet && r.seq <= s.version {
		return nil // commits rise in the order of their effects
	}
	switch c.action {
	case actGet:
		return read(s, r.found)
	case actSet:
		return []register{{true, c.arg, r.seq}}
	case actDelete:
		return []register{{}}
	case actAdd:
		return []register{{true, s.value + c.arg, r.seq}}
	case actSetAtVersion:
		if r.verdict == refused {
			return readVersion(s, c, r.found.version)
		}
		if len(readVersion(s, call{}, c.expected)) > 0 {
			return []register{{true, c.arg, r.seq}}
		}
	case actSetAtValue:
		if r.verdict == refused {
			if s.present == r.found.present && s.value == r.found.value && !(s.present && s.value == c.expected) {
				return []register{s}
			}
			return nil
		}
		if s.present && s.value == c.expected {
			return []register{{true, c.arg, r.seq}}
		}
	case actIncrement:
		if len(read(s, r.found)) > 0 {
			return []register{{true, r.found.value + 1, r.seq}}
		}
	}
	return nil
}

// read returns the state if it is what was found; finding a version makes it
// known.
func read(s, found register) []register {
	if s.present != found.present || s.value != found.value {
		return nil
	}
	if s.present && s.version != 0 && s.version != found.version {
		return nil
	}
	return []register{found}
}

// readVersion returns the state if its version can be the one found and is not
// the one expected by a condition that failed.
func readVersion(s register, failed call, found uint64) []register {
	switch {
	case failed.action == actSetAtVersion && found == failed.expected:
		return nil
	case s.present != (found != 0):
		return nil
	case s.present && s.version != 0 && s.version != found:
		return nil
	}
	s.version = found
	return []register{s}
}

// mayBe returns what may have become of an operation without an answer.
func mayBe(s register, c call, r reply) []register {
	after := s
	switch c.action {
	case actSet:
		after = register{present: true, value: c.arg}
	case actDelete:
		after = register{}
	case actAdd:
		after = register{present: true, value: s.value + c.arg}
	case actSetAtVersion:
		if len(readVersion(s, call{}, c.expected)) > 0 {
			after = register{present: true, value: c.arg}
		}
	case actSetAtValue:
		if s.present && s.value == c.expected {
			after = register{present: true, value: c.arg}
		}
	case actIncrement:
		if len(read(s, r.found)) > 0 {
			after = register{present: true, value: r.found.value + 1}
		}
	}
	if after == s {
		return []register{s}
	}
	return []register{s, after}
}

// registers is the model of a store of independent keys.
var registers = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{register{}} },
	Step: func(state, input, output any) []any {
		after := step(state.(register), input.(call), output.(reply))
		out := make([]any, len(after))
		for i := range after {
			out[i] = after[i]
		}
		return out
	},
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		at := map[string]int{}
		var out [][]porcupine.Operation
		for _, op := range history {
			k := op.Input.(call).key
			i, ok := at[k]
			if !ok {
				i = len(out)
				at[k] = i
				out = append(out, nil)
			}
			out[i] = append(out[i], op)
		}
		return out
	},
	DescribeOperation: func(input, output any) string {
		c, r := input.(call), output.(reply)
		return fmt.Sprintf("%s %s arg=%d expected=%d -> %+v", actionNames[c.action], c.key, c.arg, c.expected, r)
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}).ToModel()
