package value

import (
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
)

// kindNames holds the public name of each kind, at the kind's number.
var kindNames = [...]string{
	KindNull:      "Null",
	KindBoolean:   "Boolean",
	KindU8:        "U8",
	KindU64:       "U64",
	KindInteger:   "Integer",
	KindU256:      "U256",
	KindI256:      "I256",
	KindTimestamp: "Timestamp",
	KindFloat:     "Float",
	KindText:      "Text",
	KindJSON:      "Json",
	KindBlob:      "Blob",
}

// String returns the public name of the kind, such as "Integer", and "unknown"
// for a number that names none.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// ParseKind returns the kind of the given public name, ignoring case. An
// unknown name is a validation error.
func ParseKind(name string) (Kind, error) {
	for k, n := range kindNames {
		if strings.EqualFold(n, name) {
			return Kind(k), nil
		}
	}
	return KindNull, errs.New(errs.CodeValidation, "unknown kind %q", name).On(name)
}
