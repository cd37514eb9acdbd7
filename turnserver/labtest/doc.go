// Package labtest builds networks of Linux network namespaces for tests: hosts, and
// the links between them. What it builds uses the kernel's own network code, so a test
// sees what a deployment would.
//
// A namespace has no name and is held by the test's process alone; a program run in
// one dies with that process. So nothing is left behind, however the test ends.
//
// A [Lab] and its hosts may be used by several goroutines. The lab closes by the test's
// Cleanup; hosts and links are not to be used after that.
//
// It needs root and exists on Linux only; elsewhere the package is empty.
package labtest
