// Package tagged reads messages of tagged fields, in the wire primitives of Protocol
// Buffers, as values inside the store have them: a field is a tag and a number or
// bytes, and one that the reader does not know is passed over.
//
// The log and the checkpoints have stricter messages of their own; see
// docs/format.md.
package tagged

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Each calls visit for each field of a message, in order: n is set for numbers, raw
// for bytes, which alias the message. Fields of other wire types are of versions to
// come, and passed over. An error is that of visit, or tells that the message is cut
// short or malformed.
func Each(message []byte, visit func(tag protowire.Number, n uint64, raw []byte) error) error {
	for len(message) > 0 {
		tag, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		message = message[size:]
		var n uint64
		var raw []byte
		switch kind {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			raw, size = protowire.ConsumeBytes(message)
		default:
			tag, size = 0, protowire.ConsumeFieldValue(tag, kind, message)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		message = message[size:]
		if tag == 0 {
			continue
		}
		if err := visit(tag, n, raw); err != nil {
			return err
		}
	}
	return nil
}
