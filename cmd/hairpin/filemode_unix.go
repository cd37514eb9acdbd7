//go:build unix

package main

import "io/fs"

// readableByOthers reports whether someone beside the owner may read or write the file.
func readableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
