//go:build !unix

package web

import "io/fs"

// readableByOthers does not know: the mode says nothing about access here.
func readableByOthers(fs.FileInfo) bool { return false }
