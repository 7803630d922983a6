// Package query holds what a caller asks of tables: the tree of a condition,
// the query around it, their builders, the text form of conditions, and the
// evaluation of a condition bound to columns.
//
// Invariants:
//
//  1. An Expr and a Query are values. Builders return modified copies and
//     nothing that executes them changes them, so they may be kept, shared and
//     run any number of times.
//  2. Conditions are three-valued. A comparison with Null is Unknown, Unknown
//     passes through And, Or and Not, and a filter keeps what is True.
//  3. What is evaluated is what a plan is made from. Binding turns each test
//     into the set of column values that pass it (see Set); evaluation looks a
//     cell up in the set, and a planner turns the same set into key ranges. So
//     an answer cannot depend on the way the rows were found.
package query
