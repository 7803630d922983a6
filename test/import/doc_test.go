// Package import_test proves the import of real data: that every field of every
// row is in the store as it is in the file, also when the importing process was
// killed again and again on its way.
//
// The data is Debian's catalogue of binary packages. The cut of it that comes with
// the demo serves where the whole is not at hand: it is looked for in the folder
// that AEDB_DATA names, else in ../shared/data beside the module. AEDB_LONG=1 asks
// for the whole suite: 20 kills in the import of the whole data.
package import_test
