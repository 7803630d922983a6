package catalog

import (
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
)

// Reserved names.
const (
	// SystemProject holds the engine's own tables; users cannot define in it.
	SystemProject = "_system"
	// DefaultScope is made together with each project.
	DefaultScope = "app"
	// kvIndexTable is kept for the projection of a scope's key-value space.
	kvIndexTable = "__kv_index"
)

// Limits on definitions.
const (
	// MaxNameBytes bounds every identifier.
	MaxNameBytes = 128
	// MaxColumns bounds the columns of a table.
	MaxColumns = 1024
	// MaxIndexes bounds the indexes of a table.
	MaxIndexes = 64
)

// CheckName returns a validation error unless name is a legal identifier: 1 to
// 128 bytes of letters, digits, '_' and '-'. The field is named in the error.
func CheckName(field, name string) error {
	if name == "" {
		return errs.New(errs.CodeValidation, "%s is empty", field).On(field)
	}
	if len(name) > MaxNameBytes {
		return errs.Exceeded(field, "max_name_bytes", int64(len(name)), MaxNameBytes)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return !isNameRune(r) }); i >= 0 {
		return errs.New(errs.CodeValidation,
			"%s %q has a character that is not a letter, digit, '_' or '-' at byte %d", field, name, i).On(field)
	}
	return nil
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}
