// Package msgs holds everything that travels between the stages: what a caller
// asks (mutations, assertions, read sets, envelopes), what comes of it
// (effects, changesets, results) and how it is handed on (epochs, tickets).
//
// The stages never import each other; they meet here. A message has one owner
// at a time: whoever sends it has given it away.
package msgs
