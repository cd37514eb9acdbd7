//go:build !unix

package main

import "io/fs"

// readableByOthers knows nothing here: the mode of a file does not tell who may read it.
func readableByOthers(fs.FileInfo) bool { return false }
